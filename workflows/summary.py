"""The one-line summaries that the Web UI shows, kept within what Temporal takes."""

from __future__ import annotations

import json

ENCODED_BYTES_MAX = 240
"""Servers may refuse a summary above 400 bytes, which count its JSON text, the payload's own metadata and what
encryption adds: nonce, tag, encoding and key id (workflows/codec.py)."""


def summary(text: str) -> str:
    """`text`, cut where it is too long: a file may have any name, and its job must start all the same."""
    while len(json.dumps(text, ensure_ascii=False).encode()) > ENCODED_BYTES_MAX:
        text = text[:-1]
    return text
