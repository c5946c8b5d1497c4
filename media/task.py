"""What a task of an engine process is: the tables in `media/tasks.py` and beside the engines are made of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from contracts.base import Contract


@dataclass(frozen=True)
class Task:
    argument: type[Contract]
    result: type[Contract]
    run: Callable[..., Contract]
    """Called as run(argument, progress)."""
