"""Where sections begin: cues at each bar, and the path through the bars that fits cues, repetition and usual lengths.

The cues: repetition that starts or ends here (after Serra et al., "Unsupervised Music Structure Annotation by Time
Series Structure Features and Segment Similarity", 2014), novelty of timbre (Foote, "Automatic Audio Segmentation
Using a Measure of Audio Novelty", 2000) and a step in loudness. Bars that repeat each other share their evidence.
The path: dynamic programming over section lengths, regular lengths preferred (Sargent, Bimbot & Vincent, "Estimating
the Structural Segmentation of Popular Music Pieces Under Regularity Constraints", 2017; Marmoret et al., 2023).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import logsumexp

from media.music.bars import Bars
from media.music.features import Array
from media.music.similarity import Likeness, apart, around, runs

LENGTH_MAX = 20
"""Bars."""
CUES = ("repetition begins", "repetition ends", "timbre changes", "loudness steps")


@dataclass(frozen=True)
class Weights:
    """What a logistic regression found on 15 annotated songs (`python -m bench.music` fits and cross-validates it)."""

    cues: tuple[float, ...]
    """One each of CUES, per standard deviation."""
    repetition: float = 1.5
    irregularity: float = 3.0
    cue: float = 0.7
    sharing: float = 1.0
    """How much evidence a bar takes over from the bars that it repeats."""


FITTED = Weights(cues=(0.52, 0.12, 0.09, 0.35))


@dataclass(frozen=True)
class Segmentation:
    borders: tuple[int, ...]
    """Bars at which sections begin, and the number of bars."""
    certainty: Array
    """(bars + 1,): share of all segmentations, weighted by their likelihood, that have a border there."""


def segment(bars: Bars, alike: Likeness, weights: Weights = FITTED) -> Segmentation:
    evidence = cues(bars, alike) @ np.array(weights.cues)
    evidence = weights.cue * _shared(evidence, alike.overall, weights.sharing)
    value = weights.repetition * _repeated(alike.overall) - weights.irregularity * irregularity()
    value = value + evidence[:, None]
    return Segmentation(_best_path(value), _certainty(value))


def readings(bars: Bars, alike: Likeness, weights: Weights = FITTED) -> tuple[Segmentation, ...]:
    """The segmentation, and a second opinion that lets phrases be less regular."""
    lenient = replace(weights, irregularity=weights.irregularity / 2)
    return segment(bars, alike, weights), segment(bars, alike, lenient)


def cues(bars: Bars, alike: Likeness) -> Array:
    """(bars, 4): CUES of a border before each bar, standardised within the song."""
    begins, ends = _repetition_edges((alike.notes + alike.sound) / 2, 2)
    found = np.stack([begins, ends, _novelty(alike.timbre, 4), _step(bars.loudness_db)], axis=1)
    return np.clip((found - found.mean(0)) / (found.std(0) + 1e-9), -3, 4)


def irregularity() -> Array:
    """Per length in bars: phrases have eight bars, or four or sixteen; other even numbers before odd ones."""
    cost = np.ones(LENGTH_MAX + 1)
    cost[2::2] = 0.6
    cost[4::4] = 0.5
    cost[[4, 16]] = 0.25
    cost[8] = 0
    cost[[1, 2, 3]] = 1.3, 1.0, 1.2
    return cost


def _novelty(matrix: Array, half: int) -> Array:
    """Foote's checkerboard along the diagonal: alike on each side, unlike across."""
    offset = np.arange(-half, half) + 0.5
    bell = np.exp(-0.5 * np.square(offset / (0.6 * half))) * np.sign(offset)
    kernel = np.outer(bell, bell)
    padded = np.pad(matrix, half, mode="reflect" if len(matrix) > half else "edge")
    return np.array([(padded[i : i + 2 * half, i : i + 2 * half] * kernel).sum() for i in range(len(matrix))])


def _repetition_edges(matrix: Array, span: int, strongest: int = 3) -> tuple[Array, Array]:
    """How much better the `span` bars from here on repeat elsewhere than those before, at the same distance; and the
    reverse. Means of the strongest few distances."""
    size = len(matrix)
    after = runs(matrix, span)
    before = np.full((size, size), matrix.mean())
    before[span:, span:] = after[: size - span, : size - span]
    gain = after - before
    usable = apart(size, 4)
    usable[:, size - span + 1 :] = False
    begins, ends = np.zeros(size), np.zeros(size)
    for bar in range(max(0, size - span + 1)):
        gains = np.sort(gain[bar, usable[bar]])
        if len(gains):
            begins[bar], ends[bar] = gains[-strongest:].mean(), -gains[:strongest].mean()
    return begins, ends


def _step(loudness_db: Array) -> Array:
    return np.abs(np.diff(loudness_db, prepend=loudness_db[:1]))


def _shared(evidence: Array, matrix: Array, sharing: float) -> Array:
    likeness = around(matrix, 3)
    allowed = apart(len(matrix), 4)
    if not allowed.any():
        return evidence
    allowed &= likeness > np.percentile(likeness[allowed], 90)
    weight = np.where(allowed, np.exp(8 * (likeness - 1)), 0)
    # The last term: a bar that repeats none well (below 0.3) takes over little.
    weight = weight / (weight.sum(1, keepdims=True) + np.exp(8 * (0.3 - 1)))
    return evidence + sharing * (weight @ evidence)


def _repeated(matrix: Array) -> Array:
    """[bar, length]: how well that stretch is repeated as a whole somewhere else, against the usual; root of length."""
    size = len(matrix)
    best = np.full((size, LENGTH_MAX + 1), -1.0)
    total = matrix
    for length in range(1, min(LENGTH_MAX, size) + 1):
        starts = size - length + 1
        if length > 1:
            total = total[:starts, :starts] + matrix[length - 1 :, length - 1 :]
        best[:starts, length] = np.where(apart(starts, length), total / length, -1).max(1)
    usual = np.median(best[:, 4]) if size >= 4 else 0.0
    return np.sqrt(np.arange(LENGTH_MAX + 1)) * (best - usual)


def _best_path(value: Array) -> tuple[int, ...]:
    """Borders of greatest total value, where value[bar, length] is that of a section."""
    size = len(value)
    best, came_from = np.full(size + 1, -np.inf), np.zeros(size + 1, int)
    best[0] = 0
    for end in range(1, size + 1):
        lengths = np.arange(1, min(LENGTH_MAX, end) + 1)
        totals = best[end - lengths] + value[end - lengths, lengths]
        came_from[end] = end - lengths[totals.argmax()]
        best[end] = totals.max()
    borders = [size]
    while borders[-1] > 0:
        borders.append(int(came_from[borders[-1]]))
    return tuple(borders[::-1])


def _certainty(value: Array) -> Array:
    """Posterior of a border at each bar: the forward-backward sums of the same paths."""
    size = len(value)
    forward, backward = np.full(size + 1, -np.inf), np.full(size + 1, -np.inf)
    forward[0] = backward[size] = 0
    for end in range(1, size + 1):
        lengths = np.arange(1, min(LENGTH_MAX, end) + 1)
        forward[end] = logsumexp(forward[end - lengths] + value[end - lengths, lengths])
    for start in range(size - 1, -1, -1):
        lengths = np.arange(1, min(LENGTH_MAX, size - start) + 1)
        backward[start] = logsumexp(backward[start + lengths] + value[start, lengths])
    return np.exp(forward + backward - forward[size])
