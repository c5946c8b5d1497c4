"""The only table from a worker's role to what it hosts: queue, workflows, slots, engines, grace."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from contracts.queues import Queue
from contracts.settings import Settings, cpu_cores
from contracts.timing import WORKER_GRACE
from workflows.registry import WORKFLOWS

SHORT_STEPS_AT_ONCE = 50
"""Steps of a few database statements; the connection pool is the real limit."""
TRANSFERS_AT_ONCE = 4
ENGINES_PER_GPU = 4
"""With some 2 GB of the GPU's memory and 4 GB of the machine's each, 16 GB of both are enough (docs/adr/016)."""


@dataclass(frozen=True)
class Role:
    queue: Queue
    slots: Callable[[Settings], int]
    """Activities at once."""
    engines: Callable[[Settings], int] = lambda _: 0
    """Warm engine processes, started when they are first needed. As many as `slots`: a step that waits for one beats
    to nobody, and would be given up and begun again beside itself."""
    workflows: tuple[type[Any], ...] = ()
    grace: timedelta = timedelta()
    """On SIGTERM running steps may finish for so long. Zero: they are handed back at once, as a segment of
    minutes would not finish anyway."""


def segments_at_once(settings: Settings) -> int:
    """One single-threaded engine per core, as decoding, motion and encoding stay on the processor with a GPU too."""
    if settings.gpu_slots:
        return settings.gpu_slots
    # A GPU that engines will not use sets no bound.
    if settings.device == "cpu" or importlib.util.find_spec("torch") is None:
        return cpu_cores()
    gpus = len(list(Path("/proc/driver/nvidia/gpus").glob("*")))
    return min(cpu_cores(), ENGINES_PER_GPU * gpus) if gpus else cpu_cores()


ROLES: dict[str, Role] = {
    role.queue.value: role
    for role in (
        Role(Queue.CORE, slots=lambda _: SHORT_STEPS_AT_ONCE, workflows=WORKFLOWS, grace=WORKER_GRACE),
        Role(Queue.TRANSFER, slots=lambda _: TRANSFERS_AT_ONCE, engines=lambda _: TRANSFERS_AT_ONCE),
        Role(Queue.GPU, slots=segments_at_once, engines=segments_at_once),
        Role(Queue.PROVIDERS, slots=lambda _: SHORT_STEPS_AT_ONCE, grace=WORKER_GRACE),
    )
}
