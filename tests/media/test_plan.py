from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest

from contracts.kinds.enhance import EnhanceParams
from contracts.media import MediaLimits
from dev.clips import GOOD
from media.grid import SNAP, Grid
from media.plan import SEGMENTS_MAX, SourceTimes, plan_enhance, read_times, segment_count
from media.probe import probe
from tests.media.pixels import PLAIN, clip_of, every, job, textured

NTSC = Fraction(1000, 1001)


def planned(path: Path, **wishes: object):
    return plan_enhance(path, probe(path, MediaLimits()), EnhanceParams(**({"upscaler": "lanczos"} | wishes)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fps", "default", "doubled"),
    [
        (15, 60, 30), (24 * NTSC, 60, 48 * NTSC), (24, 60, 48), (25, 60, 50), (30 * NTSC, 60, 60 * NTSC),
        (30, 60, 60), (50, 60, 100), (60 * NTSC, 60, 120 * NTSC), (60, 60, 120), (120, 120, 240),
        (120 * NTSC, 120 * NTSC, 240 * NTSC),
    ],
)  # fmt: skip
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_rates_are_exact(
    fps: Fraction, default: Fraction, doubled: Fraction, suffix: str, tmp_path: Path
) -> None:
    """Also from MKV, whose times are rounded to milliseconds but whose header tells the rate."""
    frames = 40 if fps < 100 else 160
    name = f"clip{suffix}"
    path = clip_of(tmp_path / name, every(fps, frames), textured_at, last_s=1 / Fraction(fps), rate=fps)
    assert planned(path).fps_out == default
    assert planned(path, fps="2x").fps_out == doubled
    assert planned(path, fps="source").fps_out == fps
    assert planned(path).out_frames == round(frames / Fraction(fps) * default)


def textured_at(number: int):
    return textured(48, 32, seed=number % 3)


def test_variable_rate_counts_by_its_median_gap(clip) -> None:
    plan = planned(clip("variable_rate"), fps="source")
    assert plan.fps_out == Fraction(1000, 33)
    assert planned(clip("variable_rate")).fps_out == 60


@pytest.mark.parametrize("name", sorted(GOOD))
def test_segments_cover_the_output_once_and_bring_the_source_they_need(name: str, clip) -> None:
    path = clip(name)
    plan = planned(path)
    times = read_times(path, probe(path, MediaLimits()))
    grid = Grid(plan.src_start_pts, plan.time_base, plan.fps_out, plan.nominal_gap_pts)
    edges = [segment.out_first for segment in plan.segments] + [plan.out_frames]
    assert edges[0] == 0
    assert edges == sorted(set(edges))
    for segment, end in zip(plan.segments, edges[1:], strict=True):
        assert segment.out_end == end
        assert segment.seek_pts in times.keys
        assert segment.seek_pts <= segment.src_first_pts <= segment.src_last_pts
        assert grid.first_output(segment.src_first_pts) <= segment.out_first
        inside = [pts for pts in times.pts if segment.src_first_pts <= pts <= segment.src_last_pts]
        assert len(inside) == segment.src_frames
        last = segment.src_last_pts
        assert grid.position(last) + SNAP >= end - 1 or last == times.pts[-1]


def test_odd_sizes_become_even(clip) -> None:
    plan = planned(clip("odd_sized"), scale=1)
    assert (plan.width_out, plan.height_out) == (162, 120)
    plan = planned(clip("odd_sized"))
    assert (plan.width_out, plan.height_out) == (322, 238)


def test_a_short_clip_is_shared_between_workers(tmp_path: Path) -> None:
    path = clip_of(tmp_path / "three.mp4", every(10, 30), textured_at, last_s=Fraction(1, 10))
    assert len(planned(path).segments) == 4


def test_cuts_fall_on_key_frames_that_are_near(tmp_path: Path) -> None:
    options = {"preset": "ultrafast", "g": "8", "keyint_min": "8", "sc_threshold": "0"}
    path = clip_of(tmp_path / "keys.mp4", every(10, 32), textured_at, last_s=Fraction(1, 10), options=options)
    assert [segment.src_first_pts // 9000 for segment in planned(path).segments] == [0, 8, 16, 24]
    assert all(segment.seek_pts == segment.src_first_pts for segment in planned(path).segments)


def test_heavier_work_is_cut_finer_and_never_without_bound(clip) -> None:
    video = probe(clip("plain"), MediaLimits()).picture.model_copy(update={"width": 1920, "height": 1080})
    counts = [
        segment_count(video, 1800, Fraction(60), EnhanceParams(upscaler=upscaler))
        for upscaler in ("lanczos", "animevideov3", "x4plus")
    ]
    assert counts == sorted(counts)
    assert counts[1] > counts[0] == 8
    assert segment_count(video, 216000, Fraction(7200), EnhanceParams(upscaler="x4plus")) == SEGMENTS_MAX


def test_two_hours_of_variable_rate_are_cut_without_a_gap() -> None:
    from media.plan import _segments

    pts = [number * 3003 + (number % 7) * 200 for number in range(215_784)]
    times = SourceTimes(Fraction(1, 90000), pts, pts[::250], pts[-1] + 3003, 3003)
    grid = Grid(0, times.time_base, Fraction(60), 3003)
    out_frames = round(times.end_pts * times.time_base * 60)
    segments = _segments(times, grid, out_frames, 900)
    assert len(segments) == 900
    assert segments[-1].out_end == out_frames
    assert all(a.out_end == b.out_first for a, b in pairwise(segments))
    assert sum(segment.src_frames for segment in segments) <= len(pts) + 900


def test_the_fingerprint_covers_source_and_wishes(clip) -> None:
    plain = planned(clip("plain")).fingerprint
    assert planned(clip("plain")).fingerprint == plain
    others = [
        planned(clip("silent")).fingerprint,
        planned(clip("plain"), strength=0.5).fingerprint,
        planned(clip("plain"), upscaler="animevideov3").fingerprint,
        planned(clip("plain"), fps="source").fingerprint,
        planned(clip("plain"), scale=1).fingerprint,
    ]
    assert len({plain, *others}) == 6


def test_time_before_the_first_frame_does_not_count(clip) -> None:
    assert planned(clip("late_start")).out_frames == planned(clip("silent")).out_frames
    assert job(clip("late_start"), PLAIN).plan.src_start_pts > 0
