"""One worker process: opens the rooms, polls one queue, and gives its work back when it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from datetime import timedelta

from temporalio.client import Client
from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.runtime import Runtime
from temporalio.service import RPCError
from temporalio.worker import Worker, WorkerDeploymentConfig

from activities import activities_of
from activities.faults import FaultInterceptor
from activities.files import remove_abandoned_scratch
from activities.rooms import Rooms, open_rooms
from contracts.queues import Queue
from contracts.settings import Settings
from worker.metrics import runtime_with_metrics
from worker.roles import Role
from worker.schedules import keep_schedules
from workflows.client import connect, starter
from workflows.sandbox import sandboxed_runner

log = logging.getLogger(__name__)

DEPLOYMENT = "echoshot"
HEARTBEAT_THROTTLE = timedelta(seconds=3)
"""How soon a running step learns of a cancellation; the SDK's own 80 % of the time-out would be half a minute."""
RECONNECT_S = 1.0


async def serve(role: Role, settings: Settings) -> None:
    """Runs until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        # As PID 1 of a container nothing else would handle SIGTERM.
        loop.add_signal_handler(number, stop.set)

    remove_abandoned_scratch(settings)
    client = await _connect_patiently(settings, runtime_with_metrics(settings), stop)
    if client is None:
        return
    async with (
        open_rooms(
            settings, client, starter=starter(client, settings), engines=role.engines(settings)
        ) as rooms,
        build_worker(role, rooms),
    ):
        log.info("serving %s with %d slots", role.queue, role.slots(settings))
        if role.queue is Queue.CORE:
            await keep_schedules(client, settings, stop)
        await stop.wait()
        log.info("stopping; running steps are handed back")


def build_worker(role: Role, rooms: Rooms) -> Worker:
    settings = rooms.settings
    return Worker(
        rooms.temporal,
        task_queue=settings.queue_prefix + role.queue,
        workflows=role.workflows,
        workflow_runner=sandboxed_runner(),
        activities=activities_of(role.queue, rooms),
        interceptors=[FaultInterceptor()],
        max_concurrent_activities=role.slots(settings),
        graceful_shutdown_timeout=role.grace,
        max_heartbeat_throttle_interval=HEARTBEAT_THROTTLE,
        default_heartbeat_throttle_interval=HEARTBEAT_THROTTLE,
        deployment_config=_deployment(role, settings),
    )


def _deployment(role: Role, settings: Settings) -> WorkerDeploymentConfig | None:
    """Jobs stay on the version of the workflow code that started them. Activities have no version: their
    contracts only grow."""
    if not settings.worker_build_id or not role.workflows:
        return None
    return WorkerDeploymentConfig(
        version=WorkerDeploymentVersion(DEPLOYMENT, settings.worker_build_id),
        use_worker_versioning=True,
        default_versioning_behavior=VersioningBehavior.PINNED,
    )


async def _connect_patiently(settings: Settings, runtime: Runtime, stop: asyncio.Event) -> Client | None:
    """Temporal may start after us or be away for a while; a worker waits. None when told to stop meanwhile."""
    while not stop.is_set():
        try:
            return await connect(settings, runtime=runtime)
        except (RuntimeError, RPCError) as error:
            log.warning("Temporal at %s is not reachable yet: %s", settings.temporal_address, error)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), RECONNECT_S)
    return None
