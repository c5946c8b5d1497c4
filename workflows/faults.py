"""What a failed step means for the job: bad input ends it, a fault of ours asks for a person."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from temporalio import workflow
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    TimeoutError,
    TimeoutType,
    is_cancelled_exception,
)

from contracts.errors import DETAIL_LENGTH_MAX, ERRORS, Code, sentence
from contracts.jobs import JobStatus
from contracts.purchases import RefundRequest


@dataclass(frozen=True)
class Fault:
    """A step that has failed for good, after all its own attempts."""

    step: str
    code: str
    detail: str

    @property
    def final(self) -> bool:
        """True when no retry can help: the user's file is at fault, or the job has ended already."""
        # Not `in Code`: before Python 3.12 an enumeration refuses to be asked about plain strings.
        return self.code in set(Code) and not ERRORS[Code(self.code)].retryable

    @classmethod
    def of(cls, error: ActivityError) -> Fault:
        cause = error.cause
        if isinstance(cause, ApplicationError):
            return cls(error.activity_type, cause.type or Code.INTERNAL, cause.message[:DETAIL_LENGTH_MAX])
        if isinstance(cause, TimeoutError):
            no_worker = cause.type in (TimeoutType.SCHEDULE_TO_START, TimeoutType.SCHEDULE_TO_CLOSE)
            kind = cause.type.name.lower() if cause.type is not None else "unknown"
            code = Code.UNAVAILABLE if no_worker else Code.ENGINE_STALLED
            return cls(error.activity_type, code, f"time-out: {kind}")
        return cls(error.activity_type, Code.INTERNAL, str(cause or error)[:DETAIL_LENGTH_MAX])


@dataclass
class JobEnds(Exception):
    """The job ends without a result; `status` says how its owner will see it."""

    status: Literal[JobStatus.FAILED, JobStatus.CANCELED, JobStatus.EXPIRED]
    code: str
    detail: str = ""
    refund: RefundRequest | None = None
    """Support wants the charge back on the card, whatever the customer chose."""
    product: dict[str, Any] = field(default_factory=dict[str, Any])
    """What the kind has to say of its pieces."""

    @classmethod
    def because_of(cls, failure: BaseException) -> JobEnds:
        """Whatever stopped the saga, as an ending. Unknown exceptions end the job too: no hold may dangle."""
        if isinstance(failure, JobEnds):
            return failure
        if is_cancelled_exception(failure):
            return cls(JobStatus.CANCELED, Code.CANCELED_BY_USER)
        if isinstance(failure, ActivityError):
            fault = Fault.of(failure)
            return cls(JobStatus.FAILED, fault.code, f"{fault.step}: {fault.detail}")
        return cls(
            JobStatus.FAILED, Code.INTERNAL, f"{type(failure).__name__}: {failure}"[:DETAIL_LENGTH_MAX]
        )


def refuse_started_copy(workflow_id: str) -> None:
    """The Web UI's *Start Workflow Like This One* makes a copy with another id; it must not touch money."""
    if workflow.info().workflow_id != workflow_id:
        raise ApplicationError(
            sentence(Code.WORKFLOW_ID_MISMATCH, "en"), type=Code.WORKFLOW_ID_MISMATCH, non_retryable=True
        )
