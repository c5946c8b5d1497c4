"""What a failure of a room becomes for Temporal: its code, and whether to try again."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from temporalio.activity import ActivityCancellationDetails
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory
from temporalio.testing import ActivityEnvironment
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput

from activities.faults import FaultInterceptor
from contracts.errors import DETAIL_LENGTH_MAX, Code, EchoError
from contracts.settings import MediaLimits
from contracts.timing import ENGINE_ATTEMPTS_MAX
from db.engine import Database

Step = Callable[[], Awaitable[Any]]


class _Innermost(ActivityInboundInterceptor):
    """Where the SDK would call the activity."""

    def __init__(self) -> None: ...

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        return await input.fn(*input.args)


def environment(*, attempt: int = 1, attempts_max: int = 20) -> ActivityEnvironment:
    env = ActivityEnvironment()
    env.info = replace(env.info, attempt=attempt, retry_policy=RetryPolicy(maximum_attempts=attempts_max))
    return env


def boundary(step: Step) -> Step:
    async def run() -> Any:
        around = FaultInterceptor().intercept_activity(_Innermost())
        return await around.execute_activity(
            ExecuteActivityInput(fn=step, args=(), executor=None, headers={})
        )

    return run


async def failure(step: Step, **how: int) -> ApplicationError:
    with pytest.raises(ApplicationError) as raised:
        await environment(**how).run(boundary(step))
    return raised.value


def raising(error: BaseException) -> Step:
    async def step() -> None:
        raise error

    return step


@pytest.mark.parametrize(
    ("error", "code", "tried_again"),
    [
        (EchoError(Code.NOT_A_VIDEO), Code.NOT_A_VIDEO, False),
        (EchoError(Code.JOB_SETTLED), Code.JOB_SETTLED, False),
        (EchoError(Code.STORAGE_UNAVAILABLE), Code.STORAGE_UNAVAILABLE, True),
        (EchoError(Code.ENGINE_CRASHED), Code.ENGINE_CRASHED, True),
        (OSError(errno.ENOSPC, "No space left on device"), Code.OUT_OF_DISK, True),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), Code.OUT_OF_DISK, True),
        (OSError(errno.EIO, "Input/output error"), Code.INTERNAL, True),
        (KeyError("surprise"), Code.INTERNAL, True),
    ],
)
async def test_each_failure_has_a_code_and_says_whether_trying_again_helps(
    error: Exception, code: Code, tried_again: bool
) -> None:
    found = await failure(raising(error))
    assert (found.type, found.non_retryable) == (code, not tried_again)


@pytest.mark.parametrize(
    "code", [Code.ENGINE_CRASHED, Code.ENGINE_STALLED, Code.RESULT_UNVERIFIED, Code.INTERNAL]
)
async def test_an_engine_that_keeps_failing_on_the_same_input_is_not_tried_for_ever(code: Code) -> None:
    early = await failure(raising(EchoError(code)), attempt=ENGINE_ATTEMPTS_MAX - 1)
    late = await failure(raising(EchoError(code)), attempt=ENGINE_ATTEMPTS_MAX)
    assert (early.non_retryable, late.non_retryable) == (False, True)


async def test_a_server_that_is_away_is_tried_as_often_as_the_step_allows() -> None:
    found = await failure(raising(EchoError(Code.STORAGE_UNAVAILABLE)), attempt=ENGINE_ATTEMPTS_MAX + 10)
    assert not found.non_retryable


async def test_a_step_without_a_limit_waits_for_the_repair_of_our_own_fault() -> None:
    """`release` must not give up: the credits would stay held."""
    found = await failure(raising(KeyError("bug")), attempt=1000, attempts_max=0)
    assert not found.non_retryable


async def test_bad_input_is_no_alarm_but_a_fault_of_ours_is() -> None:
    assert (await failure(raising(EchoError(Code.CORRUPT)))).category is ApplicationErrorCategory.BENIGN
    ours = await failure(raising(EchoError(Code.ENGINE_CRASHED)))
    assert ours.category is ApplicationErrorCategory.UNSPECIFIED


async def test_a_lost_database_is_tried_again() -> None:
    nowhere = Database("postgresql+psycopg://nobody@127.0.0.1:1/nothing")

    async def step() -> None:
        async with nowhere.read():
            pass

    found = await failure(step, attempt=ENGINE_ATTEMPTS_MAX + 10)
    assert (found.type, found.non_retryable) == (Code.UNAVAILABLE, False)
    await nowhere.aclose()


async def test_wrong_data_is_reported_without_the_data() -> None:
    async def step() -> None:
        MediaLimits.model_validate({"fps_max": "secret text"})

    found = await failure(step)
    assert found.type == Code.INTERNAL
    assert "fps_max" in found.message
    assert "secret text" not in found.message


async def test_error_text_is_bounded() -> None:
    found = await failure(raising(ValueError("x" * 100_000)))
    assert len(found.message) <= DETAIL_LENGTH_MAX


async def test_a_worker_that_stops_hands_its_step_back_at_once() -> None:
    env, begun = environment(), asyncio.Event()

    async def step() -> None:
        begun.set()
        await asyncio.Event().wait()

    running = asyncio.ensure_future(env.run(boundary(step)))
    await begun.wait()
    env.worker_shutdown()
    env.cancel(ActivityCancellationDetails(worker_shutdown=True))
    with pytest.raises(ApplicationError) as raised:
        await running
    assert raised.value.type == Code.UNAVAILABLE
    assert not raised.value.non_retryable
    assert raised.value.next_retry_delay is not None
    assert raised.value.next_retry_delay.total_seconds() < 1


async def test_a_cancellation_by_the_workflow_stays_one() -> None:
    env, begun = environment(), asyncio.Event()

    async def step() -> None:
        begun.set()
        await asyncio.Event().wait()

    running = asyncio.ensure_future(env.run(boundary(step)))
    await begun.wait()
    env.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
