"""kill -9 of each process while segments are being made: the job finishes, nothing finished is made again, and the
books balance. Each story runs on a platform of its own, since it damages it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from temporalio.client import Client

from contracts.kinds.enhance import SegmentResult
from contracts.queues import Queue
from contracts.settings import Settings
from dev.clips.writer import steady, write
from dev.platform import Platform, running_platform
from dev.stack import BUCKET
from tests.e2e.conftest import IMPATIENT
from tests.e2e.driver import Customer, books_violations, customer, object_store
from tests.e2e.footage import facts
from workflows.codec import codec

pytestmark = pytest.mark.slow

FRAMES = 60
"""Half a minute of one core in the network, in segments: long enough to be disturbed, short enough to wait for."""


@pytest_asyncio.fixture(scope="module")
async def fragile(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Platform]:
    """Durable: a server that is killed must find its data again."""
    async with running_platform(tmp_path_factory.mktemp("fragile"), IMPATIENT) as platform:
        yield platform


async def kill_and_restart(server: Any) -> None:
    server.kill()
    await server.restart()


async def lose_gpu_worker(platform: Platform) -> None:
    await kill_and_restart(platform.workers[Queue.GPU])


async def lose_core_worker(platform: Platform) -> None:
    await kill_and_restart(platform.workers[Queue.CORE])


async def lose_transfer_worker(platform: Platform) -> None:
    await kill_and_restart(platform.workers[Queue.TRANSFER])


async def lose_api(platform: Platform) -> None:
    await kill_and_restart(platform.api)


async def lose_temporal(platform: Platform) -> None:
    await kill_and_restart(platform.stack.temporal)


async def lose_database(platform: Platform) -> None:
    await kill_and_restart(platform.stack.postgres)


async def lose_store(platform: Platform) -> None:
    await kill_and_restart(platform.stack.s3)


async def lose_everything(platform: Platform) -> None:
    """The machine's power is cut."""
    stack = platform.stack
    servers = [stack.temporal, stack.postgres, stack.s3]
    processes = [platform.api, *platform.workers.values()]
    for each in (*processes, *servers):
        assert each is not None
        each.kill()
    await asyncio.gather(*(server.restart() for server in servers if server is not None))
    await asyncio.gather(*(process.restart() for process in processes))


@pytest.mark.parametrize(
    "lose",
    [
        lose_gpu_worker, lose_core_worker, lose_transfer_worker, lose_api,
        lose_temporal, lose_database, lose_store, lose_everything,
    ],
)  # fmt: skip
async def test_a_job_survives_the_loss_of_any_process_in_mid_segment(
    fragile: Platform, tmp_path: Path, lose: Callable[[Platform], Awaitable[None]]
) -> None:
    source = write(tmp_path / "long.mp4", steady(FRAMES, 30))
    async with customer(fragile) as fan:
        job = await fan.start(source)
        finished = await some_segments_finished(fragile, fan, job["id"])
        await lose(fragile)
        ended = await fan.wait(job["id"])
        assert ended["status"] == "SUCCEEDED", ended
        await fan.download(job["id"], tmp_path / "result.mp4")
        assert await fan.balance() == (90, 0)
    made = await segments_used(fragile, job["id"])
    for index, record in finished.items():
        # The same making, not one that looks alike: its wall time is in the record.
        assert (made[index].wall_ms, made[index].artifact) == (record.wall_ms, record.artifact)
    result = facts(tmp_path / "result.mp4")
    assert result.frames == FRAMES * 2
    assert [result.numbers[2 * n] for n in range(FRAMES)] == list(range(FRAMES))
    assert await books_violations(fragile) == []


async def test_losing_the_gpu_worker_changes_no_frame_of_the_result(
    fragile: Platform, tmp_path: Path
) -> None:
    source = write(tmp_path / "long.mp4", steady(FRAMES, 30))
    results = []
    async with customer(fragile) as fan:
        for disturbed in (False, True):
            job = await fan.start(source)
            if disturbed:
                await some_segments_finished(fragile, fan, job["id"])
                await lose_gpu_worker(fragile)
            assert (await fan.wait(job["id"]))["status"] == "SUCCEEDED"
            path = tmp_path / f"{disturbed}.mp4"
            await fan.download(job["id"], path)
            results.append(path.read_bytes())
    assert results[0] == results[1]


async def some_segments_finished(platform: Platform, fan: Customer, job_id: str) -> dict[int, SegmentResult]:
    """Waits until at least one segment is in the store and another is being made; returns the finished ones."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        finished = await asyncio.to_thread(records_of, platform, job_id)
        if finished:
            job = await fan.job(job_id)
            assert job["status"] == "RUNNING", f"too late to disturb: {job['status']}"
            return finished
        await asyncio.sleep(0.1)
    raise AssertionError("no segment was finished")


def records_of(platform: Platform, job_id: str) -> dict[int, SegmentResult]:
    with object_store(platform) as client:
        listed = client.list_objects_v2(Bucket=BUCKET, Prefix=f"work/{job_id}/segments/").get("Contents", [])
        keys = [item["Key"] for item in listed if item["Key"].endswith(".json")]
        bodies = [client.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys]
    records = [SegmentResult.model_validate_json(body) for body in bodies]
    return {record.index: record for record in records}


async def segments_used(platform: Platform, job_id: str) -> dict[int, SegmentResult]:
    """What the saga's history says of each segment that went into the result."""
    temporal = platform.stack.temporal
    assert temporal is not None
    keys = json.loads(platform.environment.get("ECHOSHOT_CODEC_KEYS", "{}"))
    key_id = platform.environment.get("ECHOSHOT_CODEC_KEY_ID", "")
    reading = codec(Settings(codec_keys=keys, codec_key_id=key_id))
    client = await Client.connect(temporal.address)
    used: dict[int, SegmentResult] = {}
    async for event in client.get_workflow_handle(f"job/{job_id}").fetch_history_events():
        if event.HasField("activity_task_completed_event_attributes"):
            for payload in await reading.decode(
                event.activity_task_completed_event_attributes.result.payloads
            ):
                if b'"upscale_ms"' in payload.data:
                    record = SegmentResult.model_validate_json(payload.data)
                    used[record.index] = record
    return used
