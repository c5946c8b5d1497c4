"""Compensation: what has been done for a customer is undone, in reverse order, when the flow cannot finish."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

from workflows.faults import JobEnds

T = TypeVar("T")

Undo = Callable[[JobEnds], Awaitable[None]]


class Saga:
    """Register each undo *before* the call that it undoes: a call whose answer is lost may have happened."""

    def __init__(self) -> None:
        self._undo: list[Undo] = []

    def on_failure(self, undo: Undo) -> None:
        self._undo.append(undo)

    async def compensate(self, ending: JobEnds) -> None:
        """Runs every undo, even while the workflow is being cancelled. Each retries until it succeeds."""
        for undo in reversed(self._undo):
            await to_the_end(_run(undo, ending))


async def _run(undo: Undo, ending: JobEnds) -> None:
    await undo(ending)


async def to_the_end(work: Coroutine[Any, Any, T], *, on_cancel: Callable[[], None] | None = None) -> T:
    """Awaits `work` to its end whatever cancellation arrives meanwhile, which `on_cancel` is told of: for what must
    not be half done."""
    task = asyncio.create_task(work)
    while True:
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            # Temporal delivers a cancellation once; here it came too late. When the task itself was
            # cancelled the workflow is being evicted from the worker's cache, which must go through.
            if task.cancelled():
                raise
            if on_cancel is not None:
                on_cancel()


async def ignoring_failure(work: Awaitable[object]) -> None:
    """For steps without which the flow goes on: a notice, a clean-up."""
    try:
        await work
    except ActivityError as error:
        if is_cancelled_exception(error):
            raise  # the workflow is being cancelled, which it is told only once
        workflow.logger.warning("best-effort step failed: %s", error)
