"""Which frames of the source a clip consists of, read from packets around the range alone.

A clip's first frame is the one on screen at its start, its last the one on screen just before its end. Frames are
not cut in time, so a clip begins up to a frame before the time asked for; only a picture that stood still for long
is cut where it was asked.
"""

from __future__ import annotations

import bisect
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from contracts.errors import Code, EchoError
from contracts.media import MediaInfo
from media.clips.avc import is_idr
from media.decode import shown_pts
from media.opening import open_media, video_stream
from media.timeline import REORDER_MAX

ROUNDING_S = Fraction(1, 1000)
"""Times are handed on in milliseconds: a frame that begins this little after a time has begun at it."""
HELD_S = Fraction(1, 10)
"""A picture on screen for longer is cut in time: ten frames a second is the slowest that still moves."""
STEP_BACK_S = 4
"""How much earlier the file is entered again when the key frame found came too late; doubled each time."""


@dataclass(frozen=True)
class Coded:
    """One frame as it lies in the file."""

    pts: int
    key: bool
    idr: bool
    """Nothing after it in the file needs anything before it. Known of H.264 in MP4 alone."""


@dataclass(frozen=True)
class Window:
    """All times in the stream's time base."""

    time_base: Fraction
    pts: tuple[int, ...]
    """Of the clip's frames, ascending."""
    origin: int
    """The source's time that is the clip's time 0: of the first frame, unless that is held for long."""
    end: int
    """When the last frame leaves the screen."""
    coded: tuple[Coded, ...]
    """From a key frame at or before the first frame on, in decoding order, to beyond the last."""

    @property
    def duration_s(self) -> Fraction:
        return (self.end - self.origin) * self.time_base

    @property
    def origin_s(self) -> Fraction:
        return self.origin * self.time_base

    def shown(self) -> list[int]:
        """When each frame is shown, on the clip's own timeline, in ticks."""
        return [max(0, pts - self.origin) for pts in self.pts]

    def key_before(self, pts: int) -> int:
        """Time of the key frame from which the frame at `pts` can be decoded."""
        keys = (frame.pts for frame in self.coded if frame.key and frame.pts <= pts)
        return max(keys, default=self.coded[0].pts)


def read_window(path: Path, info: MediaInfo, start_s: Fraction, end_s: Fraction) -> Window:
    """Times on the video's own timeline, which begins at 0 with its first frame.

    Raises RANGE_OUTSIDE when no frame is shown there, CORRUPT when no key frame leads to it.
    """
    with open_media(path, info.container) as container:
        stream = video_stream(container)
        assert stream.time_base is not None
        tick, first_s = stream.time_base, info.picture.start_s
        begin = int((first_s + start_s + ROUNDING_S) / tick)
        until = (first_s + end_s - ROUNDING_S) / tick
        coded = _around(container, stream, begin, until, int(first_s / tick))
    times = sorted({frame.pts for frame in coded})
    first = max(0, bisect.bisect_right(times, begin) - 1)
    stop = bisect.bisect_left(times, until)
    pts = tuple(times[first:stop])
    if not pts:
        raise EchoError(Code.RANGE_OUTSIDE, f"no frame is shown from {float(start_s)} s to {float(end_s)} s")
    video_end = round((first_s + info.picture.duration_s) / tick)
    shown_until = times[stop] if stop < len(times) else max(video_end, pts[-1] + 1)
    origin = _cut_if_held(pts[0], round((first_s + start_s) / tick), tick)
    end = max(pts[-1] + 1, _cut_if_held(shown_until, round((first_s + end_s) / tick), tick))
    return Window(tick, pts, origin, end, tuple(coded))


def _cut_if_held(border: int, asked: int, tick: Fraction) -> int:
    """`border`: where the picture's time on screen begins or ends."""
    return asked if abs(asked - border) * tick > HELD_S else border


def _around(
    container: InputContainer, stream: VideoStream, begin: int, until: Fraction, first_pts: int
) -> list[Coded]:
    assert stream.time_base is not None
    back = 0
    while True:
        enter = begin - int(back / stream.time_base)
        from_start = enter <= first_pts
        # Without a place to go to, seeking to the very start is opening anew.
        container.seek(min(first_pts, stream.start_time or 0) if from_start else enter, stream=stream)
        coded = _read(container, stream, until)
        if from_start or any(frame.key and frame.pts <= begin for frame in coded):
            break
        back = 2 * back or STEP_BACK_S
    if not coded:
        raise EchoError(Code.CORRUPT, "no frame can be read there")
    return coded


def _read(container: InputContainer, stream: VideoStream, until: Fraction) -> list[Coded]:
    coded: list[Coded] = []
    beyond = 0
    for packet in container.demux(stream):
        pts = shown_pts(packet, stream)
        if pts is None:
            continue
        coded.append(_coded(packet, pts, stream))
        # In decoding order a frame of the clip may still follow one from behind its end.
        beyond = beyond + 1 if pts >= until else 0
        if beyond > REORDER_MAX:
            break
    return coded


def _coded(packet: Packet, pts: int, stream: VideoStream) -> Coded:
    idr = packet.is_keyframe and stream.codec_context.name == "h264" and is_idr(bytes(packet))
    return Coded(pts, packet.is_keyframe, idr)
