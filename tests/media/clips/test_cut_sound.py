"""Which sound is in a clip, and when: found out by decoding it."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from contracts.kinds.clip import ClipFormat
from dev.clips.writer import Sound
from media.opening import open_media
from tests.media.clips.sources import CLICK_TOLERANCE_S, clicks, expected_clicks, make, shown_numbers
from tests.media.joined import heard

ORIGINAL = ClipFormat.ORIGINAL


def test_the_sound_stays_with_the_picture_when_it_is_coded_anew(source, tmp_path):
    clip = source("plain").cut(tmp_path, 0.7, 2.45, ORIGINAL, lufs=-14.0)
    assert clicks(clip) == pytest.approx(expected_clicks(clip), abs=CLICK_TOLERANCE_S)


def test_sound_of_which_nothing_is_asked_is_copied_to_the_byte(source, tmp_path):
    clip = source("plain").cut(tmp_path, 1.52, 3.4, ORIGINAL, lufs=None)
    packets = sound_packets(tmp_path / "clip.mp4")
    assert b"".join(packets) in b"".join(sound_packets(source("plain").path))
    assert len(packets) >= 85
    assert clicks(clip) == pytest.approx([1.75, 2.25, 2.75, 3.25], abs=CLICK_TOLERANCE_S)


def sound_packets(path: Path) -> list[bytes]:
    with open_media(path, "mp4") as container:
        return [bytes(packet) for packet in container.demux(container.streams.audio[0]) if packet.size]


def test_a_source_without_sound_gives_a_clip_without(source, tmp_path):
    clip = source("silent").cut(tmp_path, 0.5, 2.5, ClipFormat.SQUARE)
    assert clip.info.audio == ()
    assert shown_numbers(clip) == list(range(15, 75))


@pytest.mark.slow
def test_original_keeps_all_tracks_and_social_formats_the_first(source, tmp_path):
    original = source("two_tracks").cut(tmp_path / "a", 0.7, 2.6, ORIGINAL)
    assert [(track.language, track.channels, track.sample_rate) for track in original.info.audio] == [
        ("kor", 2, 48000),
        ("eng", 1, 44100),
    ]
    for track in (0, 1):
        assert clicks(original, track) == pytest.approx(expected_clicks(original), abs=CLICK_TOLERANCE_S)
    square = source("two_tracks").cut(tmp_path / "b", 0.7, 2.6, ClipFormat.SQUARE)
    assert [(track.language, track.channels) for track in square.info.audio] == [("kor", 2)]


@pytest.mark.parametrize("lufs", [None, -14.0])
def test_sound_that_begins_inside_the_clip_begins_there(source, tmp_path, lufs):
    clip = source("late_sound").cut(tmp_path, 0.5, 2.5, ORIGINAL, lufs=lufs)
    _, samples, rate = heard(tmp_path / "clip.mp4")
    assert np.abs(samples[:, : round(0.7 * rate)]).max() < 0.01
    assert clicks(clip) == pytest.approx([1.25, 1.75, 2.25], abs=CLICK_TOLERANCE_S)


def test_damaged_sound_in_the_middle_is_silent_there_and_in_time_after_it(source, tmp_path):
    broken = tmp_path / "broken.mp4"
    content = bytearray(source("plain").path.read_bytes())
    with open_media(source("plain").path, "mp4") as container:
        for packet in container.demux(container.streams.audio[0]):
            if packet.pos and packet.size and 1.1 < float((packet.pts or 0) * packet.time_base) < 1.4:
                content[packet.pos : packet.pos + packet.size] = b"\xff" * packet.size
    broken.write_bytes(content)
    whole = source("plain")
    clip = type(whole)(broken, whole.info, whole.times).cut(tmp_path / "out", 0.7, 2.6, ORIGINAL)
    found = clicks(clip)
    assert found[0] == pytest.approx(0.75, abs=CLICK_TOLERANCE_S)
    assert found[-2:] == pytest.approx([1.75, 2.25], abs=CLICK_TOLERANCE_S)


def test_a_track_at_a_rate_that_aac_does_not_know_is_resampled(tmp_path):
    sound = Sound(duration_s=Fraction(2), rate=6000, channels=1, codec="pcm_s16le")
    clip = make(tmp_path / "slow.mov", frames=60, sounds=[sound]).cut(tmp_path, 0.5, 1.9, ORIGINAL)
    assert clip.info.audio[0].sample_rate == 48000
    assert clicks(clip) == pytest.approx(expected_clicks(clip), abs=CLICK_TOLERANCE_S)
