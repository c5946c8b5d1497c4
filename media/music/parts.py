"""What is heard when: music, talk, applause or silence; and where one song ends and the next begins.

Four measures over three seconds tell them apart. Applause has the spectrum of noise and keeps it; speech jumps
between vowels, hisses and pauses (Scheirer & Slaney, "Construction and Evaluation of a Robust Multifeature
Speech/Music Discriminator", 1997), so level and flatness scatter and no sound stays; music holds its notes.
Thresholds lie between what 15 songs with crowd noise, made speech (clean, in a hall, over a crowd) and made
applause show.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from contracts.kinds.music import PartType
from media.music.features import NOTE_RATE, RATE, Array, Features

WINDOW_S = 3
STEP_S = 1
SILENT_PEAK = 10 ** (-60 / 20)
"""Of full scale: below -60 dBFS there is nothing to hear."""
SILENCE_DB = 45.0
"""Below the recording's loud parts."""
NOISE_FLATNESS = -0.65
"""Decadic logarithm. Applause lies at -0.4, speech over a crowd below -0.7, music below -1.1."""
PAUSE_DB = 30.0
"""Frames that much below the loudest around say nothing: the quiet between words is as flat as noise."""
TALK = ((5.0, 1.0, 1.0), (0.33, 0.08, 1.0), (-0.63, 0.05, 3.0))
"""Midpoint and width between music and speech, and how much may speak against it: deviation of level (dB), of
flatness (decades), change of notes. Sparse music scatters like speech, but its notes stay."""
LAG = 5
"""Note frames (a quarter of a second) after which a sung or played note is often still there."""
PART_MIN_S = 4
"""What is shorter belongs to its neighbours; a pause for effect is music."""
SONG_MIN_S = 10.0
"""A stretch of music below this is no song."""
SONG_MAX_S = 900.0
"""Longer music is cut at its quietest moments: comparing every bar with every other has a price."""

ORDER = (PartType.MUSIC, PartType.TALK, PartType.APPLAUSE, PartType.SILENCE)


@dataclass(frozen=True)
class Stretch:
    start_s: float
    end_s: float
    type: PartType
    confidence: float


def parts(features: Features) -> list[Stretch]:
    """Covers the whole recording. Empty for an empty one."""
    seconds = max(1, int(features.duration_s))
    chances = _chances(features, seconds)
    kinds = _smoothed(chances.argmax(1))
    borders = [0, *(np.flatnonzero(np.diff(kinds)) + 1), seconds]
    return [
        Stretch(
            float(start),
            features.duration_s if end == seconds else float(end),
            ORDER[kinds[start]],
            float(chances[start:end, kinds[start]].mean()),
        )
        for start, end in itertools.pairwise(borders)
    ]


def songs(found: list[Stretch], features: Features) -> list[tuple[float, float]]:
    """Start and end of each stretch of music that is long enough to be a song."""
    result: list[tuple[float, float]] = []
    for part in found:
        if part.type is PartType.MUSIC and part.end_s - part.start_s >= SONG_MIN_S:
            result += _cut(part.start_s, part.end_s, features)
    return result


def _chances(features: Features, seconds: int) -> Array:
    """(seconds, 4): how likely each of ORDER is in the three seconds about that one."""
    level = 10 * np.log10(features.mel.sum(1) + 1e-9)
    flatness = np.log10(features.flatness + 1e-9)
    stays = _stays(features.notes)
    loud = np.percentile(level, 95) if len(level) else 0.0
    chances = np.zeros((seconds, len(ORDER)))
    for second in range(seconds):
        here = _window(second, RATE, len(level))
        there = _window(second, NOTE_RATE, len(stays))
        silent = _sigmoid((loud - SILENCE_DB - np.percentile(level[here], 90)) / 3)
        heard = level[here] > level[here].max() - PAUSE_DB
        noise = _sigmoid((float(np.median(flatness[here][heard])) - NOISE_FLATNESS) / 0.05)
        measures = (level[here].std(), flatness[here].std(), -stays[there].mean())
        speech = sum(
            np.clip((value - middle) / width, -against, 1)
            for value, (middle, width, against) in zip(measures, TALK, strict=True)
        )
        talk = _sigmoid(2 * float(speech))
        chances[second] = (
            (1 - silent) * (1 - noise) * (1 - talk),
            (1 - silent) * (1 - noise) * talk,
            (1 - silent) * noise,
            silent,
        )
    return chances


def _stays(notes: Array) -> Array:
    """Cosine between the notes of each frame and those a quarter of a second later."""
    strength = np.log(notes + 1e-6 * notes.mean() + 1e-12)
    strength = strength - strength.mean(1, keepdims=True)
    if len(strength) <= LAG:
        return np.ones(max(1, len(strength)))
    unit = strength / (np.linalg.norm(strength, axis=1, keepdims=True) + 1e-9)
    return np.append((unit[:-LAG] * unit[LAG:]).sum(1), np.ones(LAG))


def _window(second: int, rate: float, frames: int) -> slice:
    middle = second + STEP_S / 2
    start = max(0, min(round((middle - WINDOW_S / 2) * rate), frames - 1))
    return slice(start, max(start + 1, min(frames, round((middle + WINDOW_S / 2) * rate))))


def _sigmoid(value: float) -> float:
    return float(1 / (1 + np.exp(-np.clip(value, -30, 30))))


def _smoothed(kinds: Array) -> Array:
    """Runs below PART_MIN_S go, the shortest first, to the longer of their neighbours."""
    kinds = kinds.copy()
    while True:
        borders = np.r_[0, np.flatnonzero(np.diff(kinds)) + 1, len(kinds)]
        lengths = np.diff(borders)
        if len(lengths) < 2 or lengths.min() >= PART_MIN_S:
            return kinds
        short = int(lengths.argmin())
        before = lengths[short - 1] if short > 0 else -1
        after = lengths[short + 1] if short + 1 < len(lengths) else -1
        neighbour = borders[short] - 1 if before >= after else borders[short + 1]
        kinds[borders[short] : borders[short + 1]] = kinds[neighbour]


def _cut(start_s: float, end_s: float, features: Features) -> list[tuple[float, float]]:
    pieces = int(np.ceil((end_s - start_s) / SONG_MAX_S))
    level = features.mel.sum(1)
    cuts = [start_s]
    for piece in range(1, pieces):
        about = start_s + (end_s - start_s) * piece / pieces
        low, high = round((about - 20) * RATE), round((about + 20) * RATE)
        second = np.convolve(level[low:high], np.ones(round(RATE)), "valid")
        cuts.append((low + int(second.argmin())) / RATE + 0.5)
    return list(zip(cuts, [*cuts[1:], end_s], strict=True))
