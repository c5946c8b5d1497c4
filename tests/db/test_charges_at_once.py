"""Charged jobs that end while their user does other things: nobody waits for each other in a circle."""

from __future__ import annotations

import asyncio

from contracts.errors import Code
from contracts.jobs import JobStatus
from contracts.video_job import Release
from db import holds, settlement
from db.engine import Database
from tests.books import ORIGIN, a_user, new_transfer_id, step_of
from tests.purchases import a_charged_job

JOBS = 24
AT_ONCE = 4


async def test_charged_jobs_end_beside_new_holds_without_a_deadlock(database: Database) -> None:
    # Promotional credits first, so that the account which only the refund needs comes before those of the hold.
    user = await a_user(database, promo=5000)
    jobs = [(await a_charged_job(database, user, credits=20))[0] for _ in range(JOBS)]

    async def end(index: int) -> None:
        job = jobs[index]
        release = Release(job_id=job.id, status=JobStatus.CANCELED, failure_code=Code.CANCELED_BY_USER)
        async with database.transaction() as session:
            await settlement.release_job(session, release, step_of(job))

    async def hold() -> None:
        async with database.transaction() as session:
            await holds.hold(session, new_transfer_id(), user.id, 1, ORIGIN)

    for first in range(0, JOBS, AT_ONCE):
        # A deadlock would be raised here: PostgreSQL ends one of those that wait.
        await asyncio.gather(
            *(end(index) for index in range(first, first + AT_ONCE)), *(hold() for _ in range(AT_ONCE))
        )
