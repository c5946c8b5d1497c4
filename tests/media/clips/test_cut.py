"""Which frames and which samples are in a clip: found out by decoding it."""

from __future__ import annotations

import subprocess
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from contracts.errors import Code, EchoError
from contracts.kinds.clip import ClipFormat, Cut
from dev.clips.writer import Sound
from media.clips.avc import parse
from media.clips.cut import cut_clip
from media.ffmpeg.command import executable
from media.opening import open_media, video_stream
from tests.media.clips.sources import (
    clicks,
    decoded,
    expected_clicks,
    grey,
    make,
    number_in,
    shown_numbers,
)
from tests.media.joined import heard
from tests.media.pixels import psnr

ORIGINAL = ClipFormat.ORIGINAL
CLICK_TOLERANCE_S = 0.002


@pytest.mark.parametrize("form", list(ClipFormat))
@pytest.mark.parametrize("name", ["plain", "variable", "open_gop", "hevc", "matroska"])
def test_a_clip_shows_exactly_the_frames_of_its_range_and_clicks_when_they_do(source, tmp_path, name, form):
    wide = source(name)
    clip = wide.cut(tmp_path, 0.7, 2.45, form, lufs=None)
    assert clip.verification.ok
    assert shown_numbers(clip) == wide.numbers(0.7, 2.45)
    assert clicks(clip) == pytest.approx(expected_clicks(clip), abs=CLICK_TOLERANCE_S)
    assert len(clicks(clip)) >= 3


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


@pytest.mark.parametrize(
    ("start_s", "end_s", "copied"),
    [(1.0, 3.0, "all"), (0.5, 3.0, "inner"), (1.0, 2.5, "inner"), (0.3, 3.7, "inner"), (1.2, 1.9, "none")],
)
def test_pictures_between_key_frames_are_copied(source, tmp_path, start_s, end_s, copied):
    clip = source("plain").cut(tmp_path, start_s, end_s, ORIGINAL, lufs=None)
    assert clip.copied == copied
    assert shown_numbers(clip) == source("plain").numbers(start_s, end_s)


def test_copied_pictures_are_the_sources_to_the_bit_and_coded_ones_hardly_differ(source, tmp_path):
    clip = source("plain").cut(tmp_path, 0.5, 3.5, ORIGINAL)
    originals = [picture for _, picture in decoded(source("plain").path)][15:105]
    made = [picture for _, picture in decoded(clip)]
    assert clip.copied == "inner"
    same = [np.array_equal(a, b) for a, b in zip(made, originals, strict=True)]
    assert all(same[15:75])  # from the key frame at 1 s to beyond the one at 2 s
    assert not any(same[:15])
    assert min(psnr(a, b) for a, b in zip(made, originals, strict=True)) > 36
    with open_media(tmp_path / "clip.mp4", "mp4") as container:
        configuration = parse(video_stream(container).codec_context.extradata)
    assert configuration is not None
    assert (len(configuration.sps), len(configuration.pps)) == (2, 2)  # both in the one header


@pytest.mark.parametrize("fade_s", [0.0, 0.25])
def test_hevc_is_copied_in_whole_groups_whose_ends_are_hidden(source, tmp_path, fade_s):
    """Faded in its sound alone: a phone's HEVC is not coded anew for that."""
    clip = source("hevc").cut(tmp_path, 0.7, 2.45, ORIGINAL, lufs=None, fade_s=fade_s)
    originals = [picture for _, picture in decoded(source("hevc").path)]
    numbers = source("hevc").numbers(0.7, 2.45)
    assert clip.copied == "all"
    made = [picture for _, picture in decoded(clip)]
    assert all(np.array_equal(a, originals[b]) for a, b in zip(made, numbers, strict=True))
    assert clip.info.picture.frame_count == len(numbers)


def test_what_cannot_be_joined_cleanly_is_coded_anew(source, tmp_path):
    assert source("open_gop").cut(tmp_path, 1.1, 2.9, ORIGINAL).copied == "none"


@pytest.mark.parametrize("name", ["plain", "hevc"])
def test_another_ffmpeg_decodes_the_same_frames(source, tmp_path, name):
    clip = source(name).cut(tmp_path, 0.5, 3.5, ORIGINAL)
    rows = [*("-f", "rawvideo", "-pix_fmt", "rgb24"), "-fps_mode", "passthrough", "pipe:1"]
    command = [executable(), "-v", "error", "-i", clip.video, "-map", "0:v", *rows]
    raw = subprocess.run(command, capture_output=True, check=True)
    pictures = np.frombuffer(raw.stdout, np.uint8).reshape(-1, 180, 320, 3)
    assert raw.stderr == b""
    assert [number_in(picture) for picture in pictures] == source(name).numbers(0.5, 3.5)


@pytest.mark.parametrize("form", [ORIGINAL, ClipFormat.VERTICAL, ClipFormat.SQUARE])
@pytest.mark.parametrize("name", ["turned_90", "turned_180", "turned_270", "mirrored"])
def test_turned_and_mirrored_sources_are_shown_upright(source, tmp_path, name, form):
    clip = source(name).cut(tmp_path, 0.5, 1.5, form)
    assert shown_numbers(clip) == list(range(15, 45))
    if form == ORIGINAL:
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


def test_social_formats_have_sixty_frames_a_second_at_most(tmp_path):
    times = [Fraction(number, 120) for number in range(180)]
    clip = make(tmp_path / "fast.mp4", times, sounds=[]).cut(tmp_path, 0.25, 1.25, ClipFormat.SQUARE)
    assert shown_numbers(clip) == list(range(30, 150, 2))


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


def test_a_track_at_a_rate_that_aac_does_not_know_is_resampled(tmp_path):
    sound = Sound(duration_s=Fraction(2), rate=6000, channels=1, codec="pcm_s16le")
    clip = make(tmp_path / "slow.mov", frames=60, sounds=[sound]).cut(tmp_path, 0.5, 1.9, ORIGINAL)
    assert clip.info.audio[0].sample_rate == 48000
    assert clicks(clip) == pytest.approx(expected_clicks(clip), abs=CLICK_TOLERANCE_S)
