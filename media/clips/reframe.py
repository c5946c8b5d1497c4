"""From the source's pictures to those of a clip: cropped along a path, scaled, turned upright, in ordinary colours.

The crop is cut twice: roughly before scaling, exactly after it. So only what is seen is scaled, and a crop that
moves does so by whole pixels of the result, however coarse the source's are.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from av.error import EOFError as EndOfStream
from av.filter import Graph
from av.video.format import VideoFormat
from av.video.frame import VideoFrame

from contracts.kinds.clip import ClipFormat, CropPoint
from contracts.media import ColorInfo, VideoInfo
from media.color import ColorModel
from media.tonemap import to_sdr

SIZES = {
    ClipFormat.VERTICAL: (1080, 1920),
    ClipFormat.SQUARE: (1080, 1080),
    ClipFormat.LANDSCAPE: (1920, 1080),
}
ENLARGEMENT_MAX = 2
"""A source so small that it would be enlarged further gives a smaller clip of the same shape instead."""
MARGIN_PX = 4
"""Of the rough crop around the exact one: what scaling filters look at beyond the edge."""
BT709 = ColorInfo(range="tv", matrix="bt709", primaries="bt709", transfer="bt709")
CUBE_POINTS = 49
"""A side of the table that stands for the tone curve; both HDR signals are even to the eye, so this is fine enough."""
SWS_MATRICES = {"bt2020nc": "bt2020", "bt2020c": "bt2020"}


@dataclass(frozen=True)
class Frame:
    """What the clip shows of each picture."""

    width: int
    """Of the result, in pixels."""
    height: int
    crop_width: float
    """In pixels of the shown source: turned, with square pixels."""
    crop_height: float


def shown_size(video: VideoInfo) -> tuple[float, float]:
    """Turned, with square pixels."""
    width, height = float(video.width * video.sample_aspect), float(video.height)
    return (height, width) if video.rotation_deg in (90, 270) else (width, height)


def frame_of(video: VideoInfo, form: ClipFormat) -> Frame:
    """The largest crop of the format's shape, and the format's size or as much of it as the source is good for."""
    full_width, full_height = SIZES[form]
    width, height = shown_size(video)
    shape = full_width / full_height
    crop = (min(width, height * shape), min(height, width / shape))
    # Sides are even, and their ratio is exact: multiples of the smallest such size.
    common = math.gcd(full_width, full_height) // 2
    unit = (full_width // common, full_height // common)
    steps = min(common, max(1, int(ENLARGEMENT_MAX * crop[0] / unit[0] + 1e-6)))
    return Frame(steps * unit[0], steps * unit[1], *crop)


def centre_at(path: Sequence[CropPoint], at_s: float) -> tuple[float, float]:
    """Between two points straight, before the first and after the last still; without any the middle."""
    if not path:
        return 0.5, 0.5
    right = bisect.bisect_right(path, at_s, key=lambda point: point.at_s)
    if right in (0, len(path)):
        point = path[min(right, len(path) - 1)]
        return point.x, point.y
    a, b = path[right - 1], path[right]
    share = (at_s - a.at_s) / (b.at_s - a.at_s)
    return a.x + share * (b.x - a.x), a.y + share * (b.y - a.y)


class Reframer:
    """Frames of one source, one in, one out. `scratch` is a folder for the tone curve's table."""

    def __init__(
        self, video: VideoInfo, codec_model: ColorModel, pixel_format: str, form: ClipFormat, scratch: Path
    ) -> None:
        self.frame = frame_of(video, form)
        self._video = video
        aspect = float(video.sample_aspect)
        turned = video.rotation_deg in (90, 270)
        shown = (self.frame.crop_width, self.frame.crop_height)
        out = (self.frame.width, self.frame.height)
        crop, target = (shown[::-1], out[::-1]) if turned else (shown, out)
        self._across = _Axis.of(video.width, crop[0] / aspect, target[0])
        self._down = _Axis.of(video.height, crop[1], target[1])
        self._build(codec_model, pixel_format, scratch)

    def _build(self, model: ColorModel, pixel_format: str, scratch: Path) -> None:
        video, across, down = self._video, self._across, self._down
        graph = Graph()
        graph.threads = 2
        self._graph = graph
        start = graph.add_buffer(
            width=video.width,
            height=video.height,
            format=VideoFormat(pixel_format),
            time_base=Fraction(1, 90_000),
        )
        self._rough = graph.add("crop", w=str(across.rough), h=str(down.rough), x="0", y="0")
        self._exact = graph.add("crop", w=str(across.target), h=str(down.target), x="0", y="0", exact="1")
        nodes = [start, self._rough, *self._colours(model, scratch), self._exact]
        if video.mirrored:
            nodes.append(graph.add("hflip"))
        nodes += [graph.add(name, **options) for name, options in _TURNS[video.rotation_deg]]
        nodes += [graph.add("setsar", sar="1"), graph.add("buffersink")]
        graph.link_nodes(*nodes).configure()

    def _colours(self, model: ColorModel, scratch: Path) -> list:
        graph = self._graph
        size = {"w": str(self._across.scaled), "h": str(self._down.scaled), "flags": "lanczos+accurate_rnd"}
        source = {
            "in_color_matrix": SWS_MATRICES.get(model.matrix, model.matrix),
            "in_range": "full" if model.full_range else "limited",
        }
        result = {"out_color_matrix": "bt709", "out_range": "limited"}
        if not self._video.hdr:
            return [graph.add("scale", **size, **source, **result), graph.add("format", pix_fmts="yuv420p")]
        table = scratch / "tone.cube"
        table.write_text(_cube(self._video.color.transfer), encoding="ascii")
        return [
            graph.add("scale", **size, **source),
            graph.add("format", pix_fmts="gbrp12le"),
            graph.add("lut3d", file=str(table), interp="tetrahedral"),
            graph.add("scale", in_range="full", **result),
            graph.add("format", pix_fmts="yuv420p"),
        ]

    def apply(self, frame: VideoFrame, centre: tuple[float, float]) -> VideoFrame:
        """`centre` as in a CropPoint. The frame's time stays."""
        x, y = self._coded(*centre)
        for name, axis, share in (("x", self._across, x), ("y", self._down, y)):
            rough, exact = axis.place(share)
            self._rough.process_command(name, str(rough))
            self._exact.process_command(name, str(exact))
        pts = frame.pts
        self._graph.vpush(frame)
        try:
            made = self._graph.vpull()
        except (BlockingIOError, EndOfStream) as error:
            raise AssertionError("the filters kept a frame back") from error
        made.pts = pts
        return made

    def _coded(self, u: float, v: float) -> tuple[float, float]:
        """From shares of the shown picture to shares of the coded one: the turn undone, then the mirroring."""
        x, y = {0: (u, v), 90: (v, 1 - u), 180: (1 - u, 1 - v), 270: (1 - v, u)}[self._video.rotation_deg]
        return (1 - x if self._video.mirrored else x), y


@dataclass(frozen=True)
class _Axis:
    """The two crops along one side of the coded picture."""

    size: int
    crop: float
    """Wanted, in coded pixels."""
    rough: int
    scaled: int
    """Pixels that the rough crop becomes."""
    target: int

    @classmethod
    def of(cls, size: int, crop: float, target: int) -> _Axis:
        rough = min(size, _even_up(crop) + MARGIN_PX)
        return cls(size, crop, rough, max(target, _even_up(rough * target / crop - 1)), target)

    def place(self, centre: float) -> tuple[int, int]:
        """Where the rough crop begins in the source, and the exact one in what became of it."""
        first = min(max(0.0, centre * self.size - self.crop / 2), self.size - self.crop)
        # On an even pixel, where chroma begins.
        rough = min(max(0, int(first) - MARGIN_PX // 2) // 2 * 2, (self.size - self.rough) // 2 * 2)
        exact = round((first - rough) * self.scaled / self.rough)
        return rough, min(max(0, exact), self.scaled - self.target)


_TURNS: dict[int, list[tuple[str, dict[str, str]]]] = {
    0: [],
    90: [("transpose", {"dir": "clock"})],
    180: [("hflip", {}), ("vflip", {})],
    270: [("transpose", {"dir": "cclock"})],
}


def _even_up(pixels: float) -> int:
    return 2 * math.ceil(pixels / 2)


def _cube(transfer: str) -> str:
    """`to_sdr` as a table in the form of Adobe's Cube LUT 1.0: red changes fastest."""
    levels = np.linspace(0, 1, CUBE_POINTS, dtype=np.float32)
    blue, green, red = np.meshgrid(levels, levels, levels, indexing="ij")
    colours = np.stack([red, green, blue], axis=-1).reshape(1, -1, 3)
    rows = to_sdr(colours, transfer).reshape(-1, 3) / 255
    return f"LUT_3D_SIZE {CUBE_POINTS}\n" + "".join(f"{r:.5f} {g:.5f} {b:.5f}\n" for r, g, b in rows)
