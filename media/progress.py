"""How an engine tells how far it is.

A call means that real work was done since the last one: a frame, a tile, a megabyte. The same numbers again are
a beat ("one more tile of this frame"), never a timer's tick: whoever watches kills an engine that falls silent.
"""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""(stage, done, total): units done of this stage and how many there are; total is 0 while unknown."""


def silent(stage: str, done: int, total: int) -> None:
    """For callers who do not watch."""
