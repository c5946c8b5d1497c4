"""WAV: Microsoft's RIFF chunks with a format and one stretch of samples."""

from __future__ import annotations

import struct
from typing import BinaryIO

from contracts.errors import Code, EchoError
from media.containers import Headers
from media.containers.riff import chunks

FIRST_CHUNK = 12
UNKNOWN = (0, 2**32 - 1)
"""Lengths that recorders write which could not come back to fill in the true one."""


def inspect(file: BinaryIO, size: int) -> Headers:
    """Claims of format and data chunk. See the package for the errors."""
    bytes_per_s = 0
    for chunk in chunks(file, FIRST_CHUNK, size):
        if chunk.kind == b"fmt ":
            file.seek(chunk.start)
            content = file.read(16)
            bytes_per_s = struct.unpack_from("<I", content, 8)[0] if len(content) == 16 else 0
        elif chunk.kind == b"data":
            if not bytes_per_s:
                raise EchoError(Code.CORRUPT, "samples without a format")
            length = chunk.end - chunk.start
            if length in UNKNOWN:
                return Headers()
            if chunk.end > size:
                raise EchoError(
                    Code.TRUNCATED,
                    f"the samples end at byte {chunk.end}, the file has {size}",
                    {"bytes": size},
                )
            return Headers(duration_s=length / bytes_per_s)
    raise EchoError(Code.TRUNCATED, "a WAV without samples")
