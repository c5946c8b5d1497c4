"""What makes a bar part of the song's hook: it is repeated, loud, sung high, and comes back late.

Loudness, repetition, register and position are what choruses have in common across pop music (Van Balen et al., "An
Analysis of Chorus Features in Popular Song", 2013; Goto, "A Chorus-Section Detection Method for Musical Audio
Signals", 2006).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from contracts.kinds.music import Reason
from media.music.bars import Bars
from media.music.beats import standard
from media.music.features import NOTE_LOW, Array
from media.music.labels import ENOUGH
from media.music.similarity import TRANSPOSED, Likeness, apart, around

MELODY = slice(57 - NOTE_LOW, 86 - NOTE_LOW)
"""A3 to C#6: where voices sing."""
LATE, HIGH = 0.5, 0.5
"""Weights of position and of a high voice against 1 for loudness and for each of the two signs of repetition."""


@dataclass(frozen=True)
class Prominence:
    """Per bar, in standard deviations of the song."""

    repetition: Array
    loudness: Array
    melody: Array
    """How far the strongest note between A3 and C#6 stands above the usual."""
    position: Array
    register: Array
    """How high the strongest notes there lie."""

    @property
    def score(self) -> Array:
        return self.repetition + self.loudness + LATE * self.position + HIGH * self.register

    def reasons(self, bars: slice) -> tuple[Reason, ...]:
        """Those that speak for a stretch, the strongest first."""
        for_it = {
            Reason.REPETITION: float(self.repetition[bars].mean()) / 2,
            Reason.LOUDNESS: float(self.loudness[bars].mean()),
            Reason.POSITION: LATE * float(self.position[bars].mean()),
        }
        ranked = sorted(for_it, key=lambda reason: -for_it[reason])
        return tuple(reason for reason in ranked if for_it[reason] > 0) or (ranked[0],)


def prominence(bars: Bars, alike: Likeness, agreed: Array) -> Prominence:
    """`agreed`: (bars, bars), the share of readings in which two bars have one letter."""
    share = agreed.mean(1)
    last = np.array([np.flatnonzero(row > ENOUGH).max() for row in agreed])
    above = bars.notes[:, :, MELODY] - np.median(bars.notes[:, :, MELODY], axis=(0, 1))
    return Prominence(
        repetition=standard(share) + standard(_returns(alike)),
        loudness=standard(bars.loudness_db),
        melody=standard(above.max(2).mean(1)),
        position=standard(last),
        register=standard(_register(above)),
    )


def _register(above: Array) -> Array:
    """Mean place, among the notes of MELODY, of those near the strongest of each sixteenth."""
    strong = np.maximum(above - 0.6 * above.max(2, keepdims=True), 0)
    return ((strong * np.arange(above.shape[2])).sum(2) / (strong.sum(2) + 1e-9)).mean(1)


def _returns(alike: Likeness, strongest: int = 3) -> Array:
    """Mean likeness of the eight bars around each bar to their best few repetitions, in any near key."""
    found = np.maximum.reduce(
        [around(alike.notes, 4), *(around(m, 4) - TRANSPOSED / 2 for m in alike.transposed)]
    )
    elsewhere = np.where(apart(len(found), 4), found, -1.0)
    return np.sort(elsewhere, axis=1)[:, -strongest:].mean(1)
