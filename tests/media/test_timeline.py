from __future__ import annotations

import random
from fractions import Fraction

import pytest

from media.orientation import Orientation, from_matrix, to_matrix
from media.timeline import FrameTimes, SoundTimes


def times_of(pts: list[int], tick: Fraction = Fraction(1, 1000), duration: int = 0) -> FrameTimes:
    frames = FrameTimes(tick)
    for each in pts:
        frames.add(each, duration)
    frames.finish()
    return frames


def test_frames_coded_out_of_order_are_measured_in_order_of_display():
    chance = random.Random(5)
    shown = [33 * number for number in range(500)]
    coded = [pts for start in range(0, 500, 10) for pts in chance.sample(shown[start : start + 10], 10)]
    frames = times_of(coded)
    assert (frames.count, frames.first_pts, frames.last_pts) == (500, 0, shown[-1])
    assert frames.median_gap == 33
    assert not frames.variable


@pytest.mark.parametrize(
    ("pts", "variable"),
    [
        ([0, 33, 67, 100, 133], False),  # 30 fps in whole milliseconds
        ([0, 33, 67, 102, 133], True),
        ([0, 1, 2, 3, 4], False),  # AVI counts frames
        ([0, 1, 3, 4, 5], True),  # and leaves one out
    ],
)
def test_rounding_to_a_tick_is_not_a_variable_rate(pts, variable):
    assert times_of(pts).variable is variable


def test_repeated_times_count_once_since_a_player_shows_one_of_them():
    assert times_of([0, 33, 33, 66]).count == 3


@pytest.mark.parametrize(("duration", "end"), [(50, 116), (0, 99)])
def test_the_last_frame_ends_by_its_own_duration_else_by_the_median_gap(duration, end):
    assert times_of([0, 33, 66], duration=duration).end_pts(fallback_gap=7) == end


def test_a_lone_frame_without_duration_gets_the_fallback():
    assert times_of([10]).end_pts(fallback_gap=7) == 17


def test_sound_is_heard_from_behind_its_priming_to_before_its_padding():
    sound = SoundTimes(Fraction(1, 48000), 48000)
    sound.add(-1024, 1024, 1024, 0)
    sound.add(0, 1024, 0, 24)
    assert (sound.start_s, sound.end_s) == (0, Fraction(1000, 48000))


def test_what_is_finer_than_a_coarse_tick_is_taken_for_rounding():
    sound = SoundTimes(Fraction(1, 1000), 48000)
    sound.add(-7, 20, 312, 0)  # 6.5 ms of priming, which the file can only call 7
    assert sound.start_s == 0


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("rotation_deg", [0, 90, 180, 270])
def test_orientation_survives_the_display_matrix(rotation_deg, mirrored):
    import struct

    orientation = Orientation(rotation_deg, mirrored)
    assert from_matrix(struct.pack("=9i", *to_matrix(orientation))) == orientation
