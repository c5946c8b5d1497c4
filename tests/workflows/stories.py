"""One story for each way that a workflow can go, told so that it goes the same way each time.

Each is a recorded history in tests/histories/ and an entry of fingerprints.json, under its name.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowHandle

from contracts.errors import Code
from contracts.finance import ReconcileRequest
from tests.workflows.clipping import CHORUS, VERSE, open_clips
from tests.workflows.house import Handle, House, failure_of, task_completions, until
from tests.workflows.stand_ins import Fails, Gate
from workflows.client import cancel_job
from workflows.maintenance import ExpiryWorkflow, RetentionWorkflow, SealJournalWorkflow, SweepWorkflow
from workflows.reconcile import ReconcileWorkflow

TIMER_STARTED = EventType.EVENT_TYPE_TIMER_STARTED

Story = Callable[[House], Awaitable[WorkflowHandle[Any, Any]]]


async def succeeded(house: House) -> Handle:
    job = await house.open_job(uploaded=False, quote=30)
    handle = await house.start(job)
    await until_it_waits(handle)
    await handle.signal("ingested")
    return handle


async def rejected(house: House) -> Handle:
    house.stand_ins.on["ingest"] = Fails(Code.NOT_A_VIDEO)
    return await house.start(await house.open_job())


async def retried(house: House) -> Handle:
    house.stand_ins.on["enhance_segment/1"] = Fails(Code.ENGINE_CRASHED)
    job = await house.open_job()
    handle = await house.start(job)
    await until_it_waits(handle)
    await handle.execute_update("retry")
    return handle


async def given_up(house: House) -> Handle:
    house.stand_ins.on["mux_enhanced"] = Fails(Code.RESULT_UNVERIFIED)
    job = await house.open_job()
    handle = await house.start(job)
    await until_it_waits(handle)
    await handle.execute_update("give_up")
    return handle


async def funded(house: House) -> Handle:
    house.stand_ins.credits = 60
    job = await house.open_job(credits=25)
    handle = await house.start(job)
    await until_it_waits(handle)
    await house.grant(job, 75)
    await handle.signal("funds_added")
    return handle


async def canceled(house: House) -> Handle:
    gate = house.stand_ins.on["plan_enhance"] = Gate()
    job = await house.open_job()
    handle = await house.start(job)
    await gate.reached.wait()
    await cancel_job(house.client, house.settings, job)
    return handle


async def music(house: House) -> Handle:
    return await house.start(await house.open_job(kind="music", quote=1))


async def clip(house: House) -> Handle:
    """Of three one is hopeless; the music is heard for another."""
    house.stand_ins.on["cut_clip/1"] = Fails(Code.CLIP_TOO_LARGE)
    return await house.start(await open_clips(house, CHORUS, VERSE, VERSE))


async def clip_unmade(house: House) -> Handle:
    """No music for the one, and the other fails by our fault until support gives it up."""
    house.stand_ins.on |= {"analyse_music": Fails(Code.NO_MUSIC), "cut_clip/1": Fails(Code.ENGINE_CRASHED)}
    handle = await house.start(await open_clips(house, CHORUS, VERSE))
    await until_it_waits(handle)
    await handle.execute_update("give_up")
    return handle


async def expired(house: House) -> Handle:
    return await house.start(await house.open_job(uploaded=False), skip_time=True)


async def reset_after_its_end(house: House) -> Handle:
    """To right before a wait: the old run was cancelled while it waited."""
    job = await house.open_job(uploaded=False)
    handle = await house.start(job)
    await until_it_waits(handle)
    await cancel_job(house.client, house.settings, job)
    await failure_of(handle)
    return await house.reset(job, (await task_completions(handle))[1])


async def swept(house: House) -> WorkflowHandle[Any, Any]:
    queue = house.settings.queue_prefix + "core"
    return await house.client.start_workflow(SweepWorkflow.run, id=f"sweep-{uuid4().hex}", task_queue=queue)


async def retained(house: House) -> WorkflowHandle[Any, Any]:
    queue = house.settings.queue_prefix + "core"
    return await house.client.start_workflow(
        RetentionWorkflow.run, id=f"retention-{uuid4().hex}", task_queue=queue
    )


async def sealed(house: House) -> WorkflowHandle[Any, Any]:
    queue = house.settings.queue_prefix + "core"
    return await house.client.start_workflow(
        SealJournalWorkflow.run, id=f"seal-{uuid4().hex}", task_queue=queue
    )


async def promotions_expired(house: House) -> WorkflowHandle[Any, Any]:
    queue = house.settings.queue_prefix + "core"
    return await house.client.start_workflow(ExpiryWorkflow.run, id=f"expiry-{uuid4().hex}", task_queue=queue)


async def reconciled(house: House) -> WorkflowHandle[Any, Any]:
    queue = house.settings.queue_prefix + "core"
    return await house.client.start_workflow(
        ReconcileWorkflow.run, ReconcileRequest(), id=f"reconcile-{uuid4().hex}", task_queue=queue
    )


async def until_it_waits(handle: Handle) -> None:
    """For a person: its last command is the timer of the deadline."""

    async def waits() -> bool:
        return [event.event_type async for event in handle.fetch_history_events()][-1] == TIMER_STARTED

    await until(waits)


STORIES: dict[str, Story] = {
    story.__name__: story
    for story in (
        succeeded, rejected, retried, given_up, funded, canceled, expired, reset_after_its_end, music, clip,
        clip_unmade, swept, retained, sealed, promotions_expired, reconciled,
    )
}  # fmt: skip
