"""PostgreSQL goes away in the middle of a step that moves money, and comes back: nobody has to do anything."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from pydantic import SecretStr
from temporalio.client import Client, WorkflowFailureError

from contracts.errors import Code
from contracts.queues import Queue
from contracts.settings import Settings
from contracts.video_job import JobInput
from dev.servers.postgres import Postgres
from dev.stack import migrate
from tests.workflows.house import House, open_house, until, workers
from tests.workflows.slow_steps import GatedStep
from tests.workflows.stand_ins import Gate
from workflows.client import cancel_job


@pytest.mark.slow
async def test_a_database_that_is_away_during_hold_capture_and_release_delays_them_only(
    platform_settings: Settings, temporal_client: Client, tmp_path: Path
) -> None:
    server = Postgres(tmp_path, tmp_path / "logs")
    await server.start()
    try:
        await server.create_database("away")
        url = server.sqlalchemy_url("away")
        await migrate({"ECHOSHOT_DATABASE_URL": url})
        settings = platform_settings.model_copy(update={"database_url": SecretStr(url)})
        async with open_house(settings, temporal_client) as house:
            await while_the_database_is_away(house, server)
    finally:
        await server.stop()


async def while_the_database_is_away(house: House, server: Postgres) -> None:
    steps = [GatedStep(name) for name in ("hold", "complete", "release")]
    house.interceptors[Queue.CORE] += steps
    holding, capturing, releasing = [await house.open_job() for _ in steps]
    # `hold` and `complete` belong to other jobs too: only the ones that matter wait.
    steps[0].workflow_id = holding.workflow_id
    ingesting = house.stand_ins.on[f"{releasing.job_id}/ingest"] = Gate()
    async with workers(house):
        handles = [await house.start(job) for job in (holding, capturing, releasing)]
        await ingesting.reached.wait()
        await cancel_job(house.client, house.settings, releasing)
        await asyncio.gather(*(step.reached.wait() for step in steps))
        server.kill()
        for step in steps:
            step.opened.set()
        await asyncio.gather(
            *(
                until(lambda job=job: has_failed_attempts(house, job))
                for job in (holding, capturing, releasing)
            )
        )
        await server.restart()
        ends = await asyncio.gather(*(handle.result() for handle in handles), return_exceptions=True)
    assert [type(end) for end in ends][2] is WorkflowFailureError
    await house.assert_captured(holding)
    await house.assert_captured(capturing)
    await house.assert_released(releasing, "CANCELED", Code.CANCELED_BY_USER)


async def has_failed_attempts(house: House, job: JobInput) -> bool:
    pending = (await house.handle(job).describe()).raw_description.pending_activities
    return any(each.attempt > 1 and "database" in each.last_failure.message for each in pending)
