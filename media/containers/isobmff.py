"""MP4 and MOV: ISO/IEC 14496-12 boxes, Apple's QuickTime File Format atoms."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from contracts.errors import Code, EchoError
from media.containers import Headers

CONTAINERS = {b"moov", b"trak", b"mdia", b"minf", b"dinf", b"rmra", b"rmda"}
"""Boxes that hold only boxes, on the way to those that are read here."""
MOVIE_BYTES_MAX = 512 * 1024**2
"""Sample tables of two hours at 240 fps stay below 50 MB."""
BOXES_MAX = 2_000_000
"""A two-hour fragmented file has about 30,000; the bound keeps a hostile one from holding the reader for long."""
SELF_CONTAINED = 1
"""Flag of a data reference entry (14496-12, 8.7.2): the media data are in this very file."""
PADDING = {b"free", b"skip", b"wide"}


@dataclass(frozen=True)
class Box:
    kind: bytes
    start: int
    """Position of the content, after the header."""
    end: int


def boxes(file: BinaryIO, start: int, end: int) -> Iterator[Box]:
    """The boxes of [start, end), cut off ones included: their `end` lies beyond `end`."""
    position = start
    for _ in range(BOXES_MAX):
        if end - position < 8:
            return
        file.seek(position)
        size, kind = struct.unpack(">I4s", file.read(8))
        header = 8
        if size == 1:
            extended = file.read(8)
            if len(extended) < 8:
                return
            (size,) = struct.unpack(">Q", extended)
            header = 16
        elif size == 0:  # to the end of the enclosing space
            size = end - position
            if kind == b"\0\0\0\0":  # zeros: the terminator of a QuickTime user data list, or padding
                return
        if size < header:
            raise EchoError(Code.CORRUPT, f"box {kind!r} at byte {position} claims {size} bytes")
        yield Box(kind, position + header, position + size)
        position += size
    raise EchoError(Code.CORRUPT, f"more than {BOXES_MAX} boxes")


def inspect(file: BinaryIO, size: int) -> Headers:
    """Claims of the movie header. See the package for the errors."""
    movie: Box | None = None
    has_media = False
    for box in boxes(file, 0, size):
        if not all(0x20 <= letter < 0x7F or letter == 0xA9 for letter in box.kind):
            if movie and has_media:  # some recorders leave rubbish after the last box, players ignore it
                break
            raise EchoError(Code.CORRUPT, f"not a box at byte {box.start - 8}")
        if box.end > size and box.kind not in PADDING:
            raise EchoError(
                Code.TRUNCATED,
                f"box {box.kind!r} ends at byte {box.end}, the file has {size}",
                {"bytes": size},
            )
        if box.kind == b"moov":
            movie = movie or box
        has_media = has_media or box.kind in (b"mdat", b"moof")
    if movie is None and has_media:
        raise EchoError(
            Code.TRUNCATED, "there is media data but no index (moov): the recording was not closed"
        )
    if movie is None:
        raise EchoError(Code.NOT_A_VIDEO, "an MP4 or MOV without movie header")
    if movie.end - movie.start > MOVIE_BYTES_MAX:
        raise EchoError(Code.CORRUPT, f"movie header of {movie.end - movie.start} bytes")
    return _movie(file, movie)


def is_faststart(file: BinaryIO, size: int) -> bool:
    """Whether the index comes before the media data, so that playback may start before the download ends."""
    kinds = [box.kind for box in boxes(file, 0, size)]
    return b"moov" in kinds and b"mdat" in kinds and kinds.index(b"moov") < kinds.index(b"mdat")


def _movie(file: BinaryIO, movie: Box) -> Headers:
    width = height = 0
    duration_s = 0.0
    for box in _descend(file, movie):
        content = _read(file, box)
        if box.kind == b"dref":
            _refuse_external(content)
        elif box.kind == b"rdrf":
            raise EchoError(
                Code.EXTERNAL_REFERENCE, "a QuickTime reference movie: its pictures are in another file"
            )
        elif box.kind == b"cmov":
            raise EchoError(
                Code.CODEC_UNSUPPORTED, "a compressed QuickTime header, not written since the 1990s"
            )
        elif box.kind == b"mvhd":
            duration_s = max(duration_s, _duration_s(content))
        elif box.kind == b"tkhd" and len(content) >= 8:
            fixed_width, fixed_height = struct.unpack(">II", content[-8:])
            width, height = max(width, fixed_width >> 16), max(height, fixed_height >> 16)
        elif box.kind == b"stsd":
            coded_width, coded_height = _sample_size(content)
            width, height = max(width, coded_width), max(height, coded_height)
    return Headers(width, height, duration_s)


READ = {b"dref", b"rdrf", b"cmov", b"mvhd", b"tkhd", b"stsd"}


def _descend(file: BinaryIO, parent: Box) -> Iterator[Box]:
    is_video = False
    for box in boxes(file, parent.start, parent.end):
        if box.end > parent.end:
            raise EchoError(Code.CORRUPT, f"box {box.kind!r} is larger than the {parent.kind!r} around it")
        if box.kind == b"hdlr":
            is_video = _read(file, box)[8:12] == b"vide"
        # A sample description holds picture sizes only below a video handler, which comes before it.
        if box.kind in CONTAINERS or (box.kind == b"stbl" and parent.kind == b"minf"):
            for inner in _descend(file, box):
                if inner.kind != b"stsd" or parent.kind != b"mdia" or is_video:
                    yield inner
        elif box.kind in READ:
            yield box


def _read(file: BinaryIO, box: Box) -> bytes:
    file.seek(box.start)
    return file.read(min(box.end - box.start, 1024 * 1024))


def _duration_s(mvhd: bytes) -> float:
    if len(mvhd) < 20:
        return 0.0
    if mvhd[0] == 1:
        if len(mvhd) < 32:
            return 0.0
        scale, duration = struct.unpack(">IQ", mvhd[20:32])
        unknown = 2**64 - 1
    else:
        scale, duration = struct.unpack(">II", mvhd[12:20])
        unknown = 2**32 - 1
    return duration / scale if scale and duration != unknown else 0.0


def _sample_size(stsd: bytes) -> tuple[int, int]:
    """Coded size from the first visual sample entry (14496-12, 12.1.3)."""
    first_entry = 8
    if len(stsd) < first_entry + 36:
        return 0, 0
    width, height = struct.unpack(">HH", stsd[first_entry + 32 : first_entry + 36])
    return width, height


def _refuse_external(dref: bytes) -> None:
    position, count = 8, struct.unpack(">I", dref[4:8])[0] if len(dref) >= 8 else 0
    for _ in range(count):
        if position + 12 > len(dref):
            return
        size, kind, flags = struct.unpack(">I4sI", dref[position : position + 12])
        if not flags & SELF_CONTAINED:
            raise EchoError(
                Code.EXTERNAL_REFERENCE, f"media data are elsewhere ({kind.decode('latin-1')} reference)"
            )
        position += max(size, 12)
