"""The words of the job saga: what its workflow is given, what each step is given and returns."""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

from pydantic import Field

from contracts.base import Contract
from contracts.ids import JobId, PurchaseId, UserId, VideoId, job_workflow_id
from contracts.jobs import Attention, JobStatus
from contracts.ledger import CreditEffect
from contracts.media import Artifact, EngineUse, MediaInfo, Thumbnail, Verification
from contracts.purchases import RefundRequest
from contracts.text import Told
from contracts.timing import JobDeadlines


class JobInput(Contract):
    """Input of `VideoJobWorkflow`: written once by the API, true for the life of the job."""

    job_id: JobId
    user_id: UserId
    kind: str
    params: dict[str, Any]
    """As validated by the kind's params model."""
    video_id: VideoId
    filename: str
    quote_credits: int
    uploaded: bool
    """True when the source is a video that the user already has."""
    deadlines: JobDeadlines = JobDeadlines()
    purchase_id: PurchaseId | None = None
    """The charge that pays for the job; None: paid from the balance."""

    @property
    def workflow_id(self) -> str:
        return job_workflow_id(self.job_id)


class JobRef(Contract):
    """Input of steps that need nothing else: the job, and who caused the step."""

    job_id: JobId
    actor: str = "system:VideoJobWorkflow"


class HoldOutcome(Contract):
    """What the ledger says after a hold or its adjustment. Being short is an answer, not a failure."""

    status: JobStatus
    """A settled status means: the job has ended before (a reset re-ran the step); touch nothing."""
    held_credits: int
    short_credits: int = 0
    """Credits missing for the measured price; the old hold stands."""


class AdjustHold(Contract):
    job_id: JobId
    credits: int


class Ingested(Contract):
    """The source is in store, whole, is what it claims to be, and costs `credits`."""

    info: MediaInfo
    source: Artifact
    credits: int


class StatusChange(Contract):
    job_id: JobId
    status: JobStatus
    attention: Attention | None = None
    detail: Told = ""
    failure_code: str | None = None


class PipelineResult(Contract):
    """What every pipeline hands back to the saga, whatever its kind made."""

    result: Artifact
    """The file that a user downloads; of a kind that makes many, the list of them."""
    info: MediaInfo | None = None
    """Of a result that is a video, which then joins the user's videos."""
    manifest: Artifact
    thumbnails: tuple[Thumbnail, ...] = ()
    verification: Verification = Verification(checks=())
    engines: tuple[EngineUse, ...] = ()
    product: dict[str, Any] = Field(default_factory=dict)
    """What was found or made, for the database: the kind's own contract as JSON; some 100 kB for two hours of music."""
    credits: int | None = None
    """What was earned of the price, when not every piece could be made; at least 1 of a price. None: all."""


class Complete(Contract):
    """Capture and registration are one transaction: neither a result without capture nor the reverse."""

    job_id: JobId
    credits: int
    """At most what is held; the rest is released in the same transfer."""
    outcome: PipelineResult


class Release(Contract):
    """End a job without a result: the hold is released and the status recorded in one transaction."""

    job_id: JobId
    status: Literal[JobStatus.FAILED, JobStatus.CANCELED, JobStatus.EXPIRED]
    failure_code: str
    detail: Told = ""
    actor: str = "system:VideoJobWorkflow"
    refund: RefundRequest | None = None
    """Support's word: back to the card, wherever the customer wanted it. None: where the customer chose."""
    product: dict[str, Any] = Field(default_factory=dict)
    """Why each piece could not be made: the kind's own contract as JSON. Empty: all for `failure_code`."""


class Settled(Contract):
    """How the job ended, as recorded by the first step that ended it."""

    status: JobStatus
    credit_effect: CreditEffect
    credits: int
    transfer_id: UUID | None = None
    failure_code: str | None = None
    refund_krw: int = 0
    """Won on their way back to the card."""


class Notice(Contract):
    """A message to the user that a job has ended or needs something."""

    job_id: JobId
    user_id: UserId
    event: Literal["succeeded", "failed", "canceled", "expired", "funds_short", "attention"]

    @property
    def key(self) -> str:
        """The receiver knows a repeat by it."""
        return f"{self.job_id}/{self.event}"


class JobOutcome(Contract):
    """Result of `VideoJobWorkflow`."""

    job_id: JobId
    status: JobStatus
    credit_effect: CreditEffect
    credits: int
    result_key: str | None = None
    failure_code: str | None = None


# Updates: at most one JSON argument, and each works without any (the Web UI sends none by default).


class RetryRequest(Contract):
    """Support presses `retry` on a job that waits for attention."""

    note: Told = ""


class GiveUpRequest(Contract):
    """Support presses `give_up`: the job ends as failed and the hold is released."""

    reason: Told = ""
