from __future__ import annotations

import numpy as np
import pytest

from contracts.errors import Code, EchoError
from contracts.kinds.clip import ClipFormat
from contracts.media import MediaLimits
from dev.clips.pattern import click_times
from dev.clips.pattern import clicks as pattern_clicks
from media.clips import aac
from media.clips.loudness import MEASURABLE_LUFS, mastered, measure, resampled
from media.clips.sound import Samples, faded, loudest_s
from media.ffmpeg import command
from media.probe import probe
from tests.media.clips.sources import Source, clicks, decoded, expected_clicks, grey
from tests.media.joined import heard

RATE = 48_000


def tone(amplitude: float, seconds: float = 4.0, hertz: float = 997.0) -> Samples:
    wave = amplitude * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)
    return Samples(np.stack([wave, wave]).astype(np.float32), RATE, "stereo")


def peaky() -> Samples:
    """Soft noise with sharp peaks: no gain alone brings it to -14 LUFS."""
    values = np.random.default_rng(5).standard_normal((2, 4 * RATE)).astype(np.float32) * np.float32(0.02)
    values[:, :: RATE // 2] = 1.0
    return Samples(values, RATE, "stereo")


def test_a_tone_measures_as_the_standard_says():
    # EBU Tech 3341, case 1: a stereo tone of 1 kHz at -23 dBFS has -23 LUFS.
    assert measure(tone(10 ** (-23 / 20))).lufs == pytest.approx(-23.0, abs=0.1)


@pytest.mark.parametrize("samples", [tone(0.02), tone(0.9), peaky()], ids=["quiet", "loud", "peaky"])
def test_sound_is_brought_to_minus_14_and_its_peaks_stay_below_minus_1(samples):
    made = aac.coded_at(samples, -14.0)
    assert made.level is not None
    assert made.level.lufs == pytest.approx(-14.0, abs=0.7)
    assert made.level.peak_dbtp <= -1.0


def test_without_peaks_in_the_way_only_the_volume_changes():
    before = tone(0.05)
    after = mastered(before, -14.0, -1.7)
    gains = after.values[:, 100:200] / before.values[:, 100:200]
    assert gains == pytest.approx(np.full_like(gains, gains[0, 0]), rel=1e-3)


def test_the_limiter_does_not_move_the_sound_in_time():
    samples = Samples(pattern_clicks(4.0, RATE, 2) * np.float32(1.9), RATE, "stereo")
    assert measure(samples).peak_dbtp > -1.0
    made = mastered(samples, -8.0, -1.7)
    assert measure(made).peak_dbtp <= -1.5
    assert click_times(made.values, RATE) == pytest.approx(click_times(samples.values, RATE), abs=0.0001)


def test_silence_stays_silence_and_a_murmur_is_not_raised_without_bound():
    silence = tone(0.0)
    assert measure(silence).lufs <= MEASURABLE_LUFS
    assert not mastered(silence, -14.0, -1.7).values.any()
    assert measure(mastered(tone(0.001), -14.0, -1.7)).lufs == pytest.approx(
        measure(tone(0.01)).lufs, abs=0.2
    )


def test_resampling_keeps_length_and_time():
    samples = Samples(np.zeros((1, 44_100), np.float32), 44_100, "mono")
    samples.values[0, 22_050] = 1.0
    made = resampled(samples, RATE)
    assert made.count == RATE
    assert int(np.abs(made.values[0]).argmax()) == 24_000


def test_a_fade_begins_and_ends_in_silence():
    made = faded(tone(0.5), 0.5)
    assert np.abs(made.values[:, :50]).max() < 0.001
    assert np.abs(made.values[:, -50:]).max() < 0.001
    assert np.array_equal(made.values[:, RATE : 2 * RATE], tone(0.5).values[:, RATE : 2 * RATE])


def test_the_loudest_part_is_found():
    samples = tone(0.01, 10.0)
    samples.values[:, 5 * RATE : 8 * RATE] *= 20
    assert loudest_s(samples, 3.0) == pytest.approx(5.0, abs=0.11)


@pytest.mark.parametrize(
    ("layout", "channels", "kept"),
    [
        ("7.1", 8, 8),
        ("10c", 10, 2),
        pytest.param("3c", 3, 3, marks=pytest.mark.slow),
        pytest.param("hexadecagonal", 16, 2, marks=pytest.mark.slow),
    ],
)
def test_any_number_of_channels_is_cut_with_as_many_or_in_stereo(source, tmp_path, layout, channels, kept):
    """Eight planes crashed PyAV; layouts without names, or of more channels, are none that AAC knows."""
    plain, path = source("plain"), tmp_path / "many.mkv"
    each = "|".join(f"c{number}=c{number % 2}" for number in range(channels))
    many = command.source(plain.path, "mp4").output(
        command.target(path), vcodec="copy", af=f"pan={layout}|{each}", acodec="pcm_s16le"
    )
    command.run(many, timeout_s=60)
    many = Source(path, probe(path, MediaLimits()), plain.times)
    assert [track.channels for track in many.info.audio] == [channels]
    clip = many.cut(tmp_path, 0.7, 2.6, ClipFormat.ORIGINAL)
    assert [track.channels for track in clip.info.audio] == [kept]
    assert clicks(clip) == pytest.approx(expected_clicks(clip), abs=0.002)


def test_a_faded_clip_begins_dim_but_not_black_and_its_sound_begins_silent(source, tmp_path):
    clip = source("plain").cut(tmp_path, 0.5, 3.5, ClipFormat.ORIGINAL, fade_s=0.4, lufs=None)
    before = [grey(picture).mean() for _, picture in decoded(source("plain").path)][15:105]
    light = [grey(picture).mean() / full for (_, picture), full in zip(decoded(clip), before, strict=True)]
    assert clip.copied == "inner"  # between the fades
    assert 0.2 < light[0] < 0.5
    assert 0.2 < light[-1] < 0.5
    assert light[1:12] == sorted(light[1:12])
    assert light[15:75] == pytest.approx([1.0] * 60, abs=0.02)
    _, samples, _ = heard(tmp_path / "clip.mp4")
    assert np.abs(samples[:, :200]).max() < 0.001
    assert clicks(clip)[1:-1] == pytest.approx(expected_clicks(clip)[1:-1], abs=0.002)


@pytest.mark.slow
@pytest.mark.parametrize("form", [ClipFormat.SQUARE, ClipFormat.ORIGINAL])
def test_a_clip_is_no_larger_than_its_target_takes(source, tmp_path, form):
    free = source("noise").cut(tmp_path / "free", 0.0, 2.0, form).info.bytes
    bound = free // 2
    clip = source("noise").cut(tmp_path / "bound", 0.0, 2.0, form, bytes_max=bound)
    assert clip.info.bytes <= bound
    assert clip.copied == "none"


@pytest.mark.parametrize("bytes_max", [2**28, 10**12])
def test_a_bound_far_above_any_clip_is_none(source, tmp_path, bytes_max):
    clip = source("plain").cut(tmp_path, 1.2, 1.9, ClipFormat.ORIGINAL, bytes_max=bytes_max)
    assert (clip.copied, clip.verification.ok) == ("none", True)


def test_what_no_bit_rate_makes_small_enough_is_refused(source, tmp_path):
    with pytest.raises(EchoError) as refused:
        source("silent").cut(tmp_path, 0.0, 4.0, ClipFormat.SQUARE, bytes_max=60_000)
    assert refused.value.code == Code.CLIP_TOO_LARGE
