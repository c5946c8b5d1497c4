"""The one place where a failure of a room becomes a failure that Temporal understands.

Every failure carries a code of `contracts/errors.py` as its type and a short text. Whether to try again is
decided here: bad input never, engines a few times, servers that are away for as long as the step allows.
"""

from __future__ import annotations

import asyncio
import errno
from datetime import timedelta
from typing import Any

from pydantic import ValidationError
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from activities.metrics import QUEUE_WAIT_SECONDS, STEP_FAILURES
from contracts.errors import DETAIL_LENGTH_MAX, Code, EchoError
from contracts.timing import ENGINE_ATTEMPTS_MAX

ENGINE_FAULTS = frozenset({Code.ENGINE_CRASHED, Code.ENGINE_STALLED, Code.RESULT_UNVERIFIED, Code.INTERNAL})
"""Faults that the same input may provoke again: retried a few times only."""


class FaultInterceptor(Interceptor):
    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _FaultBoundary(next)


class _FaultBoundary(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        info = activity.info()
        waited = info.started_time - info.current_attempt_scheduled_time
        # From zero on, so that the first one is seen as an increase.
        STEP_FAILURES.labels(info.activity_type, Code.INTERNAL)
        QUEUE_WAIT_SECONDS.labels(info.activity_type).observe(max(0.0, waited.total_seconds()))
        try:
            return await super().execute_activity(input)
        except asyncio.CancelledError:
            if activity.is_worker_shutdown():
                raise _handed_back() from None
            raise
        except ApplicationError:
            raise
        except Exception as failure:
            error = as_echo_error(failure)
            STEP_FAILURES.labels(info.activity_type, error.code).inc()
            if error.code is Code.INTERNAL:
                activity.logger.exception("unexpected failure in %s", info.activity_type)
            raise as_application_error(error, info.attempt, limited=_limited(info)) from None


def as_echo_error(failure: Exception) -> EchoError:
    if isinstance(failure, EchoError):
        return failure
    if isinstance(failure, OperationalError | InterfaceError) or (
        isinstance(failure, DBAPIError) and failure.connection_invalidated
    ):
        return EchoError(Code.UNAVAILABLE, f"database: {_brief(failure)}")
    if isinstance(failure, OSError) and failure.errno in (errno.ENOSPC, errno.EDQUOT):
        return EchoError(Code.OUT_OF_DISK, _brief(failure))
    if isinstance(failure, ValidationError):
        return EchoError(Code.INTERNAL, f"{failure.title}: {failure.errors(include_input=False)}")
    return EchoError(Code.INTERNAL, f"{type(failure).__name__}: {_brief(failure)}")


def _limited(info: activity.Info) -> bool:
    """Whether the step gives up some day, so that its workflow shows the fault and tries again. One without a limit
    (`release`) waits until the fault is repaired."""
    return info.retry_policy is None or info.retry_policy.maximum_attempts > 0


def as_application_error(error: EchoError, attempt: int, *, limited: bool = True) -> ApplicationError:
    worn_out = limited and error.code in ENGINE_FAULTS and attempt >= ENGINE_ATTEMPTS_MAX
    hopeless = worn_out or not error.retryable
    asked_to_wait_s = error.fields.get("retry_after_s")
    return ApplicationError(
        error.detail or error.info.en,
        error.fields,
        type=error.code,
        non_retryable=hopeless,
        next_retry_delay=timedelta(seconds=asked_to_wait_s) if isinstance(asked_to_wait_s, int) else None,
        # Bad input is daily business: it belongs in no error log and in no alert.
        category=ApplicationErrorCategory.UNSPECIFIED if error.retryable else ApplicationErrorCategory.BENIGN,
    )


def _handed_back() -> ApplicationError:
    """A worker that is told to stop gives its step back at once, for another worker to take."""
    return ApplicationError(
        "the worker is shutting down",
        type=Code.UNAVAILABLE,
        next_retry_delay=timedelta(milliseconds=100),
    )


def _brief(failure: Exception) -> str:
    """Of what a database says the first line, which names the rule: the others hold the row."""
    said = str(failure.orig).partition("\n")[0] if isinstance(failure, DBAPIError) else str(failure)
    return said.strip()[:DETAIL_LENGTH_MAX]
