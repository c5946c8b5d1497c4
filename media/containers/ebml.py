"""Matroska and WebM: RFC 8794 (EBML) and RFC 9559 (Matroska)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from contracts.errors import Code, EchoError
from media.containers import Headers

EBML, DOC_TYPE, SEGMENT = 0x1A45DFA3, 0x4282, 0x18538067
INFO, TIMESTAMP_SCALE, DURATION = 0x1549A966, 0x2AD7B1, 0x4489
TRACKS, TRACK_ENTRY, VIDEO, PIXEL_WIDTH, PIXEL_HEIGHT = 0x1654AE6B, 0xAE, 0xE0, 0xB0, 0xBA
CHAPTERS, EDITION, CHAPTER_ATOM = 0x1043A770, 0x45B9, 0xB6
ATTACHMENTS, ATTACHED_FILE = 0x1941A469, 0x61A7

MASTERS = {INFO, TRACKS, TRACK_ENTRY, VIDEO, CHAPTERS, EDITION, CHAPTER_ATOM, ATTACHMENTS, ATTACHED_FILE}
LINKS = {
    0x3CB923: "previous segment",
    0x3EB923: "next segment",
    0x3C83AB: "previous file name",
    0x3E83BB: "next file name",
    0x6E67: "chapter of another segment",
    0x4675: "attachment kept elsewhere",
}
"""Elements that make a player look for other files."""
ELEMENTS_MAX = 2_000_000
DEPTH_MAX = 8
UNKNOWN = -1
"""Size of an element of a live recording: until the next one of its level."""


@dataclass(frozen=True)
class Element:
    id: int
    start: int
    end: int
    """UNKNOWN for live recordings."""


def doc_type(head: bytes) -> str:
    """`matroska` or `webm` from a file's first bytes; empty when they are not EBML."""
    at = head.find(b"\x42\x82", 4, 64)
    if head[:4] != b"\x1a\x45\xdf\xa3" or at < 0:
        return ""
    length = head[at + 2] & 0x7F
    return head[at + 3 : at + 3 + length].rstrip(b"\0").decode("latin-1")


def inspect(file: BinaryIO, size: int) -> Headers:
    """Claims of segment information and tracks. See the package for the errors."""
    segment = next((element for element in _elements(file, 0, size) if element.id == SEGMENT), None)
    if segment is None:
        raise EchoError(Code.TRUNCATED, "a Matroska header without segment")
    if segment.end > size:
        raise EchoError(
            Code.TRUNCATED, f"the segment ends at byte {segment.end}, the file has {size}", {"bytes": size}
        )
    numbers: dict[int, float] = {}
    end = size if segment.end == UNKNOWN else segment.end
    for element in _descend(file, segment.start, end):
        if element.id in LINKS:
            raise EchoError(Code.EXTERNAL_REFERENCE, f"linked Matroska file: {LINKS[element.id]}")
        value = _number(file, element)
        numbers[element.id] = max(numbers.get(element.id, 0.0), value)
    tick_s = numbers.get(TIMESTAMP_SCALE, 1e6) / 1e9
    return Headers(
        int(numbers.get(PIXEL_WIDTH, 0)),
        int(numbers.get(PIXEL_HEIGHT, 0)),
        numbers.get(DURATION, 0.0) * tick_s,
    )


def _elements(file: BinaryIO, start: int, end: int) -> Iterator[Element]:
    position = start
    for _ in range(ELEMENTS_MAX):
        if position >= end:
            return
        file.seek(position)
        head = file.read(12)
        id_length = _length(head[:1])
        size_length = _length(head[id_length : id_length + 1]) if id_length <= 4 else 9
        if size_length > 8 or len(head) < id_length + size_length:
            return  # torn or not EBML any more: the packet scan judges what is left
        raw = int.from_bytes(head[id_length : id_length + size_length])
        size = raw & ((1 << (7 * size_length)) - 1)
        content = position + id_length + size_length
        unknown = size == (1 << (7 * size_length)) - 1
        element = Element(int.from_bytes(head[:id_length]), content, UNKNOWN if unknown else content + size)
        yield element
        if unknown:
            return
        position = element.end
    raise EchoError(Code.CORRUPT, f"more than {ELEMENTS_MAX} elements")


def _length(first: bytes) -> int:
    """Bytes of a variable-size integer: one more than the leading zero bits of its first byte."""
    return 9 - first[0].bit_length() if first else 9


READ = {TIMESTAMP_SCALE, DURATION, PIXEL_WIDTH, PIXEL_HEIGHT, *LINKS}


def _descend(file: BinaryIO, start: int, end: int, depth: int = 0) -> Iterator[Element]:
    for element in _elements(file, start, end):
        if element.end > end:
            raise EchoError(Code.TRUNCATED, f"element {element.id:#x} ends at byte {element.end} of {end}")
        if element.id in MASTERS and element.end != UNKNOWN and depth < DEPTH_MAX:
            yield from _descend(file, element.start, element.end, depth + 1)
        elif element.id in READ:
            yield element


def _number(file: BinaryIO, element: Element) -> float:
    if element.end == UNKNOWN:  # only masters may be of unknown size
        return 0.0
    file.seek(element.start)
    data = file.read(min(element.end - element.start, 8))
    if element.id == DURATION:
        return float(struct.unpack({4: ">f", 8: ">d"}[len(data)], data)[0]) if len(data) in (4, 8) else 0.0
    return float(int.from_bytes(data))
