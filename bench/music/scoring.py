"""Scores against human annotations, by mir_eval's definitions and the rules of the data's README."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import mir_eval
import numpy as np

CLIP_S = 30.0
AGREED = 0.5
"""`chorus_agreement` from which two annotators mean the same chorus."""


@dataclass(frozen=True)
class Reference:
    name: str
    audio: Path
    duration_s: float
    intervals: np.ndarray
    labels: list[str]
    chorus: list[tuple[float, float]]
    agreed: bool


@dataclass(frozen=True)
class Estimate:
    """Of one song by one method. `labels` and `clip_s` are None where the method finds no such thing."""

    borders_s: list[float]
    """Section starts, and the last end."""
    labels: list[str] | None
    clip_s: float | None
    """Where the best 30 s begin."""


def references(folder: Path) -> list[Reference]:
    found = []
    for path in sorted((folder / "sections").glob("*.json")):
        data = json.loads(path.read_text())
        sections = data["sections"]
        found.append(
            Reference(
                name=path.stem,
                audio=folder / "audio" / f"{path.stem}.opus",
                duration_s=data["duration"],
                intervals=np.array([[s["start"], s["end"]] for s in sections]),
                labels=[s["label"] for s in sections],
                chorus=[(s["start"], s["end"]) for s in sections if s["kind"] == "chorus"],
                agreed=data["chorus_agreement"] >= AGREED,
            )
        )
    return found


def scores(reference: Reference, estimate: Estimate) -> dict[str, float]:
    """F@0.5, F@3, pairwise, hit: what the method gives of them."""
    borders = np.array(sorted({round(b, 3) for b in estimate.borders_s}))
    intervals = np.stack([borders[:-1], borders[1:]], axis=1)
    intervals, labels = mir_eval.util.adjust_intervals(
        intervals,
        list(estimate.labels or [""] * len(intervals)),
        0.0,
        reference.duration_s,
        "before",
        "after",
    )
    found = {}
    if len(intervals) > 1:
        for name, window in (("F@0.5", 0.5), ("F@3", 3.0)):
            found[name] = mir_eval.segment.detection(
                reference.intervals, intervals, window=window, trim=True
            )[2]
        if estimate.labels is not None:
            found["pairwise"] = mir_eval.segment.pairwise(
                reference.intervals, reference.labels, intervals, labels
            )[2]
    if estimate.clip_s is not None:
        found["hit"] = float(hit(reference, estimate.clip_s))
        if reference.agreed:
            found["hit, agreed"] = found["hit"]
    return found


def hit(reference: Reference, start_s: float) -> bool:
    """Whether half of the 30 s from there on lies in choruses."""
    inside = sum(
        max(0.0, min(start_s + CLIP_S, end) - max(start_s, start)) for start, end in reference.chorus
    )
    return inside >= CLIP_S / 2


def mean(rows: list[dict[str, float]]) -> dict[str, float]:
    names = ("F@0.5", "F@3", "pairwise", "hit", "hit, agreed")
    return {
        name: float(np.mean(values)) for name in names if (values := [r[name] for r in rows if name in r])
    }
