"""A song bar by bar: each bar cut into equal slots, so that bars compare note by note whatever their length.

After Marmoret, Cohen & Bimbot, "Barwise Music Structure Analysis with the Correlation Block-Matching Segmentation
Algorithm" (2023): downbeats are found well enough today to count time in bars.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from media.music.beats import Beats
from media.music.features import NOTE_RATE, RATE, Array, Features

NOTE_SLOTS, TIMBRE_SLOTS, BASS_SLOTS = 16, 8, 8


@dataclass(frozen=True)
class Bars:
    edges_s: Array
    """(bars + 1,): the song's start or the downbeat before it, every downbeat, the end. From the song's start on."""
    notes: Array
    """(bars, 16, 72): logarithmic strength of each semitone in each sixteenth of the bar."""
    bass: Array
    """(bars, 8, 30)"""
    timbre: Array
    """(bars, 8, 64): logarithmic mel bands."""
    loudness_db: Array
    """(bars,)"""

    def __len__(self) -> int:
        return len(self.notes)


def by_bar(song: Features, beats: Beats) -> Bars:
    edges = _edges(beats.downbeats_s, song.duration_s)
    floor = 1e-4 * song.mel.mean() + 1e-12
    return Bars(
        edges_s=edges,
        notes=_slots(np.log1p(song.notes / (np.median(song.notes) + 1e-12)), NOTE_RATE, edges, NOTE_SLOTS),
        bass=_slots(np.log1p(song.bass / (np.median(song.bass) + 1e-12)), NOTE_RATE, edges, BASS_SLOTS),
        timbre=_slots(np.log(song.mel + floor), RATE, edges, TIMBRE_SLOTS),
        loudness_db=10 * np.log10(_slots(song.mel.sum(1, keepdims=True), RATE, edges, 1)[:, 0, 0] + 1e-9),
    )


def _edges(downbeats_s: Array, duration_s: float) -> Array:
    """Bars go on at the usual length before the first and after the last downbeat found."""
    if len(downbeats_s) < 2:
        count = max(2, round(duration_s / 2))
        return np.linspace(0, duration_s, count + 1)
    usual = float(np.median(np.diff(downbeats_s)))
    edges = list(downbeats_s)
    while edges[0] - usual > -0.5 * usual:
        edges.insert(0, edges[0] - usual)
    while edges[-1] < duration_s - 0.3 * usual:
        edges.append(edges[-1] + usual)
    return np.array(edges)


def _slots(values: Array, rate: float, edges_s: Array, slots: int) -> Array:
    """(bars, slots, columns): means of `values`, frames of which a slot may cover in part."""
    sums = np.vstack([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0, dtype=np.float64)])
    starts = [np.linspace(a, b, slots, endpoint=False) for a, b in itertools.pairwise(edges_s)]
    at = np.append(np.concatenate(starts), edges_s[-1]) * rate
    inside = np.clip(at, 0, len(values))
    whole = np.minimum(inside.astype(int), len(values) - 1)
    integral = sums[whole] + (inside - whole)[:, None] * values[whole]
    means = np.diff(integral, axis=0) / np.maximum(np.diff(at), 1e-6)[:, None]
    return means.reshape(len(edges_s) - 1, slots, values.shape[1])
