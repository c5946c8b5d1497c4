"""The key of a song, by correlation of its chroma with Krumhansl and Kessler's probe tone profiles (1982)."""

from __future__ import annotations

import numpy as np

from media.music.beats import fold
from media.music.features import Array

MAJOR = np.array([6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88])
MINOR = np.array([6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17])
TONICS = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
CLEAR = 0.5
"""Confidence below which no key is named."""


def key(notes: Array) -> tuple[str | None, float]:
    """The key's name, None where none is clear, and how sure it is: 0 to 1."""
    if not len(notes):
        return None, 0.0
    strength = np.sqrt(notes)
    strength = np.maximum(
        0, strength - np.median(strength, axis=1, keepdims=True)
    )  # noise lies under all notes alike
    chroma = fold(strength).mean(0)
    if chroma.std() < 1e-9:
        return None, 0.0
    scores = {
        f"{TONICS[tonic]} {mode}": float(np.corrcoef(np.roll(chroma, -tonic), profile)[0, 1])
        for tonic in range(12)
        for mode, profile in (("major", MAJOR), ("minor", MINOR))
    }
    best, second = sorted(scores, key=lambda name: -scores[name])[:2]
    fits = np.clip((scores[best] - 0.5) / 0.35, 0, 1)
    leads = np.clip(0.4 + 4 * (scores[best] - scores[second]), 0, 1)
    uneven = np.clip(
        chroma.std() / chroma.mean() / 0.15, 0, 1
    )  # noise fits some profile too, but hardly stands out
    confidence = float(fits * leads * uneven)
    return (best if confidence >= CLEAR else None), confidence
