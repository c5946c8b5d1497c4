"""Every call that a workflow makes, with its time-outs, retries, queue and the line that the Web UI shows.

Activities are called by name and never imported, so the API and the workflow sandbox stay light. A test holds
each step's name, input and output against the registered activity.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Generic, TypeVar

from temporalio import workflow
from temporalio.common import RetryPolicy

from contracts import clip_steps, enhance_steps, music_steps, timing
from contracts.finance import ReconcileReport, ReconcileRequest
from contracts.kinds.clip import ClipMade
from contracts.kinds.enhance import EnhancePlan, SegmentResult
from contracts.kinds.music import Analysis
from contracts.maintenance import (
    ExpiryReport,
    ExpiryRequest,
    RetentionReport,
    RetentionRequest,
    SealReport,
    SealRequest,
    SweepReport,
    SweepRequest,
)
from contracts.purchases import (
    ChargeState,
    CheckoutAnswer,
    ClosePurchase,
    PurchaseNotice,
    PurchaseRef,
    PurchaseState,
    Refunded,
    RequestRefund,
)
from contracts.queues import Queue
from contracts.video_job import (
    AdjustHold,
    Complete,
    HoldOutcome,
    Ingested,
    JobInput,
    JobRef,
    Notice,
    PipelineResult,
    Release,
    Settled,
    StatusChange,
)
from workflows.summary import summary

I = TypeVar("I")  # noqa: E741 - input
O = TypeVar("O")  # noqa: E741 - output

PATIENT = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=30))
"""Until it succeeds: money and records wait for a database that is away, they do not give up."""

SHOWN = RetryPolicy(
    initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=30), maximum_attempts=1_000_000
)
"""Waits for servers like `PATIENT`, for most of a year. But since it has a limit, the activity ends what is a fault of
ours after a few attempts (activities/faults.py): the workflow shows it to support and tries again at its next look."""

STUBBORN = RetryPolicy(
    initial_interval=timedelta(seconds=1),
    maximum_interval=timedelta(minutes=1),
    maximum_attempts=timing.STEP_ATTEMPTS_MAX,
)
"""Rides out a quarter of an hour of outage or repeated loss of workers; then a person is asked. The activity
itself ends sooner what trying again cannot help."""

BEST_EFFORT = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_attempts=4)


@dataclass(frozen=True)
class Step(Generic[I, O]):
    name: str
    takes: type[I]
    returns: type[O]
    queue: Queue
    attempt: timedelta
    """Longest time of one attempt."""
    retry: RetryPolicy
    heartbeat: timedelta | None = None
    """Without it a running activity cannot be told of a cancellation, nor its worker's death be seen early."""
    wait_max: timedelta | None = None
    """Longest wait for a worker."""
    total_max: timedelta | None = None
    """Longest time over all attempts."""
    summary: Callable[[I], str] | None = None

    async def __call__(self, arg: I) -> O:
        return await workflow.execute_activity(
            self.name,
            arg,
            result_type=self.returns,
            task_queue=beside(workflow.info().task_queue, self.queue),
            start_to_close_timeout=self.attempt,
            schedule_to_start_timeout=self.wait_max,
            schedule_to_close_timeout=self.total_max,
            heartbeat_timeout=self.heartbeat,
            retry_policy=self.retry,
            summary=summary(self.summary(arg)) if self.summary is not None else None,
        )


def beside(core_queue: str, queue: Queue) -> str:
    """The task queue next to the workflow's own: both carry the same prefix."""
    return core_queue.removesuffix(Queue.CORE) + queue


# ---- the saga -------------------------------------------------------------------------------------------

hold = Step("hold", JobRef, HoldOutcome, Queue.CORE, timing.RECORD_TIMEOUT, PATIENT)

adjust_hold = Step(
    "adjust_hold", AdjustHold, HoldOutcome, Queue.CORE, timing.RECORD_TIMEOUT, PATIENT,
    summary=lambda a: f"hold {a.credits} credits",
)  # fmt: skip

complete = Step(
    "complete", Complete, Settled, Queue.CORE, timing.RECORD_TIMEOUT, PATIENT,
    summary=lambda a: f"capture {a.credits} credits, publish the result",
)  # fmt: skip

release = Step(
    "release", Release, Settled, Queue.CORE, timing.RECORD_TIMEOUT, PATIENT,
    summary=lambda a: f"release the hold: {a.status.value.lower()}, {a.failure_code}",
)  # fmt: skip

record_status = Step(
    "record_status", StatusChange, bool, Queue.CORE, timing.RECORD_TIMEOUT, PATIENT,
    summary=lambda a: f"{a.status}{f', waits: {a.attention}' if a.attention else ''}",
)  # fmt: skip

ingest = Step(
    "ingest", JobInput, Ingested, Queue.TRANSFER, timing.TRANSFER_ATTEMPT, STUBBORN,
    heartbeat=timing.TRANSFER_HEARTBEAT, wait_max=timing.QUEUE_WAIT_MAX,
    summary=lambda a: a.filename,
)  # fmt: skip

clean_up = Step(
    "clean_up",
    JobRef,
    int,
    Queue.TRANSFER,
    timing.CLEAN_UP_ATTEMPT,
    BEST_EFFORT,
    total_max=timing.FAREWELL_MAX,
)

notify = Step(
    "notify", Notice, bool, Queue.PROVIDERS, timing.NOTIFY_ATTEMPT, BEST_EFFORT,
    total_max=timing.FAREWELL_MAX, summary=lambda a: a.event,
)  # fmt: skip

# ---- the purchase ---------------------------------------------------------------------------------------

create_payment = Step(
    "create_payment", PurchaseRef, CheckoutAnswer, Queue.PROVIDERS, timing.PROVIDER_ATTEMPT, SHOWN,
)  # fmt: skip

verify_payment = Step(
    "verify_payment", PurchaseRef, PurchaseState, Queue.PROVIDERS, timing.PROVIDER_ATTEMPT, SHOWN,
)  # fmt: skip

close_payment = Step(
    "close_payment", ClosePurchase, PurchaseState, Queue.PROVIDERS, timing.PROVIDER_ATTEMPT, SHOWN,
    summary=lambda a: f"{a.status.value.lower()}: {a.failure_code}",
)  # fmt: skip

send_refunds = Step(
    "send_refunds", PurchaseRef, PurchaseState, Queue.PROVIDERS, timing.PROVIDER_ATTEMPT, SHOWN,
)  # fmt: skip

reconcile_purchase = Step(
    "reconcile_purchase", PurchaseRef, PurchaseState, Queue.PROVIDERS, timing.PROVIDER_ATTEMPT, SHOWN,
)  # fmt: skip

request_refund = Step(
    "request_refund", RequestRefund, Refunded, Queue.CORE, timing.RECORD_TIMEOUT, SHOWN,
    summary=lambda a: f"{a.request.reason.value}, asked by {a.request.actor}",
)  # fmt: skip

dismiss_refund_failures = Step(
    "dismiss_refund_failures", PurchaseRef, PurchaseState, Queue.CORE, timing.RECORD_TIMEOUT, SHOWN,
)  # fmt: skip

announce_payment = Step(
    "announce_payment", PurchaseRef, int, Queue.CORE, timing.RECORD_TIMEOUT, BEST_EFFORT,
    total_max=timing.FAREWELL_MAX,
)  # fmt: skip

notify_purchase = Step(
    "notify_purchase", PurchaseNotice, bool, Queue.PROVIDERS, timing.NOTIFY_ATTEMPT, BEST_EFFORT,
    total_max=timing.FAREWELL_MAX, summary=lambda a: a.event,
)  # fmt: skip

charge_state = Step("charge_state", JobRef, ChargeState, Queue.CORE, timing.RECORD_TIMEOUT, PATIENT)

tell_purchase = Step(
    "tell_purchase", JobRef, bool, Queue.CORE, timing.RECORD_TIMEOUT, BEST_EFFORT,
    total_max=timing.FAREWELL_MAX,
)  # fmt: skip

# ---- enhance --------------------------------------------------------------------------------------------

plan_enhance = Step(
    "plan_enhance", enhance_steps.PlanRequest, EnhancePlan, Queue.TRANSFER, timing.TRANSFER_ATTEMPT, STUBBORN,
    heartbeat=timing.TRANSFER_HEARTBEAT, wait_max=timing.QUEUE_WAIT_MAX,
)  # fmt: skip

enhance_segment = Step(
    "enhance_segment", enhance_steps.SegmentRequest, SegmentResult, Queue.GPU, timing.SEGMENT_ATTEMPT, STUBBORN,
    heartbeat=timing.SEGMENT_HEARTBEAT, wait_max=timing.QUEUE_WAIT_MAX,
    summary=lambda a: f"segment {a.segment.index + 1} of {a.segments_total}",
)  # fmt: skip

mux_enhanced = Step(
    "mux_enhanced", enhance_steps.MuxRequest, PipelineResult, Queue.TRANSFER, timing.TRANSFER_ATTEMPT, STUBBORN,
    heartbeat=timing.TRANSFER_HEARTBEAT, wait_max=timing.QUEUE_WAIT_MAX,
    summary=lambda a: f"join {len(a.segments)} segments, verify",
)  # fmt: skip

# ---- music and clips ------------------------------------------------------------------------------------

analyse_music = Step(
    "analyse_music", music_steps.AnalyseRequest, Analysis, Queue.TRANSFER, timing.TRANSFER_ATTEMPT, STUBBORN,
    heartbeat=timing.TRANSFER_HEARTBEAT, wait_max=timing.QUEUE_WAIT_MAX,
)  # fmt: skip

choose_clips = Step(
    "choose_clips", clip_steps.ChooseRequest, clip_steps.Choices, Queue.TRANSFER, timing.TRANSFER_ATTEMPT, STUBBORN,
    heartbeat=timing.TRANSFER_HEARTBEAT, wait_max=timing.QUEUE_WAIT_MAX,
    summary=lambda a: f"wishes: {len(a.params.clips)}",
)  # fmt: skip

cut_clip = Step(
    "cut_clip", clip_steps.CutRequest, ClipMade, Queue.TRANSFER, timing.TRANSFER_ATTEMPT, STUBBORN,
    heartbeat=timing.TRANSFER_HEARTBEAT, wait_max=timing.QUEUE_WAIT_MAX,
    summary=lambda a: (
        f"clip {a.choice.position + 1}: {a.choice.cut.start_s:.1f} to {a.choice.cut.end_s:.1f} s, {a.choice.cut.format}"
    ),
)  # fmt: skip

finish_clips = Step(
    "finish_clips", clip_steps.ClipsFinish, PipelineResult, Queue.TRANSFER, timing.TRANSFER_ATTEMPT, STUBBORN,
    heartbeat=timing.TRANSFER_HEARTBEAT, wait_max=timing.QUEUE_WAIT_MAX,
    summary=lambda a: f"{len(a.made)} made, {len(a.failed)} failed",
)  # fmt: skip

# ---- housekeeping ---------------------------------------------------------------------------------------

sweep = Step(
    "sweep",
    SweepRequest,
    SweepReport,
    Queue.CORE,
    timing.SWEEP_ATTEMPT,
    BEST_EFFORT,
    heartbeat=timing.SWEEP_HEARTBEAT,
)

retain = Step(
    "retain", RetentionRequest, RetentionReport, Queue.TRANSFER, timing.RETENTION_ATTEMPT, BEST_EFFORT,
    heartbeat=timing.TRANSFER_HEARTBEAT,
)  # fmt: skip

reconcile = Step(
    "reconcile", ReconcileRequest, ReconcileReport, Queue.PROVIDERS, timing.RECONCILE_ATTEMPT, BEST_EFFORT,
    heartbeat=timing.RECONCILE_HEARTBEAT, summary=lambda a: a.requested_by,
)  # fmt: skip

expire_promotional = Step(
    "expire_promotional", ExpiryRequest, ExpiryReport, Queue.CORE, timing.SWEEP_ATTEMPT, BEST_EFFORT,
    heartbeat=timing.SWEEP_HEARTBEAT,
)  # fmt: skip

seal_journal = Step(
    "seal_journal", SealRequest, SealReport, Queue.CORE, timing.SEAL_ATTEMPT, BEST_EFFORT,
    heartbeat=timing.SEAL_HEARTBEAT,
)  # fmt: skip

STEPS: tuple[Step[Any, Any], ...] = (
    hold, adjust_hold, complete, release, record_status, ingest, clean_up, notify,
    create_payment, verify_payment, close_payment, send_refunds, reconcile_purchase, request_refund,
    dismiss_refund_failures, announce_payment, notify_purchase, charge_state, tell_purchase,
    plan_enhance, enhance_segment, mux_enhanced,
    analyse_music, choose_clips, cut_clip, finish_clips,
    sweep, retain, expire_promotional, reconcile, seal_journal,
)  # fmt: skip
