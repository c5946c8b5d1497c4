"""What workflows write to Temporal is encrypted on its way there, so that neither its database nor its history
holds a file's name or a person's words. AES-256-GCM; each payload names its key, so that keys can be rotated.

Search attributes are not payloads of this kind: the server must read them, so they hold ids and states only.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from google.protobuf.message import DecodeError
from temporalio.api.common.v1 import Payload
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import DataConverter, DefaultFailureConverterWithEncodedAttributes, PayloadCodec

from contracts.errors import Code, EchoError
from contracts.settings import Settings

ENCODING = b"binary/encrypted"
KEY_ID = "encryption-key-id"
KEY_BYTES = 32
KEY_ID_BYTES_MAX = 32
"""The id rides in every payload, and summaries have little room (workflows/summary.py)."""
NONCE_BYTES = 12
"""Random, so one key is good for 2^32 payloads (NIST SP 800-38D, 8.3): rotate long before."""


class EncryptionCodec(PayloadCodec):
    """Encrypts with the key `active`; reads what any of `keys` wrote, and what was never encrypted.

    Without an active key it writes in clear.
    """

    def __init__(self, keys: Mapping[str, bytes], active: str) -> None:
        self._ciphers = {key_id: AESGCM(key) for key_id, key in keys.items()}
        self._active = active

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [self._encrypted(payload) for payload in payloads] if self._active else list(payloads)

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """EchoError(CODEC_KEY_UNKNOWN) for a key that this process was not given, CODEC_PAYLOAD_INVALID for a payload
        that was changed or that another key of the same id wrote."""
        return [self._decrypted(payload) for payload in payloads]

    def _encrypted(self, payload: Payload) -> Payload:
        nonce = os.urandom(NONCE_BYTES)
        sealed = self._ciphers[self._active].encrypt(nonce, payload.SerializeToString(), None)
        metadata = {"encoding": ENCODING, KEY_ID: self._active.encode()}
        return Payload(metadata=metadata, data=nonce + sealed)

    def _decrypted(self, payload: Payload) -> Payload:
        if payload.metadata.get("encoding") != ENCODING:
            return payload
        key_id = payload.metadata.get(KEY_ID, b"").decode(errors="replace")
        if key_id not in self._ciphers:
            raise EchoError(Code.CODEC_KEY_UNKNOWN, f"no key {key_id!r} among the codec_keys of this process")
        nonce, sealed = payload.data[:NONCE_BYTES], payload.data[NONCE_BYTES:]
        try:
            return Payload.FromString(self._ciphers[key_id].decrypt(nonce, sealed, None))
        except (InvalidTag, ValueError, DecodeError) as error:
            raise EchoError(
                Code.CODEC_PAYLOAD_INVALID, f"does not decrypt with key {key_id!r}: {type(error).__name__}"
            ) from error


def codec(settings: Settings) -> EncryptionCodec:
    """Raises ValueError, without telling any key, when the settings name no usable active key."""
    keys = {key_id: _key(key_id, text.get_secret_value()) for key_id, text in settings.codec_keys.items()}
    if bool(keys) != bool(settings.codec_key_id) or (keys and settings.codec_key_id not in keys):
        raise ValueError(
            f"codec_key_id {settings.codec_key_id!r} must name one of codec_keys ({sorted(keys)})"
        )
    return EncryptionCodec(keys, settings.codec_key_id)


def data_converter(settings: Settings) -> DataConverter:
    """The one converter of clients and workers. Errors' messages and stack traces are encrypted too."""
    converter = replace(pydantic_data_converter, payload_codec=codec(settings))
    if not settings.codec_key_id:
        return converter
    return replace(converter, failure_converter_class=DefaultFailureConverterWithEncodedAttributes)


def _key(key_id: str, text: str) -> bytes:
    if not 0 < len(key_id.encode()) <= KEY_ID_BYTES_MAX:
        raise ValueError(f"the codec key id {key_id!r} must have 1 to {KEY_ID_BYTES_MAX} bytes")
    try:
        key = base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ValueError(f"codec key {key_id!r} is not base64") from None
    if len(key) != KEY_BYTES:
        raise ValueError(f"codec key {key_id!r} has {len(key)} bytes, not {KEY_BYTES}")
    return key
