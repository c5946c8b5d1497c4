"""Clips for tests, demos and benchmarks: real ones found in an installed package, odd and bad ones generated.

Each `clip_<name>(folder)` writes one small file (at most 160 x 120 pixels and 2 seconds, about 0.1 s of work) and
returns its path. Pictures are numbered and sounds click at known instants, see `pattern`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from dev.clips import bad, good, sounds
from dev.clips.packaged import packaged

Clip = Callable[[Path], Path]


def _clips(module: ModuleType) -> dict[str, Clip]:
    own = {
        name: value
        for name, value in vars(module).items()
        if getattr(value, "__module__", "") == module.__name__
    }
    return {name.removeprefix("clip_"): value for name, value in own.items() if name.startswith("clip_")}


GOOD: dict[str, Clip] = _clips(good)
"""Name without `clip_` -> maker."""
SOUNDS: dict[str, Clip] = _clips(sounds)
"""Good ones without picture."""
BAD: dict[str, Clip] = _clips(bad)

__all__ = ["BAD", "GOOD", "SOUNDS", "Clip", "packaged"]
