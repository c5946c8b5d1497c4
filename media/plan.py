"""The cut of an enhancement: the output's rate and size, and segments that any worker can make alone.

One pass over the packets, nothing decoded: a two-hour source is planned in seconds. Segments start at source key
frames where one is near, elsewhere at any source frame, since decoding starts at the key frame before it.
"""

from __future__ import annotations

import bisect
import hashlib
import json
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from contracts.errors import Code, EchoError
from contracts.kinds.enhance import EnhanceParams, EnhancePlan, SegmentSpec, Upscaler
from contracts.media import MediaInfo, VideoInfo
from media.decode import shown_pts
from media.grid import Grid
from media.opening import open_media, video_stream
from media.progress import Progress, silent
from media.timeline import FrameTimes
from media.upscale.weights import NETWORKS, weights_sha256

PIPELINE_VERSION = 1
"""Part of every fingerprint: raise it when the same input would give other pixels or another encoding."""

FPS_DEFAULT = 60
FPS_KEPT_MIN = Fraction(121, 2)
"""Rates above it are kept. Phones' "60 fps" measures up to 60.3 and is meant to be 60."""

RATES = sorted(
    {Fraction(rate) for rate in (12, 15, 24, 25, 30, 48, 50, 60, 72, 90, 100, 120, 144, 200, 240)}
    | {Fraction(1000 * rate, 1001) for rate in (24, 30, 48, 60, 120, 240)}
)
RATE_TOLERANCE = Fraction(1, 2000)
"""A measured rate this near a customary one is that one. Half the distance between 30 and 29.97."""

SEGMENT_S = 8
"""Target length of output: a retry loses little, and a two-hour video stays below 1000 segments."""
SEGMENT_S_MIN = Fraction(1, 2)
SEGMENTS_MIN = 4
"""Short clips are cut finer than SEGMENT_S so that several workers have something to do."""
SEGMENTS_MAX = 1200
"""A job's history must hold them all."""
KEY_FRAME_REACH = Fraction(1, 8)
"""A cut moves to a key frame at most this share of a segment away."""
SEGMENT_CORE_S = 1200
"""A segment should be no more than 20 minutes of one processor core, so that a crash never costs hours."""
CORE_US_PER_PIXEL: dict[Upscaler, float] = {"animevideov3": 8, "x4plus": 250, "lanczos": 0.5}
"""Of source, on a 2023 Xeon core. Only the cut depends on these."""


BEAT_FRAMES = 500
"""Between reports: some 25 MB of a phone's 4K video, which even a slow disk reads in a second."""


@dataclass(frozen=True)
class SourceTimes:
    """Presentation times of all frames, ascending, in the stream's time base."""

    time_base: Fraction
    pts: list[int]
    keys: list[int]
    end_pts: int
    nominal_gap_pts: int


def plan_enhance(
    path: Path, info: MediaInfo, params: EnhanceParams, progress: Progress = silent
) -> EnhancePlan:
    """Raises NO_FRAMES for a source without frames, CORRUPT for one that cannot be read."""
    times = read_times(path, info, progress)
    fps_out = output_rate(info.picture, times, params)
    grid = Grid(times.pts[0], times.time_base, fps_out, times.nominal_gap_pts)
    duration_s = (times.end_pts - times.pts[0]) * times.time_base
    out_frames = max(1, round(duration_s * fps_out))
    count = segment_count(info.picture, len(times.pts), out_frames / fps_out, params)
    plan = EnhancePlan(
        fingerprint="",
        fps_out=fps_out,
        width_out=_even(info.picture.width * params.scale),
        height_out=_even(info.picture.height * params.scale),
        out_frames=out_frames,
        src_frames=len(times.pts),
        time_base=times.time_base,
        src_start_pts=times.pts[0],
        src_end_pts=times.end_pts,
        nominal_gap_pts=times.nominal_gap_pts,
        segments=tuple(_segments(times, grid, out_frames, count)),
    )
    return plan.model_copy(update={"fingerprint": _fingerprint(info, params, plan)})


def read_times(path: Path, info: MediaInfo, progress: Progress = silent) -> SourceTimes:
    pts: set[int] = set()
    keys: set[int] = set()
    with open_media(path, info.container) as container:
        stream = video_stream(container)
        assert stream.time_base is not None
        frames = FrameTimes(stream.time_base)
        for packet in container.demux(stream):
            shown = shown_pts(packet, stream)
            if shown is None:
                continue
            frames.add(shown, packet.duration or 0)
            pts.add(shown)
            if len(pts) % BEAT_FRAMES == 0:
                progress("plan", len(pts), info.picture.frame_count)
            if packet.is_keyframe:
                keys.add(shown)
        frames.finish()
    if not pts:
        raise EchoError(Code.NO_FRAMES, "no frame of the video track is ever shown")
    end_pts = min(pts) + round(info.picture.duration_s / frames.time_base)
    # A lone frame, or an edit list that cuts into the first group of pictures, leaves no gap or no key to find.
    gap = frames.median_gap or max(1, end_pts - min(pts))
    return SourceTimes(frames.time_base, sorted(pts), sorted(keys | {min(pts)}), end_pts, gap)


def output_rate(video: VideoInfo, times: SourceTimes, params: EnhanceParams) -> Fraction:
    """The rate that the user asked for."""
    nominal = _customary(_nominal_rate(video, times))
    if params.fps == "source":
        return nominal
    if params.fps == "2x":
        return 2 * nominal
    return nominal if nominal > FPS_KEPT_MIN else Fraction(FPS_DEFAULT)


def _nominal_rate(video: VideoInfo, times: SourceTimes) -> Fraction:
    """Of constant rate the mean, the last frame's own duration left out; of variable rate the median."""
    if video.variable_rate or len(times.pts) == 1:
        return 1 / (times.nominal_gap_pts * times.time_base)
    measured = (len(times.pts) - 1) / ((times.pts[-1] - times.pts[0]) * times.time_base)
    # The probe knows the header's rate, which beats times that were rounded to milliseconds.
    return video.average_fps if abs(video.average_fps - measured) < measured / 500 else measured


def segment_count(video: VideoInfo, src_frames: int, duration_s: Fraction, params: EnhanceParams) -> int:
    """How many pieces: for the length of one, for enough to share, for bounded work in each."""
    upscaler: Upscaler = params.upscaler if params.scale > 1 and params.strength > 0 else "lanczos"
    core_s = src_frames * video.width * video.height * CORE_US_PER_PIXEL[upscaler] / 1e6
    by_length = round(duration_s / SEGMENT_S)
    to_share = min(SEGMENTS_MIN, int(duration_s / SEGMENT_S_MIN))
    by_work = round(core_s / SEGMENT_CORE_S)
    return max(1, min(max(by_length, to_share, by_work), src_frames, SEGMENTS_MAX))


def _customary(rate: Fraction) -> Fraction:
    nearest = min(RATES, key=lambda known: abs(known - rate))
    if abs(nearest - rate) <= RATE_TOLERANCE * nearest:
        return nearest
    return rate.limit_denominator(1001)


def _segments(times: SourceTimes, grid: Grid, out_frames: int, count: int) -> list[SegmentSpec]:
    cuts = _cuts(times, grid, out_frames, count)
    return [
        _segment(index, first, end, times, grid)
        for index, (first, end) in enumerate(zip([0, *cuts], [*cuts, out_frames], strict=True))
    ]


def _cuts(times: SourceTimes, grid: Grid, out_frames: int, count: int) -> list[int]:
    """Output frames at which segments 1 and up start: each the first output of some source frame."""
    length = Fraction(out_frames, count)
    key_starts = [grid.first_output(pts) for pts in times.keys]
    cuts: list[int] = []
    for number in range(1, count):
        ideal = number * length
        cut = _nearest(key_starts, ideal)
        if abs(cut - ideal) > KEY_FRAME_REACH * length:
            cut = grid.first_output(times.pts[_shown_index(times, grid, round(ideal))])
        if (cuts[-1] if cuts else 0) < cut < out_frames:
            cuts.append(cut)
    return cuts


def _nearest(ascending: list[int], target: Fraction) -> int:
    right = bisect.bisect_left(ascending, target)
    return min(ascending[max(0, right - 1) : right + 1], key=lambda value: abs(value - target))


def _segment(index: int, first: int, end: int, times: SourceTimes, grid: Grid) -> SegmentSpec:
    src_first = _shown_index(times, grid, first)
    src_last = _shown_index(times, grid, end - 1)
    # The last output is mixed with the next source frame, unless it stands on its own or is the very last.
    if (
        src_last + 1 < len(times.pts)
        and grid.phase(end - 1, times.pts[src_last], times.pts[src_last + 1]) > 0
    ):
        src_last += 1
    return SegmentSpec(
        index=index,
        out_first=first,
        out_end=end,
        src_first_pts=times.pts[src_first],
        src_last_pts=times.pts[src_last],
        seek_pts=times.keys[bisect.bisect_right(times.keys, times.pts[src_first]) - 1],
        src_frames=src_last - src_first + 1,
    )


def _shown_index(times: SourceTimes, grid: Grid, k: int) -> int:
    """Index of the source frame on screen at output frame k."""
    return max(0, bisect.bisect_right(times.pts, k, key=grid.first_output) - 1)


def _even(pixels: int) -> int:
    return pixels + pixels % 2


def _fingerprint(info: MediaInfo, params: EnhanceParams, plan: EnhancePlan) -> str:
    facts = {
        "pipeline": PIPELINE_VERSION,
        "source": info.sha256,
        "params": params.model_dump(mode="json"),
        "plan": plan.model_dump(mode="json"),
        "weights": weights_sha256(params.upscaler) if params.upscaler in NETWORKS else "",
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
