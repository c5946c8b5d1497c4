"""How alike the bars of a song are: cosines between bars, of which diagonal stretches are repetitions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from media.music.bars import Bars
from media.music.features import Array

TRANSPOSITIONS = (-2, -1, 1, 2, 3)
"""Semitones by which a late chorus is lifted, or a verse set lower."""
TRANSPOSED = 0.1
"""What a repetition in another key loses in likeness."""


@dataclass(frozen=True)
class Likeness:
    """Matrices of (bars, bars), values to 1."""

    notes: Array
    """The same melody and chords at the same places in the bar."""
    sound: Array
    """The same spectrum at the same places: notes, drums and voices together."""
    timbre: Array
    """The same mean spectrum: the same players, as loud."""
    transposed: tuple[Array, ...]
    """`notes` with the second bar moved by each of TRANSPOSITIONS."""

    @property
    def overall(self) -> Array:
        return (self.notes + self.sound + self.timbre) / 3


def likeness(bars: Bars) -> Likeness:
    notes = bars.notes - bars.notes.mean((0, 1))
    sound = bars.timbre - bars.timbre.mean((0, 1))
    mean = bars.timbre.mean(1)
    timbre = (mean - mean.mean(0)) / (mean.std(0) + 0.3)  # 0.3: a band that hardly changes is not blown up
    unit = _unit(notes)
    return Likeness(
        notes=unit @ unit.T,
        sound=_cosines(sound),
        timbre=_cosines(timbre),
        transposed=tuple(unit @ _unit(_moved(notes, by)).T for by in TRANSPOSITIONS),
    )


def runs(matrix: Array, length: int) -> Array:
    """Mean along the diagonal over the `length` bars from (i, j) on, fewer at the end."""
    return _diagonal_mean(matrix, 0, length)


def around(matrix: Array, half: int) -> Array:
    """Mean along the diagonal over the bars from `half` before (i, j) to `half` after."""
    return _diagonal_mean(matrix, -half, half)


def apart(bars: int, least: int) -> Array:
    """Which pairs of bars are at least so far apart."""
    index = np.arange(bars)
    return np.abs(index[:, None] - index) >= least


def _diagonal_mean(matrix: Array, first: int, last: int) -> Array:
    size = len(matrix)
    total, count = np.zeros((size, size)), np.zeros((size, size))
    for step in range(first, last):
        low, high = max(0, -step), size - max(0, step)
        if low >= high:
            continue
        total[low:high, low:high] += matrix[low + step : high + step, low + step : high + step]
        count[low:high, low:high] += 1
    return total / np.maximum(count, 1)


def _cosines(values: Array) -> Array:
    unit = _unit(values)
    return unit @ unit.T


def _unit(values: Array) -> Array:
    flat = values.reshape(len(values), -1)
    return flat / (np.linalg.norm(flat, axis=1, keepdims=True) + 1e-9)


def _moved(notes: Array, by: int) -> Array:
    moved = np.zeros_like(notes)
    if by > 0:
        moved[:, :, by:] = notes[:, :, :-by]
    else:
        moved[:, :, :by] = notes[:, :, -by:]
    return moved
