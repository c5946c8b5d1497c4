"""`python -m tests.workflows.recording [STORY ...]`: tells stories (all, when none is named) on servers of its own and
keeps what came out.

Writes tests/histories/<story>.json, which new code must still be able to replay, and tests/workflows/fingerprints.json,
the commands of each story in order. Record again only after a change that is meant to change them: jobs that were
started before it still run the old order, so such a change stands behind `workflow.patched`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
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
from dev.servers.standins import StripeStandIn
from dev.servers.temporal import NAMESPACE, Temporal
from dev.stack import migrate
from dev.toolchain import find
from tests.workflows.house import workers
from tests.workflows.money_stories import MONEY_STORIES
from tests.workflows.shop import Shop, open_shop
from tests.workflows.stories import STORIES

ALL = [*STORIES, *MONEY_STORIES]
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


async def tell(shop: Shop, story: str) -> list[HistoryEvent]:
    """The whole history of one story."""
    shop.house.stand_ins.on.clear()
    shop.house.stand_ins.credits = 10
    if story in STORIES:
        handle = await STORIES[story](shop.house)
    else:
        handle = await MONEY_STORIES[story](shop)
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


async def record(stories: Sequence[str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        postgres = Postgres(folder, folder / "logs", durable=False)
        temporal = Temporal(folder, folder / "logs", await find.temporal())
        store = ObjectStore(folder, folder / "logs", await find.versitygw())
        stripe = StripeStandIn(folder, folder / "logs", "")
        servers = (postgres, temporal, store, stripe)
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
            async with open_shop(settings, client, stripe) as shop, workers(shop.house):
                await record_with(shop, stories)
        finally:
            for server in servers:
                await server.stop()


async def record_with(shop: Shop, stories: Sequence[str]) -> None:
    known = json.loads(FINGERPRINTS.read_text()) if FINGERPRINTS.exists() else {}
    fingerprints: dict[str, list[str]] = {story: known[story] for story in ALL if story in known}
    HISTORIES.mkdir(exist_ok=True)
    for story in stories:
        events = await tell(shop, story)
        fingerprints[story] = commands(events)
        kept = {"events": [without_private(MessageToDict(event)) for event in events]}
        (HISTORIES / f"{story}.json").write_text(json.dumps(kept, indent=1) + "\n")
        print(f"{story}: {len(events)} events")
    ordered = {story: fingerprints[story] for story in ALL if story in fingerprints}
    FINGERPRINTS.write_text(json.dumps(ordered, indent=1) + "\n")


if __name__ == "__main__":
    asyncio.run(record(sys.argv[1:] or ALL))
