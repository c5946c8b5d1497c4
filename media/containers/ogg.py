"""Ogg pages: RFC 3533. They claim no length; time is told by the pages themselves, which the packet scan reads."""

from __future__ import annotations

from typing import BinaryIO

from contracts.errors import Code, EchoError
from media.containers import Headers

MAGIC = b"OggS"
HEADER_BYTES = 27
UNFINISHED = 2**64 - 1
"""Position of a page on which no packet ends; headers have position 0."""
HEADERS_BYTES_MAX = 64 * 1024**2
"""Covers are among the comments, which FFmpeg holds in memory."""
PAGES_MAX = 100_000


def inspect(file: BinaryIO, size: int) -> Headers:
    """Looks at the pages of the headers, up to the first with sound. See the package for the errors."""
    position = 0
    for number in range(PAGES_MAX):
        file.seek(position)
        head = file.read(HEADER_BYTES)
        if head[:4] != MAGIC or len(head) < HEADER_BYTES:
            break  # torn, or no page: the packet scan judges what is left
        position += HEADER_BYTES + head[26] + sum(file.read(head[26]))
        if position > size and number == 0:
            raise EchoError(Code.TRUNCATED, f"the first page ends at byte {position} of {size}")
        if int.from_bytes(head[6:14], "little") not in (0, UNFINISHED):
            break
        if position > HEADERS_BYTES_MAX:
            raise EchoError(Code.CORRUPT, f"no sound in the first {HEADERS_BYTES_MAX} bytes")
    else:
        raise EchoError(Code.CORRUPT, f"no sound on the first {PAGES_MAX} pages")
    return Headers()
