"""A job that ends while one of its steps still runs, as by a cancellation or the sweeper."""

from __future__ import annotations

from contracts.errors import Code
from contracts.jobs import JobStatus
from contracts.ledger import TransferOrigin
from contracts.video_job import JobInput, Release
from db import settlement
from tests.workflows.house import House


async def settle(house: House, job: JobInput) -> None:
    release = Release(job_id=job.job_id, status=JobStatus.CANCELED, failure_code=Code.CANCELED_BY_USER)
    async with house.rooms.database.transaction() as session:
        await settlement.release_job(session, release, TransferOrigin(actor="test", step="release"))
