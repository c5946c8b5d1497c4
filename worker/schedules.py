"""The standing orders: sweep and retention run on Temporal schedules, created by whichever core worker is first."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import replace
from datetime import timedelta

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleUpdate,
    ScheduleUpdateInput,
)
from temporalio.service import RPCError

from contracts.queues import Queue
from contracts.settings import Settings
from workflows.maintenance import ExpiryWorkflow, RetentionWorkflow, SealJournalWorkflow, SweepWorkflow
from workflows.reconcile import ReconcileWorkflow

log = logging.getLogger(__name__)

LOOK_S = 300.0


async def keep_schedules(
    client: Client, settings: Settings, stop: asyncio.Event, look_s: float = LOOK_S
) -> None:
    """Sees to the schedules until `stop`, every `look_s` seconds: should Temporal lose its database, the sweep that
    starts the jobs anew must come back without anybody's help."""
    while not stop.is_set():
        try:
            await ensure_schedules(client, settings)
        except RPCError as error:
            log.warning("schedules not seen to: %s", error)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), look_s)


async def ensure_schedules(client: Client, settings: Settings) -> None:
    """Creates the schedules, or brings existing ones up to the present settings."""
    queue = settings.queue_prefix + Queue.CORE
    for name, workflow, interval_s in (
        ("sweep", SweepWorkflow, settings.sweep_interval_s),
        ("retention", RetentionWorkflow, settings.retention_interval_s),
        ("expiry", ExpiryWorkflow, settings.expiry_interval_s),
        ("seal", SealJournalWorkflow, settings.seal_interval_s),
        ("reconcile", ReconcileWorkflow, settings.reconcile_interval_s),
    ):
        schedule_id = f"{settings.queue_prefix}{name}"
        schedule = Schedule(
            action=ScheduleActionStartWorkflow(
                workflow.run, id=schedule_id, task_queue=queue, execution_timeout=timedelta(hours=2)
            ),
            spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=timedelta(seconds=interval_s))]),
            # A pass that is late because workers were away is not worth two.
            policy=SchedulePolicy(
                overlap=ScheduleOverlapPolicy.SKIP, catchup_window=timedelta(seconds=interval_s)
            ),
        )
        try:
            await client.create_schedule(schedule_id, schedule)
        except ScheduleAlreadyRunningError:
            await client.get_schedule_handle(schedule_id).update(_replaced_by(schedule))


def _replaced_by(schedule: Schedule):
    def update(found: ScheduleUpdateInput) -> ScheduleUpdate:
        # Whether it is paused is the operator's word, which a restart of a worker must not undo.
        return ScheduleUpdate(schedule=replace(schedule, state=found.description.schedule.state))

    return update
