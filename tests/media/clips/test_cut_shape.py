"""Clips of sources that are turned, mirrored, of other pixels than square ones, or too fast."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from contracts.kinds.clip import ClipFormat
from dev.clips.writer import Look
from tests.media.clips.sources import X264, decoded, grey, make, shown_numbers


@pytest.mark.parametrize(
    "form",
    [ClipFormat.ORIGINAL, ClipFormat.VERTICAL, pytest.param(ClipFormat.SQUARE, marks=pytest.mark.slow)],
)
@pytest.mark.parametrize("name", ["turned_90", "turned_180", "turned_270", "mirrored"])
def test_turned_and_mirrored_sources_are_shown_upright(source, tmp_path, name, form):
    clip = source(name).cut(tmp_path, 0.5, 1.5, form)
    assert shown_numbers(clip) == list(range(15, 45))
    if form == ClipFormat.ORIGINAL:
        video = source(name).info.picture
        assert (clip.info.picture.rotation_deg, clip.info.picture.mirrored) == (
            video.rotation_deg,
            video.mirrored,
        )


def test_pixels_that_are_not_square_become_square(source, tmp_path):
    clip = source("anamorphic").cut(tmp_path, 0.5, 1.5, ClipFormat.SQUARE)
    assert clip.info.picture.sample_aspect == 1
    bright = grey(decoded(clip)[15][1]) > 200  # picture 30 has bits 1 to 4 set: two cells wide, two high
    columns, rows = np.flatnonzero(bright.any(axis=0)), np.flatnonzero(bright.any(axis=1))
    cells_wide, cells_high = (np.ptp(columns) + 1), (np.ptp(rows) + 1)
    assert cells_wide / cells_high == pytest.approx(2 * 4 / 3 / 3, abs=0.06)


def test_social_formats_have_sixty_frames_a_second_at_most(tmp_path):
    times = [Fraction(number, 120) for number in range(180)]
    clip = make(tmp_path / "fast.mp4", times, sounds=[]).cut(tmp_path, 0.25, 1.25, ClipFormat.SQUARE)
    assert shown_numbers(clip) == list(range(30, 150, 2))


def test_rgb_as_screens_are_recorded_becomes_a_clip_that_players_can_show(tmp_path):
    screen = make(tmp_path / "screen.mkv", look=Look(codec="libx264rgb", pixel_format="rgb24", options=X264))
    assert screen.info.picture.color.matrix == "gbr"
    clip = screen.cut(tmp_path, 0.5, 1.5, ClipFormat.ORIGINAL)
    assert shown_numbers(clip) == list(range(15, 45))
    before, after = decoded(screen.path)[15][1].astype(float), decoded(clip)[0][1].astype(float)
    assert after.mean(axis=(0, 1)) == pytest.approx(before.mean(axis=(0, 1)), abs=3)
