"""AVI: Microsoft's RIFF chunks with the OpenDML extension (several RIFF chunks in one file)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from contracts.errors import Code, EchoError
from media.containers import Headers

CHUNKS_MAX = 10_000
"""Headers only; the frames inside `movi` are not walked."""


@dataclass(frozen=True)
class Chunk:
    kind: bytes
    """Four letters; of a LIST or RIFF chunk the letters of the list."""
    start: int
    end: int


def inspect(file: BinaryIO, size: int) -> Headers:
    """Claims of the main and stream headers. See the package for the errors."""
    width = height = 0
    duration_s = 0.0
    for chunk in _descend(file, 0, size, size):
        file.seek(chunk.start)
        content = file.read(min(chunk.end - chunk.start, 256))
        if chunk.kind == b"avih" and len(content) >= 40:
            frame_us, frames = struct.unpack_from("<I", content)[0], struct.unpack_from("<I", content, 16)[0]
            size_claimed = struct.unpack_from("<II", content, 32)
            width, height = max(width, size_claimed[0]), max(height, size_claimed[1])
            duration_s = frame_us * frames / 1e6
        elif (
            chunk.kind == b"strf" and len(content) >= 40 and content[:4] == b"\x28\0\0\0"
        ):  # BITMAPINFOHEADER
            size_coded = struct.unpack_from("<ii", content, 4)
            width, height = max(width, abs(size_coded[0])), max(height, abs(size_coded[1]))
    return Headers(width, height, duration_s)


def _descend(file: BinaryIO, start: int, end: int, size: int) -> Iterator[Chunk]:
    for chunk in chunks(file, start, end):
        if chunk.end > size and chunk.kind in (b"AVI ", b"AVIX", b"movi", b"hdrl"):
            raise EchoError(
                Code.TRUNCATED,
                f"chunk {chunk.kind!r} ends at byte {chunk.end}, the file has {size}",
                {"bytes": size},
            )
        if chunk.kind in (b"AVI ", b"AVIX", b"hdrl", b"strl"):
            yield from _descend(file, chunk.start, min(chunk.end, end), size)
        else:
            yield chunk


def chunks(file: BinaryIO, start: int, end: int) -> Iterator[Chunk]:
    position = start
    for _ in range(CHUNKS_MAX):
        if end - position < 8:
            return
        file.seek(position)
        kind, length = struct.unpack("<4sI", file.read(8))
        content = position + 8
        if kind in (b"RIFF", b"LIST"):
            kind, content = file.read(4), position + 12
        yield Chunk(kind, content, position + 8 + length)
        position += 8 + length + length % 2  # chunks start at even positions
    raise EchoError(Code.CORRUPT, f"more than {CHUNKS_MAX} header chunks")
