"""Workers as an operator runs them: `python -m worker <role>`, stopped by SIGTERM."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import psutil
import pytest
from sqlalchemy import text
from temporalio.client import WorkflowFailureError

from contracts.errors import Code
from contracts.queues import Queue
from contracts.timing import SEGMENT_HEARTBEAT, TRANSFER_HEARTBEAT, WORKER_GRACE
from contracts.video_job import JobInput
from dev.platform import Worker as WorkerProcess
from dev.servers.ports import free_port
from tests.workflows.house import House, until, workers
from tests.workflows.stand_ins import Gate
from tests.workflows.surroundings import environment_of


@asynccontextmanager
async def process(house: House, logs: Path, queue: Queue, **extra: str) -> AsyncIterator[WorkerProcess]:
    worker = WorkerProcess(logs, queue, environment_of(house.settings) | extra)
    await worker.start()
    try:
        yield worker
    finally:
        worker.kill()


async def terminated(worker: WorkerProcess) -> int:
    """Exit status after SIGTERM; ends with an error when the worker takes longer than its grace and a breath."""
    running = psutil.Process(worker.pid)
    running.terminate()
    return await asyncio.to_thread(running.wait, WORKER_GRACE.total_seconds() + 20)


async def test_an_idle_worker_leaves_on_sigterm_and_its_endpoint_has_both_sets_of_metrics(
    house: House, tmp_path: Path
) -> None:
    port = free_port()
    async with process(house, tmp_path, Queue.CORE, ECHOSHOT_METRICS_PORT=str(port)) as worker:
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.get(f"http://127.0.0.1:{port}/metrics")
        assert "echoshot_segments_reused_total" in answer.text
        assert "temporal_num_pollers" in answer.text
        assert await terminated(worker) == 0


async def test_a_worker_that_cannot_reach_temporal_waits_for_it_and_still_leaves_on_sigterm(
    house: House, tmp_path: Path
) -> None:
    nowhere = environment_of(house.settings) | {"TEMPORAL_ADDRESS": f"127.0.0.1:{free_port()}"}
    worker = WorkerProcess(tmp_path, Queue.CORE, nowhere)
    worker._spawn()  # `start` would wait until Temporal sees it

    async def says_so() -> bool:
        return worker.log_path.exists() and "not reachable yet" in worker.log_path.read_text()

    try:
        await until(says_so)
        assert await terminated(worker) == 0
    finally:
        worker.kill()


@pytest.mark.slow
async def test_a_step_that_runs_at_sigterm_is_handed_to_another_worker(house: House, tmp_path: Path) -> None:
    """No object is in store, so `ingest` would reject the job; before, it waits for a row that this test holds."""
    job = await house.open_job()
    async with workers(house, Queue.CORE, Queue.PROVIDERS):
        handle = await house.start(job)
        await until(lambda: has_held(house, job))
        async with house.row_held(job), process(house, tmp_path / "first", Queue.TRANSFER) as first:
            await until(lambda: waits_for_a_row(house))
            assert await terminated(first) == 0
        async with process(house, tmp_path / "second", Queue.TRANSFER):
            # Far less than the time after which Temporal would miss the first worker's heartbeats.
            async with asyncio.timeout(TRANSFER_HEARTBEAT.total_seconds() * 0.75):
                with pytest.raises(WorkflowFailureError):
                    await handle.result()
    await house.assert_released(job, "FAILED", Code.SOURCE_MISSING)
    starts = [event.activity_task_started_event_attributes async for event in handle.fetch_history_events()]
    assert [each.last_failure.message for each in starts if each.attempt > 1] == [
        "the worker is shutting down"
    ]


async def has_held(house: House, job: JobInput) -> bool:
    return (await house.saga(job))[1:] == [("hold", "done")]


async def waits_for_a_row(house: House) -> bool:
    query = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    async with house.rooms.database.read() as session:
        return (await session.execute(query)).scalar_one() > 0


async def test_a_segment_is_handed_back_before_its_heartbeat_runs_out(house: House) -> None:
    working = house.stand_ins.on["enhance_segment/0"] = Gate()
    job = await house.open_job()
    async with workers(house, Queue.CORE, Queue.TRANSFER, Queue.PROVIDERS):
        async with workers(house, Queue.GPU):
            handle = await house.start(job)
            await working.reached.wait()
        assert working.canceled.is_set()
        working.opened.set()
        async with asyncio.timeout(SEGMENT_HEARTBEAT.total_seconds() * 0.75), workers(house, Queue.GPU):
            await handle.result()
    await house.assert_captured(job)
    assert house.stand_ins.calls[job.job_id].count("enhance_segment/0") == 2
