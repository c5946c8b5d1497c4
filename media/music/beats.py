"""Tempo, beats and the first beats of bars of one song.

Tempo: summed local autocorrelations of the onset strength, read at one, two, four and eight beats. Beats: Ellis'
dynamic programming ("Beat Tracking by Dynamic Programming", 2007), whose chosen tempo may be a few per cent off.
Downbeats: harmony and bass change there more often than elsewhere (Papadopoulos & Peeters, "Joint Estimation of
Chords and Downbeats", 2011); a Viterbi pass lets the count start anew where the players, or the beats found, do.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d, uniform_filter1d

from media.music.features import NOTE_LOW, NOTE_RATE, RATE, Array, Features

TEMPO_BPM = (70.0, 140.0)
"""One octave: of a tempo and its double or half the one in here is meant, so that bars last 1.7 to 3.4 s."""
TEMPO_EDGE_OCTAVES = 0.05
TEMPO_GRID = np.exp2(np.arange(np.log2(50), np.log2(200), 0.005))
WINDOW_S = 12.0
LAG_MAX_S = 8.0
HEARD_DB = 80.0
"""Below the loudest: what is softer counts as no sound."""
COMB = ((1, 1.0), (2, 1.0), (4, 1.0), (8, 0.5))
"""Beats of lag, and what a recurrence after so many counts."""
TIGHTNESS = 200.0
"""Ellis' weight of a steady beat against strong onsets. At 100 syncopation pulls beats off by half a beat, at 400 a
tempo that changes by 4 % is lost."""
TRIPLE_MARGIN = 1.3
"""Bars of three are rare: they must explain the cues that much better than bars of four."""
RECOUNT = 12.0
"""Cost of a bar of another length, in standard deviations of the downbeat cues."""


@dataclass(frozen=True)
class Beats:
    times_s: Array
    is_downbeat: Array
    """Of booleans, one a beat."""
    beats_per_bar: int
    tempo_bpm: float
    tempo_confidence: float
    downbeat_confidence: float

    @property
    def downbeats_s(self) -> Array:
        return self.times_s[self.is_downbeat]


def track(song: Features) -> Beats:
    """Beats of a song of at least some seconds; times in seconds from its start."""
    strength = onset_strength(song.mel)
    onsets = _evened(strength)
    tempo, tempo_confidence = _tempo(onsets)
    frames = _beats(onsets, 60 * RATE / tempo)
    times = frames / RATE
    cue = _downbeat_cue(song, times)
    per_bar, downbeats, confidence = _count(cue)
    found = 60 / float(np.median(np.diff(times))) if len(times) > 2 else tempo
    steady = _steadiness(times)
    return Beats(times, downbeats, per_bar, _refined(times, found), tempo_confidence * steady, confidence)


def onset_strength(mel: Array) -> Array:
    """Mean rise of the mel bands from frame to frame, in decibels.

    As librosa.onset has it. To import that compiles its neighbours for a minute where their cache does not fit this
    machine or cannot be written to, and two processes that do so at once have crashed (numba issue 10128).
    """
    decibels = 10 * np.log10(np.maximum(mel, 1e-10))
    heard = np.maximum(decibels, decibels.max() - HEARD_DB)
    return np.maximum(0, np.diff(heard, axis=0, prepend=heard[:1])).mean(1)


def _evened(strength: Array) -> Array:
    """Above the mean of the second around, in units of the usual strength of the eight seconds around."""
    above = np.maximum(0.0, strength - uniform_filter1d(strength, round(RATE)))
    usual = np.sqrt(uniform_filter1d(np.square(above), round(8 * RATE)))
    return above / (usual + 1e-3 * strength.std() + 1e-9)


def _tempo(onsets: Array) -> tuple[float, float]:
    """Beats a minute, and how far the best tempo stands out: 0 where nothing recurs, 1 where all does."""
    length, lags = round(WINDOW_S * RATE), round(LAG_MAX_S * RATE)
    recurrence, windows = np.zeros(lags), 0
    for start in range(0, max(1, len(onsets) - length // 2), length // 2):
        window = np.zeros(length)
        piece = onsets[start : start + length]
        window[: len(piece)] = piece - piece.mean()
        spectrum = np.fft.rfft(window, 2 * length)
        correlation = np.fft.irfft(np.square(np.abs(spectrum)))[:lags]
        recurrence += correlation / (correlation[0] + 1e-9) / (1 - np.arange(lags) / length)
        windows += 1
    smooth = gaussian_filter1d(recurrence / windows, 1.0)
    beat = 60 * RATE / TEMPO_GRID
    comb = sum(weight * np.interp(beat * beats, np.arange(lags), smooth) for beats, weight in COMB)
    outside = np.maximum(
        0, np.maximum(np.log2(TEMPO_BPM[0] / TEMPO_GRID), np.log2(TEMPO_GRID / TEMPO_BPM[1]))
    )
    score = np.asarray(comb) * np.exp(-0.5 * np.square(outside / TEMPO_EDGE_OCTAVES))
    best = int(score.argmax())
    # The smoothing takes about half off the zero lag's 1, which a metronome would reach.
    confidence = float(np.clip(score[best] / sum(weight for _, weight in COMB) / 0.5, 0, 1))
    return float(TEMPO_GRID[best]), confidence


def _beats(onsets: Array, period: float) -> Array:
    """Frames of the beats. Blocks as long as the shortest interval depend on earlier ones only, so each is one step."""
    strength = gaussian_filter1d(onsets, period / 32)
    strength = strength / (strength.std() + 1e-9)
    frames = len(strength)
    shortest, longest = round(period * 0.6), round(period * 1.6)
    intervals = np.arange(shortest, longest + 1)
    penalty = -TIGHTNESS * np.square(np.log(intervals / period))
    total = strength.copy()
    previous = np.full(frames, -1)
    for start in range(shortest, frames, shortest):
        here = np.arange(start, min(frames, start + shortest))
        before = here[:, None] - intervals
        value = np.where(before >= 0, total[np.maximum(before, 0)] + penalty, -np.inf)
        best = value.argmax(1)
        gain = value[np.arange(len(here)), best]
        linked = gain > 0
        total[here] += np.where(linked, gain, 0)
        previous[here] = np.where(linked, before[np.arange(len(here)), best], -1)
    last = max(0, frames - round(period))
    beat = last + int(total[last:].argmax())
    beats = []
    while beat >= 0:
        beats.append(beat)
        beat = int(previous[beat])
    return np.array(beats[::-1])


def _steadiness(times: Array) -> float:
    """1 for a steady beat, 0.5 where the intervals scatter by a tenth."""
    if len(times) < 4:
        return 0.0
    intervals = np.diff(times)
    return float(np.exp(-np.median(np.abs(np.diff(intervals))) / np.median(intervals) * 6.9))


def _refined(times: Array, tempo: float) -> float:
    """The tempo of a straight line through the beats: finer than the frames allow from one beat to the next."""
    if len(times) < 8:
        return tempo
    steps = np.cumsum(np.r_[0, np.round(np.diff(times) * tempo / 60)])
    return 60 / float(np.polyfit(steps, times, 1)[0])


def _downbeat_cue(song: Features, times: Array) -> Array:
    """Per beat: change of chords over one and two beats, change of the bass, weight of the kick drum; standardised."""
    notes, bass = np.sqrt(song.notes), np.sqrt(song.bass)
    edges = np.append(times, times[-1] + np.median(np.diff(times)) if len(times) > 1 else times[-1] + 0.5)
    chroma = _by_beat(fold(notes), edges)
    low = _by_beat(fold(bass[:, 2:24], NOTE_LOW + 2), edges)
    kick = onset_strength(song.mel[:, :5])
    frames = np.round(times * RATE).astype(int)
    weight = np.array([kick[max(0, f - 2) : f + 3].max(initial=0.0) for f in frames])
    cues = (_change(chroma, 1), _change(chroma, 2), _change(low, 1), weight)
    return np.sum([standard(cue) for cue in cues], axis=0)


def fold(notes: Array, lowest: int = NOTE_LOW) -> Array:
    """(frames, 12) chroma, C first, of (frames, notes) that start at the MIDI number `lowest`."""
    chroma = np.zeros((len(notes), 12))
    for column in range(notes.shape[1]):
        chroma[:, (column + lowest) % 12] += notes[:, column]
    return chroma


def standard(values: Array) -> Array:
    """With mean 0 and deviation 1."""
    return (values - values.mean()) / (values.std() + 1e-9)


def _by_beat(values: Array, edges_s: Array) -> Array:
    edges = np.clip(np.round(edges_s * NOTE_RATE).astype(int), 0, len(values) - 1)
    return np.array([values[a : max(b, a + 1)].mean(0) for a, b in itertools.pairwise(edges)])


def _change(values: Array, span: int) -> Array:
    """Cosine distance between the `span` beats before each beat and those from it on."""
    change = np.zeros(len(values))
    for beat in range(1, len(values)):
        before, after = values[max(0, beat - span) : beat].mean(0), values[beat : beat + span].mean(0)
        change[beat] = 1 - before @ after / (np.linalg.norm(before) * np.linalg.norm(after) + 1e-9)
    return change


def _count(cue: Array) -> tuple[int, Array, float]:
    """Beats per bar, which beats are first ones, and how surely."""
    four, three = _stands_out(cue, 4), _stands_out(cue, 3)
    per_bar = 3 if three > TRIPLE_MARGIN * four and three > 2 else 4
    first = _phases(standard(cue), per_bar) == 0
    clear = max(three, four)
    return per_bar, first, float(clear / (clear + 4))


def _stands_out(cue: Array, per_bar: int) -> float:
    """By how many standard errors the best count's downbeats exceed the next best's."""
    if len(cue) < 2 * per_bar:
        return 0.0
    means = np.sort([cue[phase::per_bar].mean() for phase in range(per_bar)])
    error = cue.std() / np.sqrt(len(cue) / per_bar) + 1e-9
    return float((means[-1] - means[-2]) / error)


def _phases(cue: Array, per_bar: int) -> Array:
    """Viterbi path through the places in a bar: the downbeats' cue is won, a wrong step costs RECOUNT."""
    beats = len(cue)
    total = np.zeros(per_bar)
    came_from = np.zeros((beats, per_bar), int)
    for beat in range(beats):
        stepped = np.roll(total, 1)
        jump = int(total.argmax())
        jumps = total[jump] - RECOUNT > stepped
        came_from[beat] = np.where(jumps, jump, (np.arange(per_bar) - 1) % per_bar)
        total = np.where(jumps, total[jump] - RECOUNT, stepped)
        total[0] += cue[beat]
    path = np.zeros(beats, int)
    phase = int(total.argmax())
    for beat in range(beats - 1, -1, -1):
        path[beat] = phase
        phase = came_from[beat, phase]
    return path
