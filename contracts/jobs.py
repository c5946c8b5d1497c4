"""A job as its owner sees it: states, stages, events, and the saga log that support and finance read."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from contracts.base import Contract
from contracts.ledger import CreditEffect


class JobStatus(StrEnum):
    CREATED = "CREATED"
    """Credits held, waiting for the upload."""
    INGESTED = "INGESTED"
    """Upload announced; being checked, or waiting for missing credits."""
    QUEUED = "QUEUED"
    """Checked and priced; waiting for a worker."""
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"

    @property
    def settled(self) -> bool:
        """Nothing more will happen, to the job or to its credits."""
        return self in SETTLED


SETTLED = frozenset({JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELED, JobStatus.EXPIRED})
ACTIVE = frozenset(JobStatus) - SETTLED

NEXT: dict[JobStatus, frozenset[JobStatus]] = {
    JobStatus.CREATED: frozenset({JobStatus.INGESTED}) | (SETTLED - {JobStatus.SUCCEEDED}),
    JobStatus.INGESTED: frozenset({JobStatus.QUEUED}) | (SETTLED - {JobStatus.SUCCEEDED}),
    JobStatus.QUEUED: frozenset({JobStatus.RUNNING}) | SETTLED,
    JobStatus.RUNNING: SETTLED,
    **{status: frozenset[JobStatus]() for status in SETTLED},
}
"""Legal moves. A step that runs again (retry, reset) may repeat a move but never go back."""


class StageState(StrEnum):
    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class Attention(StrEnum):
    """Why a job waits for a person."""

    FAULT = "fault"
    """A step failed for good: support retries or gives up."""
    FUNDS = "funds"
    """The measured price exceeds the balance: the user adds credits."""


class Stage(Contract):
    """One stage's progress, `done` of `total` in the stage's own unit (bytes, frames)."""

    name: str
    state: StageState
    percent: int
    """0-100; never falls, also when a part is done again after a crash."""
    started_at: datetime | None = None
    finished_at: datetime | None = None


class EventType(StrEnum):
    STATUS = "status"
    PROGRESS = "progress"
    ATTENTION = "attention"


class JobEvent(Contract):
    """A row of the job's event stream; `seq` rises by one within a job."""

    job_id: str
    seq: int
    at: datetime
    type: EventType
    status: JobStatus
    credit_effect: CreditEffect = CreditEffect.NONE
    credits: int = 0
    """Amount that `credit_effect` speaks of."""
    stages: tuple[Stage, ...] = ()
    eta_s: int | None = None
    attention: Attention | None = None
    failure_code: str | None = None


class SagaStep(Contract):
    """A line of the saga log: one step, what it did to the credits, and which workflow run did it."""

    seq: int
    at: datetime
    step: str
    outcome: str
    """`done`, `failed`, `compensated`, `waiting`."""
    actor: str
    workflow_id: str
    run_id: str
    credit_effect: CreditEffect = CreditEffect.NONE
    credits: int = 0
    transfer_id: str | None = None
    detail: str = ""
