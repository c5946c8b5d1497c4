"""`python -m tests.workflows.recording`: tells every story on servers of its own and keeps what came out.

Writes tests/histories/<story>.json, which new code must still be able to replay, and tests/workflows/fingerprints.json,
the commands of each story in order. Record again only after a change that is meant to change them: jobs that were
started before it still run the old order, so such a change stands behind `workflow.patched`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from socket import gethostname
from typing import Any

from google.protobuf.json_format import MessageToDict
from pydantic import SecretStr
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client, WorkflowFailureError
from temporalio.contrib.pydantic import pydantic_data_converter

from contracts.settings import Settings
from dev.servers.postgres import Postgres
from dev.servers.s3 import ACCESS_KEY, REGION, ObjectStore
from dev.servers.temporal import NAMESPACE, Temporal
from dev.stack import migrate
from dev.toolchain import find
from tests.workflows.house import House, open_house, workers
from tests.workflows.stories import STORIES

HISTORIES = Path(__file__).parent.parent / "histories"
FINGERPRINTS = Path(__file__).parent / "fingerprints.json"
COMMAND = "python -m tests.workflows.recording"

PRIVATE = ("identity", "stackTrace", "binaryChecksum")
"""Names of the machine that recorded, and paths on it."""

COMMANDS = {
    EventType.EVENT_TYPE_TIMER_STARTED: "start timer",
    EventType.EVENT_TYPE_TIMER_CANCELED: "cancel timer",
    EventType.EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED: "cancel step",
    EventType.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES: "set search attributes",
    EventType.EVENT_TYPE_MARKER_RECORDED: "marker",
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED: "complete",
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED: "fail",
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED: "be canceled",
}


async def tell(house: House, story: str) -> list[HistoryEvent]:
    """The whole history of one story."""
    house.stand_ins.on.clear()
    house.stand_ins.credits = 10
    handle = await STORIES[story](house)
    with contextlib.suppress(WorkflowFailureError):
        await handle.result()
    return [event async for event in handle.fetch_history_events()]


def commands(events: Sequence[HistoryEvent]) -> list[str]:
    """What the workflow's code asked for, in order: what replay compares."""
    return list(_commands(events))


def _commands(events: Sequence[HistoryEvent]) -> Iterator[str]:
    for event in events:
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
            scheduled = event.activity_task_scheduled_event_attributes
            queue = scheduled.task_queue.name.rpartition("-")[2]
            yield f"{scheduled.activity_type.name} on {queue}"
        elif event.event_type in COMMANDS:
            yield COMMANDS[event.event_type]


def without_private(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_private(each) for key, each in value.items() if key not in PRIVATE}
    if isinstance(value, list):
        return [without_private(each) for each in value]
    # A worker's own ("sticky") queue is named after its machine.
    return value.replace(f"{gethostname()}-", "worker-") if isinstance(value, str) else value


async def record() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        postgres = Postgres(folder, folder / "logs", durable=False)
        temporal = Temporal(folder, folder / "logs", await find.temporal())
        store = ObjectStore(folder, folder / "logs", await find.versitygw())
        servers = (postgres, temporal, store)
        try:
            await asyncio.gather(*(server.start() for server in servers))
            await postgres.create_database("recording")
            await store.create_bucket("recording")
            url = postgres.sqlalchemy_url("recording")
            await migrate({"ECHOSHOT_DATABASE_URL": url})
            settings = Settings(
                database_url=SecretStr(url),
                s3_endpoint=store.endpoint,
                s3_region=REGION,
                s3_bucket="recording",
                s3_access_key=SecretStr(ACCESS_KEY),
                s3_secret_key=SecretStr(store.secret_key),
                work_dir=folder / "work",
            )
            client = await Client.connect(
                temporal.address, namespace=NAMESPACE, data_converter=pydantic_data_converter
            )
            async with open_house(settings, client) as house, workers(house):
                await record_with(house)
        finally:
            for server in servers:
                await server.stop()


async def record_with(house: House) -> None:
    fingerprints: dict[str, list[str]] = {}
    HISTORIES.mkdir(exist_ok=True)
    for story in STORIES:
        events = await tell(house, story)
        fingerprints[story] = commands(events)
        kept = {"events": [without_private(MessageToDict(event)) for event in events]}
        (HISTORIES / f"{story}.json").write_text(json.dumps(kept, indent=1) + "\n")
        print(f"{story}: {len(events)} events")
    FINGERPRINTS.write_text(json.dumps(fingerprints, indent=1) + "\n")


if __name__ == "__main__":
    asyncio.run(record())
