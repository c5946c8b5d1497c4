"""Temporal's payloads as the Web UI and the `temporal` command send them: the JSON form of the protobuf messages."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, WithJsonSchema
from temporalio.api.common.v1 import Payload as Message

# Protobuf's JSON form allows both alphabets on the way in; what goes out is the standard one, which `atob` reads.
_STANDARD = str.maketrans("-_", "+/")


def _bytes(value: object) -> bytes:
    if not isinstance(value, str):
        raise ValueError("expected a string in base64")
    text = value.translate(_STANDARD)
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("not base64") from error


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()


Base64 = Annotated[
    bytes,
    BeforeValidator(_bytes),
    PlainSerializer(_text),
    WithJsonSchema({"type": "string", "format": "byte"}),
]


class Payload(BaseModel):
    """One payload. Fields that later versions of Temporal add are passed over."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    metadata: dict[str, Base64] = {}
    """`encoding` says what `data` is; of an encrypted one `encryption-key-id` names the key."""
    data: Base64 = b""

    @classmethod
    def of(cls, message: Message) -> Payload:
        return cls.model_construct(metadata=dict(message.metadata), data=message.data)

    def message(self) -> Message:
        return Message(metadata=self.metadata, data=self.data)


class Payloads(BaseModel):
    """Any number of them; the answer keeps their order."""

    payloads: list[Payload] = []
