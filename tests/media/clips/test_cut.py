"""Which frames and which clicks are in a clip: found out by decoding it."""

from __future__ import annotations

from fractions import Fraction

import pytest

from contracts.errors import Code, EchoError
from contracts.kinds.clip import ClipFormat, Cut
from media.clips.cut import cut_clip
from tests.media.clips.sources import (
    CLICK_TOLERANCE_S,
    clicks,
    decoded,
    expected_clicks,
    grey,
    make,
    shown_numbers,
)

ORIGINAL = ClipFormat.ORIGINAL
SOURCES = ["plain", "variable", "open_gop", "hevc", "matroska"]


@pytest.mark.parametrize(
    ("name", "form"),
    [
        pytest.param(name, form, marks=() if form == ORIGINAL or name == "plain" else pytest.mark.slow)
        for name in SOURCES
        for form in ClipFormat
    ],
)
def test_a_clip_shows_exactly_the_frames_of_its_range_and_clicks_when_they_do(source, tmp_path, name, form):
    wide = source(name)
    end_s = 2.45 if form == ORIGINAL else 1.95  # beyond a whole group, where groups are copied
    clip = wide.cut(tmp_path, 0.7, end_s, form, lufs=None)
    assert clip.verification.ok
    assert shown_numbers(clip) == wide.numbers(0.7, end_s)
    assert clicks(clip) == pytest.approx(expected_clicks(clip), abs=CLICK_TOLERANCE_S)
    assert len(clicks(clip)) >= 3


def test_time_zero_is_the_first_picture_however_late_it_is_in_the_file(source, tmp_path):
    clip = source("late_picture").cut(tmp_path, 0.5, 1.5, ORIGINAL, lufs=None)
    assert shown_numbers(clip) == list(range(15, 45))
    # The sound began a second before the picture.
    assert clicks(clip) == pytest.approx([0.75, 1.25], abs=CLICK_TOLERANCE_S)


def test_the_whole_video_is_a_clip_too(source, tmp_path):
    clip = source("plain").cut(tmp_path, 0.0, 4.05, ORIGINAL, lufs=None)
    assert clip.copied == "all"
    assert shown_numbers(clip) == list(range(120))
    assert clicks(clip) == pytest.approx(expected_clicks(clip), abs=CLICK_TOLERANCE_S)
    assert clip.end_s == 4.0


def test_a_picture_that_stands_still_is_cut_in_time(tmp_path):
    times = [Fraction(number, 30) for number in range(30)] + [
        Fraction(100 + number, 30) for number in range(30)
    ]
    clip = make(tmp_path / "still.mp4", times, sounds=[]).cut(tmp_path, 2.0, 3.9, ORIGINAL)
    assert clip.start_s == 2.0
    assert shown_numbers(clip) == list(range(29, 47))
    assert float(decoded(clip)[1][0]) == pytest.approx(100 / 30 - 2.0, abs=0.001)


def test_a_clip_may_end_with_a_picture_that_lasts_longer_than_the_others(tmp_path):
    """As phones make in the dark. A demuxer takes its time on screen for that of a picture decoded next to it."""
    times = [Fraction(number if number < 30 else number + 2, 30) for number in range(60)]
    clip = make(tmp_path / "dropped.mp4", times).cut(tmp_path, 0.0, 1.0, ClipFormat.SQUARE)
    assert shown_numbers(clip) == list(range(30))
    assert clip.end_s == pytest.approx(32 / 30, abs=0.001)


def test_a_picture_that_stands_still_is_neither_dimmed_nor_shown_for_longer_than_asked(tmp_path):
    still = make(tmp_path / "still.mp4", [Fraction(number) for number in range(6)])
    clip = still.cut(tmp_path, 1.3, 4.1, ORIGINAL, fade_s=0.25)
    assert (clip.start_s, clip.end_s) == (1.3, 4.1)
    assert [float(time) for time, _ in decoded(clip)] == pytest.approx([0.0, 0.7, 1.7, 2.7], abs=0.001)
    light = [grey(picture).mean() for _, picture in decoded(clip)]
    whole = [grey(picture).mean() for _, picture in decoded(still.path)][1:5]
    assert light[:3] == pytest.approx(whole[:3], rel=0.03)


@pytest.mark.parametrize(
    ("start_s", "end_s", "code"),
    [
        (4.5, 6.0, Code.RANGE_OUTSIDE),
        (3.0, 4.5, Code.RANGE_OUTSIDE),
        (0.0, 30.0, Code.CLIP_LONGER_THAN_VIDEO),
    ],
)
def test_ranges_outside_the_video_are_refused(source, tmp_path, start_s, end_s, code):
    with pytest.raises(EchoError) as refused:
        source("plain").cut(tmp_path, start_s, end_s, ORIGINAL)
    assert refused.value.code == code
    assert not list(tmp_path.iterdir())


def test_progress_grows_to_its_total(source, tmp_path):
    beats: list[tuple[str, int, int]] = []
    cut = Cut(start_s=0.5, end_s=1.5, format=ClipFormat.SQUARE)
    cut_clip(source("plain").path, source("plain").info, cut, tmp_path, lambda *beat: beats.append(beat))
    assert [done for _, done, _ in beats] == sorted(done for _, done, _ in beats)
    assert beats[-1] == ("clip", 60, 60)


def test_nothing_but_the_finished_files_is_left(source, tmp_path):
    source("plain").cut(tmp_path, 0.5, 1.5, ClipFormat.VERTICAL)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.mp4", "poster.jpg", "preview.webp"]
