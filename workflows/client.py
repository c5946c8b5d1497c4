"""How the API and the sweeper start, signal and cancel jobs."""

from __future__ import annotations

from temporalio.client import Client, WorkflowHandle
from temporalio.common import Priority, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.runtime import Runtime
from temporalio.service import RPCError, RPCStatusCode

from contracts.ids import JobId, job_workflow_id
from contracts.kinds import KINDS
from contracts.queues import Queue
from contracts.settings import Settings
from contracts.video_job import JobInput, JobOutcome
from workflows import search
from workflows.codec import data_converter
from workflows.summary import summary
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


async def _cancel(client: Client, job_id: JobId) -> bool:
    """False when no such workflow runs."""
    try:
        await _handle(client, job_id).cancel()
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:
            raise
        return False
    return True


def _handle(client: Client, job_id: JobId) -> Handle:
    return client.get_workflow_handle_for(VideoJobWorkflow.run, job_workflow_id(job_id))
