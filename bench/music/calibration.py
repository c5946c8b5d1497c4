"""Whether confidences mean something: how often sections of low, middle and high confidence are right."""

from __future__ import annotations

import numpy as np

from bench.music.scoring import Reference
from contracts.kinds.music import Music

NEAR_S = 0.5


def calibration(songs: list[Reference], results: list[Music]) -> None:
    """Prints how well confidence orders sections, and a line per third of them.

    Right: an annotated border lies within half a second of the beginning.
    """
    pairs = np.array([
        (section.confidence, np.abs(song.intervals[:, 0] - section.start_s).min() <= NEAR_S)
        for song, music in zip(songs, results, strict=True)
        for section in music.sections
    ])  # fmt: skip
    right, wrong = pairs[pairs[:, 1] == 1, 0], pairs[pairs[:, 1] == 0, 0]
    above = (np.sign(right[:, None] - wrong).mean() + 1) / 2
    print(f"\na right section is surer than a wrong one in {above:.2f} of all pairs")
    ordered = pairs[pairs[:, 0].argsort(kind="stable")]
    print("confidence of a section (thirds of all)   mean said   begins where a human says so")
    for third in np.array_split(ordered, 3):
        print(f"{third[0, 0]:.2f} to {third[-1, 0]:.2f}{third[:, 0].mean():40.2f}{third[:, 1].mean():16.2f}")
