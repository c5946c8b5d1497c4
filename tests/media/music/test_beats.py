from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import librosa
import numpy as np
import pytest

from media.music import beats, labels
from media.music.features import extract
from media.music.key import key
from tests.media.music.songs import clicks, song


@pytest.mark.parametrize("bpm", [75.0, 100.0, 133.0])
def test_a_metronome_is_followed(bpm: float) -> None:
    found = beats.track(extract(iter([clicks(bpm, 30)])))
    assert found.tempo_bpm == pytest.approx(bpm, rel=0.01)
    late = found.times_s * bpm / 60
    assert np.abs(late - np.round(late)).mean() * 60 / bpm < 0.03


def test_a_waltz_has_three_beats_a_bar() -> None:
    found = beats.track(extract(iter([song((("A", 8), ("B", 8)), bpm=110, beats_per_bar=3)])))
    assert found.beats_per_bar == 3


def test_a_band_that_hurries_is_followed() -> None:
    """From 100 to 105 beats a minute in 40 s."""
    steady = clicks(100, 41)
    seconds = np.arange(40 * 22050) / 22050
    hurried = np.interp(seconds + 0.05 * seconds**2 / 80, np.arange(len(steady)) / 22050, steady)
    found = beats.track(extract(iter([hurried.astype(np.float32)])))
    count = (found.times_s + 0.05 * found.times_s**2 / 80) * 100 / 60
    assert np.abs(count - np.round(count)).mean() * 60 / 100 < 0.04


def test_a_steady_beat_is_surer_than_noise() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 22050 * 30).astype(np.float32)
    steady = beats.track(extract(iter([clicks(110, 30)])))
    assert steady.tempo_confidence > beats.track(extract(iter([noise]))).tempo_confidence + 0.2


@pytest.mark.slow
def test_the_beat_is_found_without_compiling_anything(tmp_path: Path) -> None:
    """Engines run where nothing can be written, on machines unlike the one that made the image, several at once."""
    listen = (
        "from media.music import beats; from media.music.features import extract;"
        "from tests.media.music.songs import clicks;"
        "beats.track(extract(iter([clicks(110, 20)])))"
    )
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", listen], check=True, env=environment)
    assert [found for found in tmp_path.rglob("*") if found.is_file()] == []


def test_onsets_are_those_of_librosa() -> None:
    mel = extract(iter([song((("A", 4), ("B", 4)))])).mel
    theirs = librosa.onset.onset_strength(S=librosa.power_to_db(mel.T, ref=np.max), center=False)
    assert beats.onset_strength(mel) == pytest.approx(theirs, abs=1e-4)


def test_features_do_not_depend_on_how_the_sound_is_cut() -> None:
    samples = song((("A", 6),))
    whole = extract(iter([samples]))
    cut = extract(iter(np.array_split(samples, 37)))
    assert whole.mel == pytest.approx(cut.mel)
    assert whole.notes == pytest.approx(cut.notes)
    assert whole.samples == cut.samples == len(samples)


def test_letters_follow_appearance_and_likeness() -> None:
    alike = np.array([[1, 0.1, 0.9, 0.0], [0.1, 1, 0.1, 0.1], [0.9, 0.1, 1, 0.0], [0.0, 0.1, 0.0, 1]])
    assert labels.label(alike) == ("A", "B", "A", "C")
    assert labels.label_certainty(alike, labels.label(alike)).min() > 0.5


def test_sections_share_a_letter_where_half_of_the_readings_say_so() -> None:
    first, second = agreement_of("AABBAABB"), agreement_of("AABBCCBB")
    borders = (0, 2, 4, 6, 8)
    assert labels.label(labels.between_sections((first + second) / 2, borders)) == ("A", "B", "A", "B")
    assert labels.label(labels.between_sections((first + 2 * second) / 3, borders)) == ("A", "B", "C", "B")


def agreement_of(letters: str) -> np.ndarray:
    by_bar = np.array(list(letters))
    return (by_bar[:, None] == by_bar).astype(float)


def test_a_scale_has_its_key_and_noise_has_none() -> None:
    def melody(*notes: int) -> np.ndarray:
        frames = np.full((len(notes), 72), 1e-3)
        frames[np.arange(len(notes)), np.array(notes) - 33] = 1
        return frames

    assert key(melody(60, 62, 64, 65, 67, 69, 71, 72, 67, 64, 60, 67, 60))[0] == "C major"
    name, confidence = key(np.random.default_rng(0).random((500, 72)))
    assert name is None
    assert confidence < 0.5
