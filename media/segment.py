"""One segment in one pass: decode, enlarge each source frame once, interpolate to the output's grid, encode.

Two enlarged frames are held at a time, so memory does not depend on length. Each output frame depends on its two
source frames alone: segments made anywhere join without a seam.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2

from contracts.errors import Code, EchoError
from contracts.kinds.enhance import EnhanceParams, EnhancePlan, SegmentSpec, SegmentStats
from contracts.media import EngineUse, MediaInfo
from media.color import ColorModel, Picture
from media.decode import Decoder, SourceFrame
from media.encode import Encoding, SegmentWriter
from media.grid import Grid
from media.interpolate import Interpolator, Motion, Shot, small_for_flow
from media.progress import Progress, silent
from media.upscale import Enlarger, make_enlarger


def enhance_segment(
    source: Path,
    info: MediaInfo,
    plan: EnhancePlan,
    segment: SegmentSpec,
    params: EnhanceParams,
    out: Path,
    progress: Progress = silent,
) -> SegmentStats:
    """Writes `out` whole or not at all. Progress: stage `upscale` in source frames, `interpolate` in output frames.

    Raises CORRUPT when too much of the source cannot be decoded, ENGINE_UNAVAILABLE without the network's files.
    """
    model = ColorModel.of(info.picture.color, info.picture.height, info.picture.bit_depth, info.picture.codec)
    encoding = Encoding.of(info.picture, model, plan.width_out, plan.height_out, plan.fps_out)
    started = time.monotonic()
    work = SegmentPictures(info, plan, segment, params, progress)
    with Decoder(source, info) as decoder, SegmentWriter(out, encoding) as writer:
        spec = segment
        frames = decoder.frames(spec.seek_pts, spec.src_first_pts, spec.src_last_pts, spec.src_frames)
        for picture in work.pictures(frames):
            writer.write(picture)
    return SegmentStats(
        frames=segment.out_end - segment.out_first,
        cuts=work.cuts,
        engines=tuple(work.engines(decoder.use, encoding.use)),
        wall_ms=round((time.monotonic() - started) * 1000),
        upscale_ms=round(work.upscale_s * 1000),
        interpolate_ms=round(work.interpolate_s * 1000),
    )


@dataclass
class SegmentPictures:
    """The pictures of one segment, before encoding."""

    info: MediaInfo
    plan: EnhancePlan
    segment: SegmentSpec
    params: EnhanceParams
    progress: Progress = silent
    cuts: int = 0
    upscale_s: float = 0.0
    interpolate_s: float = 0.0
    _enlarger: Enlarger = field(init=False)
    _interpolator: Interpolator = field(init=False, default_factory=Interpolator)

    def __post_init__(self) -> None:
        # OpenCV splits images among threads, and flow would depend on their number.
        cv2.setNumThreads(1)
        video = self.info.picture
        self._model = ColorModel.of(video.color, video.height, video.bit_depth, video.codec)
        self._enlarger = make_enlarger(self.params, self._model)
        plan = self.plan
        self._grid = Grid(plan.src_start_pts, plan.time_base, plan.fps_out, plan.nominal_gap_pts)
        self._upscaled = 0

    def pictures(self, frames: Iterator[SourceFrame]) -> Iterator[Picture]:
        """Exactly those of [out_first, out_end), in order."""
        k, end = self.segment.out_first, self.segment.out_end
        latest: Shot | None = None
        for frame in frames:
            shot = self._enlarge(frame)
            if latest is not None:
                until = min(end, self._grid.first_output(shot.pts))
                for picture in self._between(latest, shot, k, until):
                    yield picture
                    k += 1
                    self._report_output(k)
            latest = shot
        if latest is None:
            raise EchoError(
                Code.CORRUPT, f"no frame between pts {self.segment.src_first_pts} and the segment's end"
            )
        while k < end:  # the last source frame keeps its own duration
            yield latest.picture
            k += 1
            self._report_output(k)

    def engines(self, decode: EngineUse, encode: EngineUse) -> Iterator[EngineUse]:
        yield decode
        if self._enlarger.use:
            yield self._enlarger.use
        if self.params.fps != "source":
            yield self._interpolator.use
        yield encode

    def _enlarge(self, frame: SourceFrame) -> Shot:
        started = time.monotonic()
        picture = self._enlarger.enlarge(frame.picture, self._report_upscale)
        small = small_for_flow(frame.picture, self._model.depth)
        self.upscale_s += time.monotonic() - started
        self._upscaled += 1
        self._report_upscale()
        return Shot(frame.pts, picture, small)

    def _between(self, a: Shot, b: Shot, first: int, until: int) -> Iterator[Picture]:
        """Output frames [first, until), on screen from a's time up to b's."""
        motion: Motion | None = None
        hold = self.params.fps == "source" or self._grid.is_freeze(a.pts, b.pts)
        for k in range(first, until):
            phase = self._grid.phase(k, a.pts, b.pts)
            if hold or phase == 0:
                yield a.picture
                continue
            started = time.monotonic()
            if motion is None:
                motion, hold = self._motion(a, b)
            picture = self._interpolator.between(a, b, motion, phase) if motion else a.picture
            self.interpolate_s += time.monotonic() - started
            yield picture

    def _motion(self, a: Shot, b: Shot) -> tuple[Motion | None, bool]:
        """The motion, or that the first picture is to be held: for a repeated frame and across a cut."""
        if a.picture.equals(b.picture):
            return None, True
        motion = self._interpolator.motion(a, b)
        self.cuts += motion is None
        return motion, motion is None

    def _report_upscale(self) -> None:
        self.progress("upscale", self._upscaled, self.segment.src_frames)

    def _report_output(self, k: int) -> None:
        first, end = self.segment.out_first, self.segment.out_end
        self.progress("interpolate", k - first, end - first)
