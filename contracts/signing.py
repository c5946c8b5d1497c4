"""Ed25519 signatures: of journal blocks, and of JSON documents such as receipts.

A key is known by its own 32 public bytes in base64url (`key_id`), so a signature that outlives a change of keys can
still be checked. A document's signature is a detached JWS (RFC 7515, appendix F; `alg` Ed25519 of RFC 9864) over its
canonical JSON, and stands in the document itself as the member `signature`.
"""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from contracts.errors import Code, EchoError
from contracts.settings import Settings

KEY_ID = re.compile(r"[A-Za-z0-9_-]{43}")
SIGNATURE = "signature"
"""The member of a signed document that is not signed itself."""


class SigningKey:
    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.key_id = _base64url(private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))

    @classmethod
    def from_pem(cls, pem: str) -> SigningKey:
        r"""`\n` may stand for a line break, as in environment files. Raises `EchoError` SIGNING_UNAVAILABLE."""
        try:
            private = load_pem_private_key(pem.replace("\\n", "\n").encode(), password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            private = None
        if not isinstance(private, Ed25519PrivateKey):
            raise EchoError(Code.SIGNING_UNAVAILABLE, "signing_key is not an Ed25519 private key in PEM")
        return cls(private)

    def sign(self, message: bytes) -> str:
        return _base64url(self._private.sign(message))


def signing_key(pem: str) -> SigningKey | None:
    """Of the setting `signing_key`, where empty means that there is none."""
    return SigningKey.from_pem(pem) if pem else None


def trusted_keys(settings: Settings) -> frozenset[str]:
    """Ids of the present key and of those before it; empty when the platform has none."""
    key = signing_key(settings.signing_key.get_secret_value())
    return frozenset([*settings.signing_keys_retired, *([key.key_id] if key else [])])


def new_key_pem() -> str:
    private = Ed25519PrivateKey.generate()
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def public_pem(key_id: str) -> str:
    public = Ed25519PublicKey.from_public_bytes(_bytes(key_id))
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def key_id_of(text: str) -> str:
    """The key id in a file that holds a public key in PEM, or just the id. Raises `ValueError`."""
    text = text.strip()
    if KEY_ID.fullmatch(text):
        return text
    try:
        public = load_pem_public_key(text.encode())
    except UnsupportedAlgorithm:
        public = None
    if not isinstance(public, Ed25519PublicKey):
        raise ValueError("not an Ed25519 public key")
    return _base64url(public.public_bytes(Encoding.Raw, PublicFormat.Raw))


def is_signed_by(key_id: str, message: bytes, signature: str) -> bool:
    try:
        public = Ed25519PublicKey.from_public_bytes(_bytes(key_id))
        public.verify(_bytes(signature), message)
    except (ValueError, InvalidSignature):
        return False
    return True


def canonical_json(value: object) -> bytes:
    """Sorted keys, no spaces, UTF-8: RFC 8785 for what we write, which has no fractions and ASCII keys.

    Raises `ValueError` for fractions: no two languages print all of them alike.
    """
    _refuse_fractions(value)
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def sign(document: Mapping[str, Any], key: SigningKey) -> str:
    """The detached JWS that belongs into `document` as the member `signature`."""
    protected = _base64url(canonical_json({"alg": "Ed25519", "kid": key.key_id}))
    return f"{protected}..{key.sign(_signing_input(protected, document))}"


def signed(document: Mapping[str, Any], key: SigningKey) -> dict[str, Any]:
    """The document with its signature, as it is handed out."""
    return {**document, SIGNATURE: sign(document, key)}


def signer(document: Mapping[str, Any]) -> str | None:
    """The key id that has signed this very document; None when its signature is missing or wrong."""
    try:
        protected, payload, signature = document[SIGNATURE].split(".")
        header = json.loads(_bytes(protected))
        key_id: str = header["kid"]
        if payload or header["alg"] != "Ed25519" or not KEY_ID.fullmatch(key_id):
            return None
        message = _signing_input(protected, document)
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    return key_id if is_signed_by(key_id, message, signature) else None


def _signing_input(protected: str, document: Mapping[str, Any]) -> bytes:
    content = {name: value for name, value in document.items() if name != SIGNATURE}
    return f"{protected}.{_base64url(canonical_json(content))}".encode()


def _refuse_fractions(value: object) -> None:
    match value:
        case float():
            raise ValueError("a signed document has whole numbers only")
        case dict():
            for each in value.values():  # pyright: ignore[reportUnknownVariableType]
                _refuse_fractions(each)  # pyright: ignore[reportUnknownArgumentType]
        case list() | tuple():
            for each in value:  # pyright: ignore[reportUnknownVariableType]
                _refuse_fractions(each)  # pyright: ignore[reportUnknownArgumentType]
        case _:
            pass


def _base64url(content: bytes) -> str:
    return urlsafe_b64encode(content).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    """Only of the one spelling that `_base64url` gives: Python's own decoder passes over what it does not know."""
    content = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if _base64url(content) != text:
        raise ValueError("not base64url")
    return content
