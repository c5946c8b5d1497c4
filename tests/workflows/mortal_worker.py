"""`python -m tests.workflows.mortal_worker PLAN DEATHS QUEUE ...`: workers of these queues that kill themselves with
SIGKILL on the way, and are replaced at once, until the standard input is closed.

PLAN is a JSON file, workflow id to [step, moment]: whoever is given that step dies before its effect, or after it and
before its answer; once, which a file in the folder DEATHS remembers. Every death also takes along whatever else the
process was doing. Workers are forked from one process that has imported everything, so that dying is quick.
"""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from contracts import timing

# How soon Temporal notices that a step died with its worker.
timing.RECORD_TIMEOUT = timing.PROVIDER_ATTEMPT = timing.NOTIFY_ATTEMPT = timedelta(seconds=6)
timing.CLEAN_UP_ATTEMPT = timedelta(seconds=6)
timing.TRANSFER_HEARTBEAT = timedelta(seconds=15)  # in which an engine must start, on a busy machine

from temporalio import activity  # noqa: E402 - the time limits come first
from temporalio.worker import (  # noqa: E402
    ActivityInboundInterceptor,
    ExecuteActivityInput,
    Interceptor,
    UnsandboxedWorkflowRunner,
    Worker,
)

from activities import activities_of  # noqa: E402
from activities.faults import FaultInterceptor  # noqa: E402
from activities.rooms import open_rooms  # noqa: E402
from contracts.queues import Queue  # noqa: E402
from contracts.settings import Settings  # noqa: E402
from workflows.client import connect, starter  # noqa: E402
from workflows.registry import WORKFLOWS  # noqa: E402

AT_ONCE = 2
"""Workers: while one dies the others go on."""


class Dies(Interceptor):
    def __init__(self, plan: dict[str, list[str]], deaths: Path) -> None:
        self.plan = plan
        self.deaths = deaths

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _Dying(next, self)

    def die_once(self, workflow_id: str) -> None:
        try:
            (self.deaths / workflow_id.replace("/", "-")).touch(exist_ok=False)
        except FileExistsError:
            return
        os.kill(os.getpid(), signal.SIGKILL)


class _Dying(ActivityInboundInterceptor):
    def __init__(self, next: ActivityInboundInterceptor, dies: Dies) -> None:
        super().__init__(next)
        self._dies = dies

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        info = activity.info()
        workflow_id = info.workflow_id or ""
        step, moment = self._dies.plan.get(workflow_id, ("", ""))
        if step != info.activity_type:
            return await super().execute_activity(input)
        if moment == "before":
            self._dies.die_once(workflow_id)
        result = await super().execute_activity(input)
        self._dies.die_once(workflow_id)
        return result


async def work(plan: dict[str, list[str]], deaths: Path, queues: list[Queue]) -> None:
    settings = Settings()
    client = await connect(settings)
    interceptors = [FaultInterceptor(), Dies(plan, deaths)]
    engines = 1 if Queue.TRANSFER in queues else 0
    async with open_rooms(settings, client, starter=starter(client, settings), engines=engines) as rooms:
        workers = [
            Worker(
                client,
                task_queue=settings.queue_prefix + queue,
                workflows=WORKFLOWS if queue is Queue.CORE else (),
                # The sandbox would import all modules anew for each task, which takes longer than the task.
                workflow_runner=UnsandboxedWorkflowRunner(),
                activities=activities_of(queue, rooms),
                interceptors=interceptors,
                max_cached_workflows=0,  # as on another machine: every task finds its state by replay
                max_concurrent_workflow_tasks=4,
                max_concurrent_activities=10,
            )
            for queue in queues
        ]
        await asyncio.gather(*(worker.run() for worker in workers))


def main() -> None:
    plan, deaths = json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2])
    queues = [Queue(name) for name in sys.argv[3:]]
    living: set[int] = set()
    while not select.select([sys.stdin], [], [], 0.02)[0]:
        while len(living) < AT_ONCE:
            child = os.fork()
            if child == 0:
                asyncio.run(work(plan, deaths, queues))
            living.add(child)
        gone, _ = os.waitpid(-1, os.WNOHANG)
        living.discard(gone)
    for child in living:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


if __name__ == "__main__":
    main()
