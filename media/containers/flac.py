"""FLAC as a file of its own: RFC 9639."""

from __future__ import annotations

from typing import BinaryIO

from contracts.errors import Code, EchoError
from media.containers import Headers, id3

MAGIC = b"fLaC"
LAST, STREAMINFO, FORBIDDEN = 0x80, 0, 127
STREAMINFO_BYTES = 34
METADATA_BYTES_MAX = 64 * 1024**2
"""Covers are among the metadata, which FFmpeg holds in memory."""


def is_flac(file: BinaryIO, size: int) -> bool:
    file.seek(id3.end(file, size))
    return file.read(len(MAGIC)) == MAGIC


def inspect(file: BinaryIO, size: int) -> Headers:
    """Claims of the stream information; all metadata must lie in the file. See the package for the errors."""
    start = id3.end(file, size) + len(MAGIC)
    position, last, claim = start, False, 0.0
    while not last:
        file.seek(position)
        head = file.read(4)
        kind, length = head[0] & 0x7F if head else FORBIDDEN, int.from_bytes(head[1:4])
        if len(head) == 4 and (kind == FORBIDDEN or (position == start) != (kind == STREAMINFO)):
            raise EchoError(Code.CORRUPT, f"metadata block {kind} at byte {position}")
        if len(head) < 4 or position + 4 + length > size:
            raise EchoError(Code.TRUNCATED, f"the metadata end past byte {size}", {"bytes": size})
        if kind == STREAMINFO:
            claim = _duration_s(file.read(length))
        last = bool(head[0] & LAST)
        position += 4 + length
        if position - start > METADATA_BYTES_MAX:
            raise EchoError(Code.CORRUPT, f"more than {METADATA_BYTES_MAX} bytes of metadata")
    return Headers(duration_s=claim)


def _duration_s(streaminfo: bytes) -> float:
    """20 bits of sample rate, 3 of channels, 5 of depth, 36 of length in samples (RFC 9639, 8.2)."""
    packed = int.from_bytes(streaminfo[10:18])
    rate, samples = packed >> 44, packed & (1 << 36) - 1
    if len(streaminfo) < STREAMINFO_BYTES or not rate:
        raise EchoError(Code.CORRUPT, "stream information without a sample rate")
    return samples / rate
