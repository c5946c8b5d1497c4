from __future__ import annotations

import hashlib
from fractions import Fraction

import pytest

from contracts.errors import Code, EchoError
from contracts.media import MediaInfo, MediaLimits
from dev.clips import GOOD, SOUNDS, packaged
from dev.clips.good import NTSC
from media.opening import audio_streams, heard_frames, open_media, video_stream
from media.probe import probe


def probed(clip, name: str) -> MediaInfo:
    return probe(clip(name), MediaLimits())


def test_size_and_hash_are_those_of_the_bytes_on_disk(clip):
    data = clip("plain").read_bytes()
    info = probed(clip, "plain")
    assert (info.bytes, info.sha256) == (len(data), hashlib.sha256(data).hexdigest())


@pytest.mark.parametrize("name", list(GOOD))
def test_frame_count_and_start_agree_with_a_full_decode(clip, name):
    info = probed(clip, name)
    with open_media(clip(name), info.container) as container:
        stream = video_stream(container)
        tick = stream.time_base or Fraction(0)
        times = sorted({(frame.pts or 0) * tick for frame in container.decode(stream)})
    assert info.picture.frame_count == len(times)
    assert info.picture.start_s == times[0]


@pytest.mark.parametrize(
    ("name", "fps", "frames", "duration_s", "variable"),
    [
        ("plain", 30, 30, 1, False),
        ("ntsc", NTSC, 45, 45 / NTSC, False),
        ("15_fps", 15, 20, Fraction(4, 3), False),
        ("120_fps", 120, 90, Fraction(3, 4), False),
        ("variable_rate", Fraction(4200, 157), 21, Fraction(785, 1000), True),
        ("long_freeze", Fraction(720, 53), 24, Fraction(53, 30), True),
        ("late_start", 30, 30, 1, False),
        ("trimmed", 30, 45, Fraction(3, 2), False),
        ("b_frames", 30, 40, Fraction(4, 3), False),
        ("fragmented", 30, 30, 1, False),
        ("avi", 30, 30, 1, False),
        ("mkv", 30, 30, 1, False),
        ("webm", 30, 30, 1, False),
        ("single_frame", 2, 1, Fraction(1, 2), False),
    ],
)
def test_rate_count_and_duration_are_measured_on_packets(clip, name, fps, frames, duration_s, variable):
    video = probed(clip, name).picture
    assert video.average_fps == fps
    assert video.frame_count == frames
    assert video.duration_s == duration_s
    assert video.variable_rate == variable


@pytest.mark.parametrize(
    ("name", "rotation_deg", "mirrored"),
    [
        ("plain", 0, False),
        ("rotated_90", 90, False),
        ("rotated_180", 180, False),
        ("rotated_270", 270, False),
        ("mirrored", 0, True),
    ],
)
def test_orientation_is_the_clockwise_turn_for_display(clip, name, rotation_deg, mirrored):
    video = probed(clip, name).picture
    assert (video.width, video.height) == (160, 120), "coded size, before the turn"
    assert (video.rotation_deg, video.mirrored) == (rotation_deg, mirrored)


@pytest.mark.parametrize(
    ("name", "tags", "bit_depth", "hdr"),
    [
        ("plain", ("unknown", "unknown", "unknown"), 8, False),
        ("bt601", ("tv", "smpte170m", "smpte170m"), 8, False),
        ("bt709", ("tv", "bt709", "bt709"), 8, False),
        ("full_range", ("pc", "bt470bg", "bt709"), 8, False),
        ("hlg", ("tv", "bt2020nc", "arib-std-b67"), 10, True),
        ("pq", ("tv", "bt2020nc", "smpte2084"), 10, True),
    ],
)
def test_colour_tags_are_reported_and_never_guessed(clip, name, tags, bit_depth, hdr):
    video = probed(clip, name).picture
    assert (video.color.range, video.color.matrix, video.color.transfer) == tags
    assert (video.bit_depth, video.hdr) == (bit_depth, hdr)


def test_pixels_that_are_not_square_are_reported(clip):
    assert probed(clip, "anamorphic").picture.sample_aspect == Fraction(4, 3)


@pytest.mark.parametrize(
    ("name", "video_start_s", "audio_start_s"),
    [
        ("plain", 0, 0),
        ("trimmed", 0, 0),
        ("sound_early", Fraction(1, 5), 0),
        # Behind an empty edit there is no room for the encoder's 1024 priming samples to be skipped in: they are heard.
        ("sound_late", 0, Fraction(150, 1000) - Fraction(1024, 48000)),
        ("late_start", 1, 1 - Fraction(1024, 48000)),
    ],
)
def test_starts_are_those_of_what_is_seen_and_heard(clip, name, video_start_s, audio_start_s):
    info = probed(clip, name)
    assert info.picture.start_s == video_start_s
    assert info.audio[0].start_s == pytest.approx(
        audio_start_s, abs=1 / 1000
    )  # movie time scale of the muxer


def test_every_audio_track_is_reported_with_its_language(clip):
    tracks = probed(clip, "two_tracks").audio
    assert [(track.language, track.channels, track.sample_rate) for track in tracks] == [
        ("kor", 2, 48000),
        ("eng", 1, 44100),
    ]
    assert all(track.duration_s == 1 for track in tracks)


def test_a_video_without_sound_is_a_video(clip):
    assert probed(clip, "silent").audio == ()


CODECS = {
    "aac": ("m4a", "m4a_with_cover", "sound_mkv"),
    "mp3": ("mp3", "mp3_with_cover", "bare_mp3", "mp3_behind_padding"),
    "pcm_s16le": ("wav", "live_wav", "sound_mov"),
    "flac": ("flac", "flac_with_cover", "tagged_flac"),
    "opus": ("opus", "sound_webm"),
    "vorbis": ("vorbis",),
}


@pytest.mark.parametrize(
    ("name", "codec"), [(name, codec) for codec, names in CODECS.items() for name in names]
)
def test_a_recording_without_picture_is_measured_and_its_cover_is_no_picture(clip, name, codec):
    info = probed(clip, name)
    assert info.video is None
    (track,) = info.audio
    assert (track.codec, track.sample_rate, track.channels) == (codec, 48000, 2)
    assert info.duration_s == track.duration_s
    with open_media(clip(name), info.container) as container:
        heard = audio_streams(container)[0]
        samples = sum(frame.samples for frame in heard_frames(container, heard))
    # Delay and padding of lossy encoders, which not every container tells.
    assert float(track.duration_s) == pytest.approx(samples / 48000, abs=0.025)
    with pytest.raises(EchoError) as refused:
        info.picture  # noqa: B018
    assert refused.value.code == Code.NO_VIDEO


def test_every_recording_without_picture_is_measured():
    assert set(SOUNDS) == {name for names in CODECS.values() for name in names}


def test_progress_counts_every_byte_twice_and_never_backwards_past_the_end(clip):
    beats = []
    info = probe(clip("plain"), MediaLimits(), progress=lambda *beat: beats.append(beat))
    assert beats[-1] == ("ingest", 2 * info.bytes, 2 * info.bytes)
    assert all(0 <= done <= total for _, done, total in beats)


@pytest.mark.parametrize(
    ("name", "size", "fps", "frames", "tracks"),
    [
        ("bikes", (640, 272), 25, 250, 0),
        ("bigbuckbunny", (1280, 720), 25, 132, 1),
        ("carphone_pristine", (176, 144), NTSC, 120, 0),
    ],
)
def test_real_footage_is_measured(name, size, fps, frames, tracks):
    info = probe(packaged(name), MediaLimits())
    assert (info.picture.width, info.picture.height) == size
    assert info.picture.average_fps == fps
    assert info.picture.frame_count == frames
    assert len(info.audio) == tracks
