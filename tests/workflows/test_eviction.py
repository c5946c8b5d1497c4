"""A worker's memory is small: workflows are dropped from it at any await, also from one that nothing may cancel."""

from __future__ import annotations

import asyncio
import logging

import pytest

from contracts.errors import Code
from contracts.queues import Queue
from tests.workflows.house import House, failure_of, workers
from tests.workflows.slow_steps import GatedStep
from tests.workflows.stand_ins import Fails


@pytest.mark.parametrize("step", ["complete", "release", "hold"])
async def test_a_workflow_dropped_from_memory_while_it_moves_credits_goes_on_from_its_history(
    closed_house: House, step: str, caplog: pytest.LogCaptureFixture
) -> None:
    gate = GatedStep(step)
    closed_house.interceptors[Queue.CORE].append(gate)
    if step == "release":
        closed_house.stand_ins.on["ingest"] = Fails(Code.CORRUPT, times=4)
    with caplog.at_level(logging.WARNING, logger="temporalio.worker"):
        async with workers(closed_house, workflow_cache=1):
            jobs = [await closed_house.open_job() for _ in range(4)]
            # Each job that comes pushes the one before it out of the cache.
            handles = [await closed_house.start(job) for job in jobs]
            await gate.reached.wait()
            gate.opened.set()
            await asyncio.gather(*(handle.result() for handle in handles), return_exceptions=True)
    for job, handle in zip(jobs, handles, strict=True):
        if step == "release":
            assert isinstance(await failure_of(handle), Exception)
            await closed_house.assert_released(job, "FAILED", Code.CORRUPT)
        else:
            await closed_house.assert_captured(job)
    complaints = [
        record.message for record in caplog.records if record.name.startswith("temporalio.worker._work")
    ]
    assert complaints == []
