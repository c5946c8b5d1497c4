"""Encoding of one segment: an MP4 whose frame k is shown at k / fps, made to be joined with its siblings by copy.

Every segment of a job gets the same encoder settings, so the parameter sets in their headers are equal to the byte,
and starts with an IDR frame of a closed group of pictures. 8-bit video becomes H.264, as every device plays; deeper
video becomes HEVC Main 10, tagged `hvc1`, which is what devices that show HDR decode (docs/adr/012).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import cv2
import numpy as np
from av.container import OutputContainer
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from contracts.media import ColorInfo, EngineUse, VideoInfo
from media import tags
from media.color import ColorModel, Picture
from media.manifest import publish

KEY_FRAME_S = 2
"""Distance of key frames: how exactly a player can seek."""

X264 = {"preset": "veryfast", "crf": "17"}
X265 = {"preset": "superfast", "crf": "18"}
"""Constant quality: docs/adr/012 has the measurements."""
CPU_AVX2 = 11
"""OpenCV's number, which its Python module does not name."""
LOOKAHEAD_FRAMES_MAX, LOOKAHEAD_FRAMES_MIN = 20, 3
LOOKAHEAD_PIXELS = 36_000_000
"""How far the encoder looks ahead, in pixels of all those frames: at 2160p each costs it 25 MB."""


@dataclass(frozen=True)
class Encoding:
    """What all segments of a job have in common."""

    width: int
    height: int
    fps: Fraction
    depth: int
    color: ColorInfo
    sample_aspect: Fraction = Fraction(1)

    @classmethod
    def of(cls, video: VideoInfo, model: ColorModel, width: int, height: int, fps: Fraction) -> Encoding:
        # Players guess the matrix of untagged video by its height. The result is higher than the source, so the
        # guess would change: it is written down instead.
        known = video.color.matrix == model.matrix
        color = video.color if known else video.color.model_copy(update={"matrix": model.matrix})
        return cls(width, height, fps, model.depth, color, video.sample_aspect)

    @property
    def use(self) -> EngineUse:
        version = ".".join(map(str, av.library_versions["libavcodec"]))
        return EngineUse(role="encode", name=self.codec, version=f"libavcodec {version}")

    @property
    def codec(self) -> str:
        return "libx264" if self.depth == 8 else "libx265"

    @property
    def pixel_format(self) -> str:
        return "yuv420p" if self.depth == 8 else "yuv420p10le"


class SegmentWriter:
    """Writes `path` whole or not at all: beside it first, synced, then renamed."""

    def __init__(self, path: Path, encoding: Encoding) -> None:
        self._path = path
        # With the process id: an attempt that was given up may still be writing beside this one.
        self._partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        self._encoding = encoding
        self._next = 0

    def __enter__(self) -> SegmentWriter:
        self._container = av.open(str(self._partial), "w", format="mp4")
        self._stream = _add_stream(self._container, self._encoding)
        return self

    def write(self, picture: Picture) -> None:
        frame = VideoFrame(self._encoding.width, self._encoding.height, self._encoding.pixel_format)
        for plane, values in zip(frame.planes, picture.planes(), strict=True):
            rows = np.frombuffer(memoryview(plane), values.dtype).reshape(plane.height, -1)
            rows[:, : plane.width] = values
        frame.pts = self._next
        frame.time_base = 1 / self._encoding.fps
        self._next += 1
        self._container.mux(self._stream.encode(frame))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._container.mux(self._stream.encode(None))
        finally:
            self._container.close()
            if kind is not None:
                self._partial.unlink(missing_ok=True)
        if kind is None:
            publish(self._partial, self._path)


def _add_stream(container: OutputContainer, encoding: Encoding) -> VideoStream:
    gop = max(1, round(KEY_FRAME_S * encoding.fps))
    stream = container.add_stream(encoding.codec, rate=encoding.fps, options=_options(encoding, gop))
    assert isinstance(stream, VideoStream)
    context = stream.codec_context
    context.width, context.height = encoding.width, encoding.height
    context.pix_fmt = encoding.pixel_format
    context.time_base = stream.time_base = 1 / encoding.fps
    context.gop_size = gop
    # One thread, as one engine process has one core; and threads would make the result depend on their number.
    context.thread_count = 1
    context.sample_aspect_ratio = encoding.sample_aspect
    tag(context, encoding.color)
    if encoding.codec == "libx265":
        context.codec_tag = "hvc1"
    return stream


def _options(encoding: Encoding, gop: int) -> dict[str, str]:
    lookahead = lookahead_frames(encoding.width, encoding.height)
    if encoding.codec == "libx264":
        # `stitchable`: x264 keeps headers free of choices that depend on the content.
        params = f"stitchable=1:open-gop=0:keyint={gop}:rc-lookahead={lookahead}"
        return X264 | {"x264-params": params + repeatable()}
    params = f"open-gop=0:keyint={gop}:repeat-headers=0:rc-lookahead={lookahead}:pools=none:frame-threads=1"
    return X265 | {"x265-params": f"{params}:log-level=error"}


def lookahead_frames(width: int, height: int) -> int:
    """How far an encoder may look ahead without holding too much."""
    fits = LOOKAHEAD_PIXELS // (width * height)
    return max(LOOKAHEAD_FRAMES_MIN, min(fits, LOOKAHEAD_FRAMES_MAX))


def repeatable() -> str:
    """More x264 parameters, with which the same pictures always become the same bytes.

    x264's AVX-512 code gives one in five runs another bitstream (its mbtree reads memory that nobody set); its AVX2
    code does not, and is as fast.
    """
    return ":asm=AVX2" if cv2.checkHardwareSupport(CPU_AVX2) else ""


def tag(context: VideoCodecContext, color: ColorInfo) -> None:
    """Names the colours in the stream's own headers; what is unknown is left unsaid."""
    for names, name, attribute in (
        (tags.RANGES, color.range, "color_range"),
        (tags.MATRICES, color.matrix, "colorspace"),
        (tags.PRIMARIES, color.primaries, "color_primaries"),
        (tags.TRANSFERS, color.transfer, "color_trc"),
    ):
        numbers = {known: number for number, known in names.items()}
        if name in numbers:
            setattr(context, attribute, numbers[name])
