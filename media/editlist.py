"""Rewrites an edit list (ISO/IEC 14496-12, 8.6.6) that FFmpeg's muxer cannot express.

A track that starts late *and* begins with an encoder's priming needs both an empty edit and a skip into the media.
The muxer writes one or the other. So the track is written as if its priming were sound, and here, before the file
gets its name, the skip is put into the second entry, which the muxer has written with media time 0.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

from contracts.errors import Code, EchoError
from media.containers.isobmff import Box, boxes

EMPTY = -1
ENTRIES = {0: ">Iihh", 1: ">Qqhh"}
"""Duration in the movie's time scale, media time in the track's, rate as two halves; by version."""


def skip_priming(path: Path, track: int, priming: int, sample_rate: int, movie_timescale: int) -> None:
    """Lets track number `track` (from 0) skip its first `priming` samples without starting earlier or later.

    Raises EchoError RESULT_UNVERIFIED when the edit list is not an empty edit followed by the whole track.
    """
    with path.open("r+b") as file:
        box = _edit_list(file, path.stat().st_size, track)
        file.seek(box.start)
        content = file.read(box.end - box.start)
        layout = ENTRIES[content[0]]
        size = struct.calcsize(layout)
        entries = [
            struct.unpack_from(layout, content, 8 + index * size)
            for index in range((len(content) - 8) // size)
        ]
        if [media_time for _, media_time, *_ in entries] != [EMPTY, 0]:
            raise EchoError(Code.RESULT_UNVERIFIED, f"track {track} has an unforeseen edit list {entries}")
        duration = max(1, entries[1][0] - priming * movie_timescale // sample_rate)
        file.seek(box.start + 8 + size)
        file.write(struct.pack(layout, duration, priming, 1, 0))


def set_duration(path: Path, track: int, duration: int) -> None:
    """Lets track number `track` (from 0) end after `duration` ticks of the movie; what it holds beyond is not shown.

    Raises EchoError RESULT_UNVERIFIED when the edit list is not one entry.
    """
    with path.open("r+b") as file:
        box = _edit_list(file, path.stat().st_size, track)
        file.seek(box.start)
        version, count = struct.unpack(">B3xI", file.read(8))
        layout = ENTRIES[version]
        if count != 1:
            raise EchoError(Code.RESULT_UNVERIFIED, f"track {track} has {count} edits")
        _, *rest = struct.unpack(layout, file.read(struct.calcsize(layout)))
        file.seek(box.start + 8)
        file.write(struct.pack(layout, duration, *rest))


def shown_duration(path: Path, track: int) -> int:
    """Ticks of the movie for which track number `track` (from 0) is shown: players go by it, while what a demuxer
    tells of the last picture is a distance of decoding times. Raises EchoError RESULT_UNVERIFIED as above."""
    with path.open("rb") as file:
        box = _edit_list(file, path.stat().st_size, track)
        file.seek(box.start)
        version, count = struct.unpack(">B3xI", file.read(8))
        if count != 1:
            raise EchoError(Code.RESULT_UNVERIFIED, f"track {track} has {count} edits")
        return struct.unpack(ENTRIES[version], file.read(struct.calcsize(ENTRIES[version])))[0]


def _edit_list(file: BinaryIO, size: int, track: int) -> Box:
    movie = next(box for box in boxes(file, 0, size) if box.kind == b"moov")
    tracks = [box for box in boxes(file, movie.start, movie.end) if box.kind == b"trak"]
    edits = next(
        (box for box in boxes(file, tracks[track].start, tracks[track].end) if box.kind == b"edts"), None
    )
    lists = [box for box in boxes(file, edits.start, edits.end) if box.kind == b"elst"] if edits else []
    if not lists:
        raise EchoError(Code.RESULT_UNVERIFIED, f"track {track} has no edit list")
    return lists[0]
