"""Encoding of a clip's pictures at the times they have in the source, whatever its frame rate."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import pairwise

import numpy as np
from av.codec.context import CodecContext, Flags
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType, VideoFrame

from contracts.errors import Code, EchoError
from contracts.media import ColorInfo
from media.color import Picture
from media.encode import tag

KEY_FRAME_S = 2
"""Distance of key frames: how exactly a player can seek."""
THREADS = 2
"""Fixed, as a clip must not depend on the machine; a worker's engine has about as many cores."""
FPS_GUESS_MAX = 240


Unit = tuple[int, bytes, bool]
"""A coded picture: shown at (the clip's time, in ticks), data, is key frame."""


@dataclass(frozen=True)
class Coding:
    """How pictures are coded. `options` are the encoder's own, in FFmpeg's words."""

    codec: str
    pixel_format: str
    width: int
    height: int
    time_base: Fraction
    fps: Fraction
    """About: the times of the frames decide."""
    color: ColorInfo
    sample_aspect: Fraction = Fraction(1)
    options: dict[str, str] = field(default_factory=dict[str, str])

    def with_options(self, **options: str) -> Coding:
        return replace(self, options=self.options | options)

    def context(self) -> VideoCodecContext:
        """An open encoder."""
        context = CodecContext.create(self.codec, "w")
        assert isinstance(context, VideoCodecContext)
        self.configure(context)
        context.open()
        return context

    def configure(self, context: VideoCodecContext) -> None:
        """An encoder, for packets or for the header that describes them."""
        context.width, context.height, context.pix_fmt = self.width, self.height, self.pixel_format
        context.time_base = self.time_base
        context.framerate = min(self.fps, Fraction(FPS_GUESS_MAX)).limit_denominator(1001)
        # Key frames come by time, see `coded`; the count only bounds what the encoder may do by itself.
        context.gop_size = max(1, round(2 * KEY_FRAME_S * self.fps))
        # By frames, so that the encoder works while the next frame is decoded and scaled.
        context.thread_count, context.thread_type = THREADS, "FRAME"
        context.sample_aspect_ratio = self.sample_aspect
        context.flags |= Flags.global_header
        tag(context, self.color)
        if self.codec == "libx265":
            context.codec_tag = "hvc1"
        context.options = {"forced-idr": "1"} | self.options


@dataclass(frozen=True)
class CodedPictures:
    """Packets in decoding order; their presentation times are those of the frames given."""

    packets: list[Packet]
    context: VideoCodecContext

    @property
    def units(self) -> list[Unit]:
        return [(packet.pts or 0, bytes(packet), packet.is_keyframe) for packet in self.packets]


def coded(coding: Coding, frames: Iterable[VideoFrame]) -> CodedPictures:
    """Frames come with ascending times in the coding's time base. Memory: the coded pictures of one clip."""
    context = coding.context()
    packets: list[Packet] = []
    key_due: int | None = None
    distance = int(KEY_FRAME_S / coding.time_base)
    for frame in frames:
        assert frame.pts is not None
        frame.time_base = coding.time_base
        if key_due is None or frame.pts >= key_due:
            frame.pict_type = PictureType.I
            key_due = frame.pts + distance
        packets += context.encode(frame)
    packets += context.encode(None)
    if not packets:
        raise EchoError(Code.ENGINE_CRASHED, "the encoder made nothing")
    return CodedPictures(packets, context)


def as_frame(picture: Picture, pixel_format: str, pts: int) -> VideoFrame:
    """Code values as they are, in a frame of FFmpeg's."""
    width, height = picture.size
    frame = VideoFrame(width, height, pixel_format)
    for plane, values in zip(frame.planes, picture.planes(), strict=True):
        rows = np.frombuffer(memoryview(plane), values.dtype).reshape(plane.height, -1)
        rows[:, : plane.width] = values
    frame.pts = pts
    return frame


def brightness(frame: VideoFrame) -> float:
    """Mean luma, as a share of the largest code value."""
    plane = frame.planes[0]
    bits = frame.format.components[0].bits
    kind = np.dtype(np.uint8 if bits == 8 else np.uint16)
    rows = np.frombuffer(memoryview(plane), kind).reshape(plane.height, plane.line_size // kind.itemsize)
    return float(rows[:, : plane.width].mean()) / (2**bits - 1)


def timed(units: list[Unit], end: int, time_base: Fraction) -> Iterator[Packet]:
    """Packets in decoding order, with decoding times and durations.

    Decoding times are the sorted presentation times, moved ahead by what the deepest reordering needs: they never
    repeat and never come after their picture's own time, wherever the pictures were coded.
    """
    shown = sorted(pts for pts, _, _ in units)
    ahead = max(early - pts for early, (pts, _, _) in zip(shown, units, strict=True))
    lasts = {pts: following - pts for pts, following in pairwise([*shown, end])}
    for early, (pts, data, key) in zip(shown, units, strict=True):
        packet = Packet(data)
        packet.pts, packet.dts, packet.duration = pts, early - ahead, max(1, lasts[pts])
        packet.time_base, packet.is_keyframe = time_base, key
        yield packet
