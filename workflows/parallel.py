"""Running many steps at once, with one rule for when one of them fails."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

from contracts.errors import Code
from workflows.faults import Fault

T = TypeVar("T")


async def all_of(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Results in the order given; raises once nothing runs any more.

    A fault of ours lets the others finish, since their work is kept and the failed one may be retried. Bad
    input, or a cancellation, stops them all. What is raised is the bad input, else the first fault in order.
    """
    tasks = [asyncio.create_task(each) for each in work]
    try:
        await _until_done(tasks)
    except asyncio.CancelledError:
        _cancel(tasks)
        await workflow.wait(tasks)
        raise
    # The stopped ones fail too, with a cancellation that nobody has asked for.
    for hopeless in filter(_hopeless, tasks):
        hopeless.result()
    return [task.result() for task in tasks]


async def each_of(work: Iterable[Coroutine[Any, Any, T]]) -> list[T | ActivityError]:
    """Results in the order given, and what went wrong with those that failed for good. A cancellation stops them all;
    that the job had ended meanwhile is raised."""
    tasks = [asyncio.create_task(each) for each in work]
    try:
        if tasks:
            await workflow.wait(tasks)
    except asyncio.CancelledError:
        _cancel(tasks)
        await workflow.wait(tasks)
        raise
    return [_outcome(task) for task in tasks]


def _outcome(task: asyncio.Task[T]) -> T | ActivityError:
    try:
        return task.result()
    except ActivityError as error:
        if is_cancelled_exception(error) or Fault.of(error).code == Code.JOB_SETTLED:
            raise
        return error


async def _until_done(tasks: list[asyncio.Task[T]]) -> None:
    pending = tasks
    while pending:
        done, pending = await workflow.wait(pending, return_when=asyncio.FIRST_EXCEPTION)
        if any(_hopeless(task) for task in done):
            _cancel(pending)


def _hopeless(task: asyncio.Task[Any]) -> bool:
    failure = None if task.cancelled() else task.exception()
    return isinstance(failure, ActivityError) and Fault.of(failure).final


def _cancel(tasks: Iterable[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
