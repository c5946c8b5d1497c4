from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contracts.media import MediaLimits
from dev.clips.writer import Look, Sound, write
from media.probe import probe
from tests.media.clips.sources import X264, Source, make

VARIABLE_MS = np.concatenate(
    [[0], np.cumsum([(33, 34, 50, 20, 33, 70, 33, 25, 41, 60)[i % 10] for i in range(80)])]
)
HEVC = Look(
    codec="libx265", options={"preset": "ultrafast", "x265-params": "keyint=30:bframes=3:log-level=error"}
)
OPEN_GOP = Look(options=X264 | {"x264-params": "open-gop=1:keyint=30:min-keyint=30:scenecut=0"})
MAKERS: dict[str, Callable[[Path], Source]] = {
    "plain": lambda folder: make(folder / "plain.mp4"),
    "variable": lambda folder: make(folder / "v.mp4", [Fraction(int(ms), 1000) for ms in VARIABLE_MS]),
    "open_gop": lambda folder: make(folder / "open.mp4", look=OPEN_GOP),
    "hevc": lambda folder: make(folder / "hevc.mp4", look=HEVC),
    "matroska": lambda folder: make(folder / "m.mkv"),
    "silent": lambda folder: make(folder / "silent.mp4", sounds=[]),
    "anamorphic": lambda folder: _seen(folder, sample_aspect=Fraction(4, 3)),
    "turned_90": lambda folder: _seen(folder, rotation_ccw=-90),
    "turned_180": lambda folder: _seen(folder, rotation_ccw=-180),
    "turned_270": lambda folder: _seen(folder, rotation_ccw=-270),
    "mirrored": lambda folder: _seen(folder, mirrored=True),
    "two_tracks": lambda folder: make(
        folder / "two.mp4",
        sounds=[
            Sound(duration_s=Fraction(4), language="kor"),
            Sound(duration_s=Fraction(4), rate=44100, channels=1, language="eng"),
        ],
    ),
    "late_sound": lambda folder: make(
        folder / "late.mp4", sounds=[Sound(start_s=Fraction(1), duration_s=Fraction(3))]
    ),
    "late_picture": lambda folder: make(
        folder / "late_picture.mp4", [1 + Fraction(number, 30) for number in range(120)]
    ),
}


def _seen(folder: Path, **look: Any) -> Source:
    """Of which nothing but the pictures matters."""
    return make(folder / "seen.mp4", frames=60, look=Look(options=X264, **look), sounds=[])


def _noise(folder: Path) -> Source:
    """What no encoder makes small."""
    random = np.random.default_rng(2)
    pictures = [
        (Fraction(number, 30), random.integers(0, 256, (180, 320, 3)).astype(np.uint8))
        for number in range(60)
    ]
    path = write(folder / "noise.mp4", pictures, look=Look(options=X264))
    return Source(path, probe(path, MediaLimits()), tuple(time for time, _ in pictures))


MAKERS["noise"] = _noise


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Source]:
    """Makes a source once per run."""
    made: dict[str, Source] = {}

    def get(name: str) -> Source:
        if name not in made:
            made[name] = MAKERS[name](tmp_path_factory.mktemp(name))
        return made[name]

    return get
