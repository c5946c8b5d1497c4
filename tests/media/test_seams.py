"""A result made in segments equals the unsegmented one, frame for frame."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from contracts.kinds.enhance import EnhanceParams
from media.segment import enhance_segment
from tests.media.pixels import PLAIN, Job, clip_of, cut_at, every, job, psnr, textured

pytestmark = pytest.mark.slow

RATES = [15, Fraction(24000, 1001), 25, Fraction(30000, 1001), 50, Fraction(60000, 1001), 120]


def drawing(number: int) -> np.ndarray:
    return np.roll(textured(48, 32) if number < 9 else textured(48, 32, seed=4), 2 * number, axis=1)


def _same(work: Job, *cuts: int) -> None:
    whole = work.pictures(work.whole)
    pieces = [picture for segment in cut_at(work, *cuts) for picture in work.pictures(segment)]
    assert len(pieces) == len(whole) == work.plan.out_frames
    assert [k for k, (a, b) in enumerate(zip(whole, pieces, strict=True)) if not a.equals(b)] == []


@pytest.mark.parametrize("fps", RATES, ids=str)
def test_cuts_at_any_output_frame_leave_no_seam(fps: Fraction, tmp_path: Path) -> None:
    work = job(clip_of(tmp_path / "clip.mp4", every(fps, 14), drawing, last_s=1 / Fraction(fps)))
    middle = work.plan.out_frames // 2
    _same(work, 1, 3, middle, middle + 1, work.plan.out_frames - 1)


@pytest.mark.parametrize(
    "name",
    ["variable_rate", "long_freeze", "hard_cut", "trimmed", "b_frames", "mkv", "avi_b_frames", "late_start"],
)
def test_odd_clips_leave_no_seam(name: str, clip) -> None:
    work = job(clip(name))
    frames = work.plan.out_frames
    _same(work, frames // 4 + 1, frames // 2, frames - 5)


@pytest.mark.parametrize("strength", [1.0, 0.6])
def test_the_network_leaves_no_seam(strength: float, tmp_path: Path) -> None:
    work = job(clip_of(tmp_path / "clip.mp4", every(30, 6), drawing), EnhanceParams(strength=strength))
    _same(work, 5, 6)


def test_encoded_segments_equal_the_encoded_whole_within_the_encoders_tolerance(tmp_path: Path) -> None:
    work = job(clip_of(tmp_path / "clip.mp4", every(25, 20), drawing), PLAIN)

    def encoded(name: str, segments) -> list[np.ndarray]:
        lumas = []
        for segment in segments:
            out = tmp_path / f"{name}-{segment.index}.mp4"
            enhance_segment(work.path, work.info, work.plan, segment, work.params, out)
            with av.open(str(out)) as container:
                lumas += [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
        return lumas

    whole, pieces = encoded("whole", [work.whole]), encoded("piece", cut_at(work, 17, 30))
    assert min(psnr(a, b) for a, b in zip(whole, pieces, strict=True)) > 35
