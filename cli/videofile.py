"""What the CLI must know of a file before it is sent: type and duration by its first bytes, SHA-256 by all of them.

Only what a client needs to announce an upload; the platform measures everything again and trusts nothing of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from cli.exits import Exit, Stop
from cli.messages import Messages
from contracts.errors import Code, sentence
from contracts.kinds.base import Need

CHUNK_BYTES = 1024**2
TAGS_MAX = 100
BOXES_MAX = 1000
"""Top-level boxes looked at; a recording has a handful."""
BOXED = frozenset({"video/mp4", "video/quicktime", "audio/mp4"})
SOUND_BRANDS = frozenset({b"M4A ", b"M4B "})
QUICKTIME_FIRST_BOXES = frozenset({b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"})
"""How QuickTime files without `ftyp` begin (QuickTime File Format, "Overview of the file format")."""


@dataclass(frozen=True)
class VideoFile:
    path: Path
    bytes: int
    content_type: str
    duration_ms: int | None
    """As an MP4, M4A or MOV claims it; None for other containers."""


def inspect(path: Path, messages: Messages, needs: frozenset[Need] = frozenset()) -> VideoFile:
    """Raises `Stop` for what is plainly no video or sound file, or has no picture where one is needed, before a long
    upload."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(4096)
            content_type = sniff(_behind_tags(file, head))
            duration_ms = _duration_ms(file) if content_type in BOXED else None
    except OSError as error:
        raise Stop(Exit.USAGE, messages("no_file", path=path)) from error
    if not head:
        raise Stop(Exit.BAD_FILE, messages("empty_file", path=path))
    if content_type is None:
        raise _bad_file(path, Code.NOT_A_VIDEO, messages)
    if Need.PICTURE in needs and content_type.startswith("audio/"):
        raise _bad_file(path, Code.NO_VIDEO, messages)
    return VideoFile(path, size, content_type, duration_ms)


def _bad_file(path: Path, code: Code, messages: Messages) -> Stop:
    return Stop(Exit.BAD_FILE, f"{path}: {sentence(code, messages.locale)}", code)


def sniff(head: bytes) -> str | None:
    """Media type by the magic numbers of ISO 14496-12, QuickTime, RIFF, EBML, Ogg, FLAC and MP3."""
    if head[4:8] == b"ftyp":
        if head[8:12] in SOUND_BRANDS:
            return "audio/mp4"
        return "video/quicktime" if head[8:12] == b"qt  " else "video/mp4"
    if head[4:8] in QUICKTIME_FIRST_BOXES:
        return "video/quicktime"
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return "video/x-msvideo"
    if head[:4] == b"\x1a\x45\xdf\xa3":
        return "video/webm" if b"\x42\x82\x84webm" in head else "video/x-matroska"
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        return "audio/wav"
    if head[:4] == b"OggS":
        return "audio/ogg"
    if head[:4] == b"fLaC":
        return "audio/flac"
    if head[:1] == b"\xff" and len(head) > 1 and head[1] & 0xE6 == 0xE2:  # a frame of layer III
        return "audio/mpeg"
    return None


def _behind_tags(file: BinaryIO, head: bytes) -> bytes:
    """What comes behind the ID3v2 tags that may stand in front of MP3 and FLAC: a length is in four times 7 bits."""
    position = 0
    for _ in range(TAGS_MAX):
        if head[:3] != b"ID3" or len(head) < 10:
            break
        position += 10 + sum((head[9 - place] & 0x7F) << 7 * place for place in range(4))
        file.seek(position)
        head = file.read(4096)
    return head.lstrip(b"\0") if position else head


def sha256_of(path: Path, on_bytes: Callable[[int], None]) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
            on_bytes(len(chunk))
    return digest.hexdigest()


def _duration_ms(file: BinaryIO) -> int | None:
    """From the movie header (`moov/mvhd`), wherever in the file it stands; None when it says nothing usable."""
    end = file.seek(0, 2)
    found = _box(file, b"moov", 0, end)
    found = found and _box(file, b"mvhd", *found)
    if not found:
        return None
    file.seek(found[0])
    body = file.read(32)
    wide = body[:1] == b"\x01"  # version 1 has 64-bit times
    timescale = int.from_bytes(body[20:24] if wide else body[12:16], "big")
    units = int.from_bytes(body[24:32] if wide else body[16:20], "big")
    unknown = 2**64 - 1 if wide else 2**32 - 1
    if not timescale or not units or units == unknown:
        return None
    return max(1, units * 1000 // timescale)


def _box(file: BinaryIO, name: bytes, start: int, end: int) -> tuple[int, int] | None:
    """Where the body of the first box `name` between two offsets begins and ends."""
    for _ in range(BOXES_MAX):
        file.seek(start)
        header = file.read(16)
        size, body = int.from_bytes(header[:4], "big"), start + 8
        if size == 1:  # the size is in the next 8 bytes
            size, body = int.from_bytes(header[8:16], "big"), start + 16
        stop = end if size == 0 else min(end, start + size)
        if header[4:8] == name:
            return body, stop
        if stop < body or stop >= end:
            return None
        start = stop
    return None
