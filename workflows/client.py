"""How the API and the sweeper start, ask, signal and cancel jobs and purchases."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

from temporalio.client import (
    Client,
    WithStartWorkflowOperation,
    WorkflowHandle,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import Priority, WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.runtime import Runtime
from temporalio.service import RPCError, RPCStatusCode

from contracts.finance import ReconcileRequest
from contracts.ids import JobId, job_workflow_id
from contracts.kinds import KINDS
from contracts.payments import ProviderEvent, PurchaseStatus
from contracts.purchases import CheckoutAnswer, PurchaseInput
from contracts.queues import Queue
from contracts.settings import Settings
from contracts.video_job import JobInput, JobOutcome
from workflows import search
from workflows.codec import data_converter
from workflows.reconcile import ReconcileWorkflow
from workflows.summary import summary
from workflows.token_purchase import TokenPurchaseWorkflow
from workflows.video_job import VideoJobWorkflow

Handle = WorkflowHandle[VideoJobWorkflow, JobOutcome]


async def connect(settings: Settings, *, lazy: bool = False, runtime: Runtime | None = None) -> Client:
    """`lazy`: connects at the first call, so that a process can start while Temporal is away."""
    return await Client.connect(
        settings.temporal_address,
        namespace=settings.temporal_namespace,
        data_converter=data_converter(settings),
        lazy=lazy,
        runtime=runtime,
    )


async def start_job(client: Client, settings: Settings, job: JobInput) -> bool:
    """Starts the job's workflow. False when it was started before, whether it still runs or has ended."""
    kind = KINDS[job.kind]
    try:
        await client.start_workflow(
            VideoJobWorkflow.run,
            job,
            id=job.workflow_id,
            task_queue=settings.queue_prefix + Queue.CORE,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            search_attributes=search.at_start(job),
            static_summary=summary(f"{kind.title_ko} · {kind.title_en} · {job.user_id} · {job.filename}"),
            static_details=f"job `{job.job_id}`, quote {job.quote_credits} credits",
            # Workers take turns between users, so that one heavy user cannot starve the rest.
            priority=Priority(fairness_key=job.user_id),
        )
    except WorkflowAlreadyStartedError:
        return False
    return True


async def announce_upload(client: Client, job_id: JobId) -> None:
    await _handle(client, job_id).signal(VideoJobWorkflow.ingested)


async def announce_funds(client: Client, job_id: JobId) -> None:
    await _handle(client, job_id).signal(VideoJobWorkflow.funds_added)


async def cancel_job(client: Client, settings: Settings, job: JobInput) -> None:
    """Asks the workflow to cancel; one that was never started is started first, so that it can release. One that has
    ended already is left alone: what it has not settled the sweeper will."""
    if not await _cancel(client, job.job_id):
        await start_job(client, settings, job)
        await _cancel(client, job.job_id)


async def start_reconciliation(client: Client, settings: Settings, request: ReconcileRequest) -> None:
    """Once for one id, however often it is asked for."""
    with contextlib.suppress(WorkflowAlreadyStartedError):
        await client.start_workflow(
            ReconcileWorkflow.run,
            request,
            id=f"reconcile/{request.reconciliation_id}",
            task_queue=settings.queue_prefix + Queue.CORE,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            static_summary=summary(f"대사 · reconciliation · {request.requested_by}"),
        )


async def _cancel(client: Client, job_id: JobId) -> bool:
    """False when no such workflow runs."""
    try:
        await _handle(client, job_id).cancel()
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:
            raise
        return False
    return True


# ---- purchases ------------------------------------------------------------------------------------------


async def start_purchase(client: Client, settings: Settings, purchase: PurchaseInput) -> bool:
    """Starts the purchase's workflow, or opens it again. False when it runs."""
    try:
        await _start_purchase(client, settings, purchase)
    except WorkflowAlreadyStartedError:
        return False
    return True


NOT_NOW = (RPCStatusCode.RESOURCE_EXHAUSTED, RPCStatusCode.FAILED_PRECONDITION)
"""More ask at once than a workflow answers at once, or its latest task failed and is about to be tried again."""


async def checkout(
    client: Client, settings: Settings, purchase: PurchaseInput, timeout_s: float
) -> CheckoutAnswer:
    """What the app needs to pay; starts the purchase's workflow when it does not run. An answer that does not come
    within `timeout_s` is CREATED without a checkout: the purchase goes on by itself, ask again."""
    operation = WithStartWorkflowOperation(
        TokenPurchaseWorkflow.run,
        purchase,
        id=purchase.workflow_id,
        task_queue=settings.queue_prefix + Queue.CORE,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        search_attributes=search.at_purchase(purchase),
        static_summary=_purchase_summary(purchase),
        priority=Priority(fairness_key=purchase.user_id),
    )
    try:
        return await client.execute_update_with_start_workflow(  # pyright: ignore[reportUnknownMemberType] - an overload is untyped
            "checkout",
            start_workflow_operation=operation,
            result_type=CheckoutAnswer,
            rpc_timeout=timedelta(seconds=timeout_s),
        )
    except (WorkflowUpdateRPCTimeoutOrCancelledError, RPCError) as error:
        # Nobody else asks how the start went, which asyncio would complain of.
        with contextlib.suppress(Exception):
            await asyncio.wait_for(operation.workflow_handle(), timeout=0.1)
        if isinstance(error.__cause__, asyncio.CancelledError):
            raise error.__cause__ from None
        if isinstance(error, RPCError) and error.status not in NOT_NOW:
            raise
    return CheckoutAnswer(status=PurchaseStatus.CREATED)


async def deliver_event(
    client: Client, settings: Settings, purchase: PurchaseInput, event: ProviderEvent
) -> None:
    await _wake_purchase(client, settings, purchase, TokenPurchaseWorkflow.provider_event, event)


async def announce_refund(client: Client, settings: Settings, purchase: PurchaseInput) -> None:
    """A refund is written down; its workflow sends it."""
    await _wake_purchase(client, settings, purchase, TokenPurchaseWorkflow.refund_requested)


async def cancel_purchase(client: Client, settings: Settings, purchase: PurchaseInput) -> None:
    """A purchase that is paid already, or meanwhile, stays paid."""
    await _wake_purchase(client, settings, purchase, TokenPurchaseWorkflow.cancel_purchase)


@dataclass(frozen=True)
class Starter:
    """These functions for activities, which do not know workflows."""

    start_job: Callable[[JobInput], Awaitable[bool]]
    announce_upload: Callable[[JobId], Awaitable[None]]
    start_purchase: Callable[[PurchaseInput], Awaitable[bool]]
    deliver_event: Callable[[PurchaseInput, ProviderEvent], Awaitable[None]]
    announce_refund: Callable[[PurchaseInput], Awaitable[None]]
    cancel_purchase: Callable[[PurchaseInput], Awaitable[None]]


def starter(client: Client, settings: Settings) -> Starter:
    return Starter(
        start_job=partial(start_job, client, settings),
        announce_upload=partial(announce_upload, client),
        start_purchase=partial(start_purchase, client, settings),
        deliver_event=partial(deliver_event, client, settings),
        announce_refund=partial(announce_refund, client, settings),
        cancel_purchase=partial(cancel_purchase, client, settings),
    )


async def _wake_purchase(
    client: Client, settings: Settings, purchase: PurchaseInput, signal: Callable[..., None], *args: object
) -> None:
    """Signals the purchase's workflow; one that does not run, or no longer, is started with it."""
    await _start_purchase(
        client,
        settings,
        purchase,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        start_signal=signal.__name__,
        start_signal_args=args,
    )


async def _start_purchase(client: Client, settings: Settings, purchase: PurchaseInput, **how: Any) -> None:
    await client.start_workflow(
        TokenPurchaseWorkflow.run,
        purchase,
        id=purchase.workflow_id,
        task_queue=settings.queue_prefix + Queue.CORE,
        search_attributes=search.at_purchase(purchase),
        static_summary=_purchase_summary(purchase),
        priority=Priority(fairness_key=purchase.user_id),
        **how,
    )


def _purchase_summary(purchase: PurchaseInput) -> str:
    won, credits = purchase.amount_krw, purchase.credits
    return summary(f"결제 · Purchase · {purchase.user_id} · {credits} credits, {won:,} won")


def _handle(client: Client, job_id: JobId) -> Handle:
    return client.get_workflow_handle_for(VideoJobWorkflow.run, job_workflow_id(job_id))
