"""The best stretches of 15, 30 and 60 s: most prominent on the mean, from bar to bar, no two of a length alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

import numpy as np

from contracts.kinds.music import HighlightLength, Reason, SectionType
from media.music.features import Array
from media.music.prominence import Prominence

PER_LENGTH = 5
OVERLAP_MAX = 0.25
"""Share of its length that a highlight may share with a better one."""
AT_BORDER = 0.5
"""Standard deviations that a start at a section's border is worth: clips that begin with a phrase are liked better."""


@dataclass(frozen=True)
class Found:
    length_s: HighlightLength
    start_s: float
    end_s: float
    type: SectionType
    score: float
    """0 to 1 within the song: half for what is merely usual."""
    reasons: tuple[Reason, ...]


def highlights(
    edges_s: Array,
    borders: tuple[int, ...],
    types: tuple[SectionType, ...],
    prominence: Prominence,
    duration_s: float,
) -> list[Found]:
    """For each length the best first. `edges_s`: of the bars, within 0 to `duration_s`."""
    edges = np.clip(edges_s, 0, duration_s)
    by_bar = np.repeat(np.array([t.value for t in types]), np.diff(borders))
    found: list[Found] = []
    for length in get_args(HighlightLength):
        chosen: list[tuple[int, int]] = []
        for score, first, last in _candidates(edges, borders, prominence.score, length):
            if len(chosen) == PER_LENGTH:
                break
            if any(_overlap(edges, (first, last), other) > OVERLAP_MAX * length for other in chosen):
                continue
            chosen.append((first, last))
            kinds, counts = np.unique(by_bar[first:last], return_counts=True)
            found.append(
                Found(
                    length_s=length,
                    start_s=float(edges[first]),
                    end_s=float(edges[last]),
                    type=SectionType(kinds[counts.argmax()]),
                    score=float(1 / (1 + np.exp(-score))),
                    reasons=prominence.reasons(slice(first, last)),
                )
            )
    return found


def _candidates(
    edges: Array, borders: tuple[int, ...], score: Array, length_s: float
) -> list[tuple[float, int, int]]:
    """(score, first bar, bar after the last), best first. A song shorter than the length is one candidate."""
    weighted = np.r_[0, np.cumsum(score * np.diff(edges))]
    candidates = []
    for first in range(len(edges) - 1):
        last = int(np.abs(edges - (edges[first] + length_s)).argmin())
        taken = edges[last] - edges[first]
        if last <= first or (abs(taken - length_s) > _slack(edges) and first > 0):
            continue
        mean = (weighted[last] - weighted[first]) / max(length_s, taken)
        candidates.append((float(mean + AT_BORDER * (first in borders)), first, last))
    return sorted(candidates, reverse=True)


def _slack(edges: Array) -> float:
    """Half a bar, and a little for bars that are longer than the usual."""
    return 0.75 * float(np.median(np.diff(edges)))


def _overlap(edges: Array, one: tuple[int, int], other: tuple[int, int]) -> float:
    return max(0.0, float(edges[min(one[1], other[1])] - edges[max(one[0], other[0])]))
