"""Which sections are repetitions of each other: agglomerative clustering of sections compared bar by bar.

Where the borders lie and how alike two sections must be is never sure, so the song is read several times and sections
share a letter where half of the readings say so (Fred & Jain, "Combining Multiple Clusterings Using Evidence
Accumulation", 2005).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from media.music.features import Array
from media.music.similarity import TRANSPOSED, Likeness

SAME = 0.3
"""Mean likeness from which two groups of sections are one letter; by cross-validation on 15 songs."""
SAME_STEP = 0.1
"""By which a generous reading is below SAME and a severe one above."""
ENOUGH = 0.45
"""Share of readings from which sections have one letter: half of them, less what differs at the edges."""
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def section_likeness(alike: Likeness, borders: tuple[int, ...]) -> Array:
    """(sections, sections): the shorter of two laid along the longer where it fits best, in any near key."""
    plain = (alike.notes + alike.sound + 0.5 * alike.timbre) / 2.5
    # The spectrum does not move with the notes: those stand in for it.
    moved = [(2 * notes + 0.5 * alike.timbre) / 2.5 - TRANSPOSED for notes in alike.transposed]
    edges = list(itertools.pairwise(borders))
    result = np.eye(len(edges))
    for i, (start, end) in enumerate(edges):
        for j, (other, last) in enumerate(edges[:i]):
            shorter = min(end - start, last - other)
            offsets = range(shorter - (end - start), (last - other) - shorter + 1)
            result[i, j] = result[j, i] = max(
                np.trace(matrix[start:end, other:last], offset) / shorter
                for matrix in (plain, *moved)
                for offset in offsets
            )
    return result


def agreement(alike: Likeness, readings: Sequence[tuple[int, ...]], same: float = SAME) -> Array:
    """(bars, bars): the share of readings in which two bars have one letter. `readings`: the borders of each."""
    votes = []
    for borders in readings:
        kin = section_likeness(alike, borders)
        for threshold in (same - SAME_STEP, same, same + SAME_STEP):
            by_bar = np.repeat(_groups(kin, threshold), np.diff(borders))
            votes.append(by_bar[:, None] == by_bar)
    return np.mean(votes, axis=0)


def between_sections(agreed: Array, borders: tuple[int, ...]) -> Array:
    """(sections, sections): means of a (bars, bars) agreement."""
    lengths = np.diff(borders)
    sums = np.add.reduceat(np.add.reduceat(agreed, borders[:-1], axis=0), borders[:-1], axis=1)
    return sums / np.outer(lengths, lengths)


def label(agreed: Array, enough: float = ENOUGH) -> tuple[str, ...]:
    """A letter for each section, in order of appearance."""
    groups = _groups(agreed, enough)
    letters: dict[int, str] = {}
    for group in groups:
        letters.setdefault(int(group), _letter(len(letters)))
    return tuple(letters[int(group)] for group in groups)


def label_certainty(likeness: Array, labels: tuple[str, ...], same: float = SAME) -> Array:
    """How far a section is on the right side of the threshold, to its own letter and to the nearest other. 0 to 1."""
    names = np.array(labels)
    certainty = np.zeros(len(labels))
    for i, name in enumerate(labels):
        own = (names == name) & (np.arange(len(labels)) != i)
        inside = likeness[i, own].mean() - same if own.any() else np.inf
        others = [likeness[i, names == other].mean() for other in set(labels) - {name}]
        outside = same - max(others) if others else np.inf
        margin = min(inside, outside)
        certainty[i] = 1 / (1 + np.exp(-8 * margin)) if np.isfinite(margin) else 0.5
    return certainty


def _groups(likeness: Array, same: float) -> Array:
    """A number for each section."""
    if len(likeness) < 2:
        return np.ones(len(likeness), int)
    distance = np.maximum(0, 1 - likeness)
    np.fill_diagonal(distance, 0)
    return fcluster(linkage(squareform(distance, checks=False), "average"), 1 - same, "distance")


def _letter(index: int) -> str:
    """A ... Z, AA, AB ..."""
    high, low = divmod(index, len(ALPHABET))
    return (ALPHABET[high - 1] if high else "") + ALPHABET[low]
