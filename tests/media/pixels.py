"""Small helpers of the pixel tests: probed clips, planned work, pictures before encoding."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np

from contracts.kinds.enhance import EnhanceParams, EnhancePlan, SegmentSpec
from contracts.media import MediaInfo, MediaLimits
from dev.clips.writer import Look, write
from media.color import ColorModel, Picture
from media.decode import Decoder, SourceFrame
from media.plan import plan_enhance
from media.probe import probe
from media.segment import SegmentPictures

PLAIN = EnhanceParams(upscaler="lanczos")
"""Everything but the network, which has tests of its own: fast, and exact to predict."""


@dataclass(frozen=True)
class Job:
    path: Path
    info: MediaInfo
    plan: EnhancePlan
    params: EnhanceParams

    @property
    def whole(self) -> SegmentSpec:
        """One segment that is the whole job."""
        first, last = self.plan.segments[0], self.plan.segments[-1]
        return first.model_copy(
            update={
                "out_end": last.out_end,
                "src_last_pts": last.src_last_pts,
                "src_frames": self.plan.src_frames,
            }
        )

    def source_frames(self) -> list[SourceFrame]:
        return list(self._frames(self.whole))

    def pictures(self, segment: SegmentSpec) -> list[Picture]:
        """What is handed to the encoder."""
        return list(self.work(segment).pictures(self._frames(segment)))

    def work(self, segment: SegmentSpec) -> SegmentPictures:
        return SegmentPictures(self.info, self.plan, segment, self.params)

    def _frames(self, segment: SegmentSpec) -> Iterator[SourceFrame]:
        with Decoder(self.path, self.info) as decoder:
            yield from decoder.frames(
                segment.seek_pts, segment.src_first_pts, segment.src_last_pts, segment.src_frames
            )


def job(path: Path, params: EnhanceParams = PLAIN) -> Job:
    info = probe(path, MediaLimits())
    return Job(path, info, plan_enhance(path, info, params), params)


def cut_at(job: Job, *cuts: int) -> list[SegmentSpec]:
    """Any cut of the timeline is legal: segments that start at these output frames."""
    from media.grid import Grid
    from media.plan import _segment, read_times

    times = read_times(job.path, job.info)
    grid = Grid(times.pts[0], times.time_base, job.plan.fps_out, times.nominal_gap_pts)
    edges = [0, *cuts, job.plan.out_frames]
    return [_segment(i, a, b, times, grid) for i, (a, b) in enumerate(pairwise(edges))]


def clip_of(
    path: Path,
    times_s: list[Fraction],
    draw: Callable[[int], np.ndarray],
    last_s: Fraction = Fraction(1, 30),
    rate: Fraction | int = 30,
    **look: object,
) -> Path:
    """A clip of drawn RGB pictures at these times, lossless: what a lossy x264 makes of such small ones differs from
    call to call, and so would everything made of them."""
    # Without B-frames, with which MP4 cannot say how long the last frame is shown.
    options = {"preset": "ultrafast", "qp": "0", "g": "12", "bf": "0"}
    pictures = [(time, draw(number)) for number, time in enumerate(times_s)]
    return write(path, pictures, last_s=last_s, rate=rate, look=Look(**({"options": options} | look)))  # type: ignore[arg-type]


def every(fps: Fraction | int, frames: int) -> list[Fraction]:
    return [Fraction(number) / Fraction(fps) for number in range(frames)]


def flat(color: ColorModel, rgb: tuple[float, float, float], size: tuple[int, int] = (48, 32)) -> Picture:
    """A picture of one colour, RGB 0 to 1, as 4:2:0 code values."""
    yuv = color.to_yuv(np.full((size[1], size[0], 3), rgb, np.float32))
    return color.quantize(Picture(yuv[..., 0], yuv[::2, ::2, 1], yuv[::2, ::2, 2]))


def textured(width: int = 96, height: int = 64, seed: int = 3) -> np.ndarray:
    """Smooth random RGB texture: something that motion can be seen on."""
    import cv2

    noise = np.random.default_rng(seed).integers(0, 256, (height // 4, width // 4, 3)).astype(np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    error = float(((a.astype(np.float64) - b) ** 2).mean())
    return float("inf") if error == 0 else 10 * float(np.log10(255**2 / error))
