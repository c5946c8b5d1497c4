"""Puts a clip's coded pictures and sounds into one MP4, in the order in which they are needed."""

from __future__ import annotations

import heapq
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Stream

from contracts.media import AudioInfo, MediaInfo
from media.clips import aac
from media.clips.coding import Coding
from media.editlist import set_duration
from media.manifest import publish
from media.mux import INDEX_BYTES, INDEX_BYTES_PER_PACKET
from media.opening import open_media, video_stream
from media.orientation import Orientation, to_matrix

MOVIE_TIMESCALE = 90_000


@dataclass(frozen=True)
class Track:
    """Packets in decoding order, and how their stream is declared."""

    declare: Callable[[OutputContainer], Stream]
    packets: list[Packet]
    shown_s: Fraction | None = None
    """How much of it is shown; None: all, from time 0 on."""

    @property
    def bytes(self) -> int:
        return sum(packet.size for packet in self.packets)


@dataclass(frozen=True)
class Made:
    """The pictures of a clip, ready to be written."""

    track: Track
    shown: list[int]
    """When, in ticks of the window's time base from the clip's first frame on."""
    copied: Literal["all", "inner", "none"]
    width: int
    """As coded, before any turn."""
    height: int
    brightness: float
    """Of the first picture, before it was coded here."""


def write(path: Path, tracks: list[Track], timescale: int) -> None:
    """Writes `path` whole or not at all; the picture is the first track, its times are in 1 / `timescale` seconds."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    room = INDEX_BYTES + INDEX_BYTES_PER_PACKET * sum(len(track.packets) for track in tracks)
    options = {
        "moov_size": str(room), "video_track_timescale": str(timescale), "movie_timescale": str(MOVIE_TIMESCALE),
    }  # fmt: skip
    try:
        with av.open(str(partial), "w", format="mp4", options=options) as container:
            feeds = [_feed(track, track.declare(container)) for track in tracks]
            for _, packet in heapq.merge(*feeds, key=lambda timed: timed[0]):
                container.mux(packet)
        for number, track in enumerate(tracks):
            if track.shown_s is not None:
                set_duration(partial, number, round(track.shown_s * MOVIE_TIMESCALE))
        publish(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _feed(track: Track, stream: Stream) -> Iterator[tuple[Fraction, Packet]]:
    for packet in track.packets:
        assert packet.dts is not None
        packet.stream = stream
        yield packet.dts * packet.time_base, packet


def coded_picture(coding: Coding, orientation: Orientation | None) -> Callable[[OutputContainer], Stream]:
    def declare(container: OutputContainer) -> Stream:
        stream = container.add_stream(coding.codec, rate=coding.fps.limit_denominator(1001))
        coding.configure(stream.codec_context)  # pyright: ignore[reportArgumentType]
        stream.time_base = coding.time_base
        if orientation and orientation != Orientation():
            stream.set_display_matrix(to_matrix(orientation))  # pyright: ignore[reportAttributeAccessIssue]
        return stream

    return declare


def copied_picture(
    source: Path, info: MediaInfo, extradata: bytes | None = None
) -> Callable[[OutputContainer], Stream]:
    """`extradata`: another decoder configuration than the source's."""

    def declare(container: OutputContainer) -> Stream:
        with open_media(source, info.container) as original:
            template = video_stream(original)
            stream = container.add_stream_from_template(template)
            if extradata is None:
                # Whether parameter sets lie in the header alone, which Apple's players ask for.
                stream.codec_context.codec_tag = template.codec_context.codec_tag
        stream.codec_context.extradata = extradata or stream.codec_context.extradata
        return stream

    return declare


def coded_sound(made: aac.CodedSound, language: str) -> Callable[[OutputContainer], Stream]:
    def declare(container: OutputContainer) -> Stream:
        stream = container.add_stream("aac", rate=made.rate)
        assert isinstance(stream, AudioStream)
        aac.configure(stream.codec_context, made.rate, made.layout)
        return _named(stream, language)

    return declare


def copied_sound(source: Path, info: MediaInfo, track: AudioInfo) -> Callable[[OutputContainer], Stream]:
    def declare(container: OutputContainer) -> Stream:
        with open_media(source, info.container) as original:
            stream = container.add_stream_from_template(original.streams[track.stream_index])
        return _named(stream, track.language)

    return declare


def _named(stream: Stream, language: str) -> Stream:
    if language:
        stream.metadata["language"] = language
    return stream
