"""ID3v2 tags in front of MP3 and FLAC: title, cover and what else players put there (id3.org, ID3v2.4.0, 3.1)."""

from __future__ import annotations

from typing import BinaryIO

from contracts.errors import Code, EchoError

HEADER_BYTES = 10
HAS_FOOTER = 0x10
TAGS_MAX = 100
TAGS_BYTES_MAX = 64 * 1024**2
"""FFmpeg holds a tag in memory. Covers are some hundred kB, scans in full quality a few MB."""


def end(file: BinaryIO, size: int) -> int:
    """Where the sound behind all tags begins; 0 without tags. Raises EchoError TRUNCATED, CORRUPT."""
    position = 0
    for _ in range(TAGS_MAX):
        file.seek(position)
        head = file.read(HEADER_BYTES)
        if head[:3] != b"ID3" or len(head) < HEADER_BYTES:
            return position
        length = int.from_bytes(head[6:10])
        # Four bytes of seven bits each.
        length = sum((length >> 8 * byte & 0x7F) << 7 * byte for byte in range(4))
        position += HEADER_BYTES + length + (HEADER_BYTES if head[5] & HAS_FOOTER else 0)
        if position > size:
            raise EchoError(Code.TRUNCATED, f"an ID3 tag ends at byte {position}, the file has {size}")
        if position > TAGS_BYTES_MAX:
            raise EchoError(Code.CORRUPT, f"ID3 tags of {position} bytes")
    raise EchoError(Code.CORRUPT, f"more than {TAGS_MAX} ID3 tags")
