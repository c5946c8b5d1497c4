"""What of the engine is fitted to data, fitted anew without a fifth of the songs and measured on that fifth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.music.scoring import Estimate, Reference, mean, scores
from media.music import beats, labels, parts
from media.music.bars import Bars, by_bar
from media.music.features import Features
from media.music.functions import functions
from media.music.highlights import highlights
from media.music.prominence import prominence
from media.music.segmentation import FITTED, Weights, cues, readings
from media.music.similarity import Likeness, likeness

FOLDS = 5
SAME_GRID = (0.25, 0.3, 0.35, 0.4)
RIDGE = 10.0


@dataclass(frozen=True)
class Prepared:
    """A song up to the point where fitted numbers come in. The largest song of the file; times from its start."""

    reference: Reference
    start_s: float
    duration_s: float
    bars: Bars
    alike: Likeness
    found: beats.Beats


def prepare(reference: Reference, features: Features) -> Prepared:
    start, end = max(parts.songs(parts.parts(features), features), key=lambda r: r[1] - r[0])
    song = features.between(start, end)
    found = beats.track(song)
    bars = by_bar(song, found)
    return Prepared(reference, start, song.duration_s, bars, likeness(bars), found)


def fit(songs: Sequence[Prepared]) -> tuple[Weights, float]:
    """Weights of the cues by ridge logistic regression, then the labels' threshold with the best pairwise F."""
    weights = Weights(cues=_logistic(songs))
    forms = [[f.borders for f in readings(s.bars, s.alike, weights)] for s in songs]

    def quality(same: float) -> float:
        estimates = [_estimate(s, f, same) for s, f in zip(songs, forms, strict=True)]
        return mean([scores(s.reference, e) for s, e in zip(songs, estimates, strict=True)])["pairwise"]

    return weights, max(SAME_GRID, key=quality)


def measure(
    songs: Sequence[Prepared], weights: Weights = FITTED, same: float = labels.SAME
) -> list[dict[str, float]]:
    rows = []
    for song in songs:
        forms = [f.borders for f in readings(song.bars, song.alike, weights)]
        rows.append(scores(song.reference, _estimate(song, forms, same)))
    return rows


def cross_validated(songs: Sequence[Prepared]) -> list[dict[str, float]]:
    rows = []
    for fold in range(FOLDS):
        weights, same = fit([s for i, s in enumerate(songs) if i % FOLDS != fold])
        rows += measure([s for i, s in enumerate(songs) if i % FOLDS == fold], weights, same)
    return rows


def targets(song: Prepared) -> np.ndarray:
    """(bars,): 1 where the nearest annotated border is."""
    marked = np.zeros(len(song.bars))
    for border in song.reference.intervals[1:, 0] - song.start_s:
        marked[min(int(np.abs(song.bars.edges_s - border).argmin()), len(marked) - 1)] = 1
    return marked


def _estimate(song: Prepared, forms: Sequence[tuple[int, ...]], same: float) -> Estimate:
    borders = forms[0]
    agreed = labels.agreement(song.alike, forms, same)
    letters = labels.label(labels.between_sections(agreed, borders))
    hook = prominence(song.bars, song.alike, agreed)
    edges = np.clip(song.bars.edges_s, 0, song.duration_s)
    edges[0], edges[-1] = 0, song.duration_s
    starts = [song.start_s + float(edges[b]) for b in borders]
    found = highlights(edges, borders, functions(borders, letters, hook), hook, song.duration_s)
    begin = song.start_s + next(h.start_s for h in found if h.length_s == 30)
    return Estimate(starts, list(letters), begin)


def _logistic(songs: Sequence[Prepared]) -> tuple[float, ...]:
    """By Newton's method; the constant is not needed, since a song's number of sections follows from their lengths."""
    x = np.concatenate([np.c_[cues(s.bars, s.alike), np.ones(len(s.bars))] for s in songs])
    y = np.concatenate([targets(s) for s in songs])
    weights = np.zeros(x.shape[1])
    penalty = RIDGE * np.diag([1.0] * (x.shape[1] - 1) + [0.0])
    for _ in range(20):
        p = 1 / (1 + np.exp(-x @ weights))
        weights += np.linalg.solve((x.T * (p * (1 - p))) @ x + penalty, x.T @ (y - p) - penalty @ weights)
    return tuple(float(w) for w in weights[:-1])
