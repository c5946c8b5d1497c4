"""What each section does in its song: chorus, verse, bridge ... by repetition, energy, melody and position.

Rules, not statistics: there is too little data with such names to fit more than their order. They say what a
listener would: the most prominent letter that comes back is the chorus, what leads in and out has little melody.
"""

from __future__ import annotations

import itertools

import numpy as np

from contracts.kinds.music import SectionType
from media.music.features import Array
from media.music.prominence import Prominence

INTRO_ENDS = 0.25
OUTRO_BEGINS = 0.8
BRIDGE_BEGINS = 0.4
"""Shares of the song."""
QUIET_MELODY = -0.5
"""Standard deviations below the song's mean, from which a section counts as without melody."""
BRIDGE_BARS = 4


def functions(
    borders: tuple[int, ...], labels: tuple[str, ...], prominence: Prominence
) -> tuple[SectionType, ...]:
    edges = list(itertools.pairwise(borders))
    melody = np.array([prominence.melody[a:b].mean() for a, b in edges])
    chorus = _chorus(edges, labels, prominence)
    names = [SectionType.CHORUS if label == chorus else SectionType.VERSE for label in labels]
    for i, (start, end) in enumerate(edges):
        if labels[i] == chorus:
            continue
        once = labels.count(labels[i]) == 1
        if melody[i] < QUIET_MELODY or (once and end - start < BRIDGE_BARS):
            names[i] = SectionType.INTERLUDE
        elif once and start >= BRIDGE_BEGINS * borders[-1] and SectionType.CHORUS in names[:i]:
            names[i] = SectionType.BRIDGE
    _open_and_close(names, edges, borders[-1])
    _mark_climax(names, edges, prominence)
    return tuple(names)


def _chorus(edges: list[tuple[int, int]], labels: tuple[str, ...], prominence: Prominence) -> str:
    """The most prominent letter among those that occur twice; without any, among all."""
    repeated = {label for label in labels if labels.count(label) > 1} or set(labels)

    def score(label: str) -> float:
        bars = np.concatenate(
            [np.arange(a, b) for (a, b), own in zip(edges, labels, strict=True) if own == label]
        )
        return float(prominence.score[bars].mean() + 0.5 * prominence.melody[bars].mean())

    return max(sorted(repeated), key=score)


def _open_and_close(names: list[SectionType], edges: list[tuple[int, int]], bars: int) -> None:
    """Sections without melody before the first and after the last sung one."""
    without = (SectionType.INTERLUDE,)
    for i, (_, end) in enumerate(edges):
        if names[i] not in without or end > INTRO_ENDS * bars:
            break
        names[i] = SectionType.INTRO
    for i in range(len(edges) - 1, 0, -1):
        unsung = names[i] in (*without, SectionType.BRIDGE)
        if not unsung or edges[i][0] < OUTRO_BEGINS * bars:
            break
        names[i] = SectionType.OUTRO


def _mark_climax(names: list[SectionType], edges: list[tuple[int, int]], prominence: Prominence) -> None:
    """The strongest of several choruses; of nearly equal ones the later."""
    choruses = [i for i, name in enumerate(names) if name is SectionType.CHORUS]
    if len(choruses) < 2:
        return
    strength = [
        float((prominence.loudness + 0.25 * prominence.position)[edges[i][0] : edges[i][1]].mean())
        + 0.5 * edges[i][0] / edges[-1][1]
        for i in choruses
    ]
    names[choruses[int(np.argmax(strength))]] = SectionType.CLIMAX


def section_energy(borders: tuple[int, ...], loudness_db: Array) -> Array:
    """0 to 1 in the song's own range: 1 is its loudest section."""
    levels = np.array([loudness_db[a:b].mean() for a, b in itertools.pairwise(borders)])
    return np.clip(1 + (levels - levels.max()) / ENERGY_RANGE_DB, 0, 1)


ENERGY_RANGE_DB = 24.0
"""A section that much below the loudest one has no energy."""
