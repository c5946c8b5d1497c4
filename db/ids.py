"""New identifiers: a prefix that names the noun, then UUIDv7 in hex, so that ids sort by time of birth."""

from __future__ import annotations

from typing import Literal

from uuid_utils import uuid7

Prefix = Literal["usr", "vid", "upl", "job", "rec", "cor", "clp", "shr"]


def new_id(prefix: Prefix) -> str:
    return f"{prefix}_{uuid7().hex}"
