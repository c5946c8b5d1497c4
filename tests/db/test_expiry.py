"""Promotional credits end in the order of their dates, once, and only as far as nobody has used them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from contracts.jobs import JobStatus
from contracts.ledger import Bucket
from contracts.video_job import Release
from db import expiry, ledger, settlement
from db.engine import Database
from db.tables import User
from tests.books import ORIGIN, a_job, a_user, balance_of, completion, new_transfer_id, run_sql, step_of

NOW = datetime.now(UTC)


async def grant(database: Database, user: User, credits: int, days: int | None) -> None:
    async with database.transaction() as session:
        await ledger.grant(
            session,
            new_transfer_id(),
            user.id,
            credits,
            Bucket.PROMO,
            ORIGIN,
            expires_at=None if days is None else NOW + timedelta(days=days),
        )


async def expire(database: Database, user: User, days: int) -> int:
    async with database.transaction() as session:
        return await expiry.expire_promotional(session, user.id, NOW + timedelta(days=days), ORIGIN)


async def due(database: Database, days: int, limit: int = 100) -> list[str]:
    async with database.read() as session:
        return list(await expiry.users_due(session, NOW + timedelta(days=days), limit))


@pytest.mark.parametrize(
    ("spent", "left_after"),
    [
        # Lots of 30 until day 1, 20 until day 2, 10 without end, 40 paid; what is left after days 0, 1, 2, 9.
        (0, [100, 70, 50, 50]),
        (20, [80, 70, 50, 50]),
        (40, [60, 60, 50, 50]),
        (60, [40, 40, 40, 40]),
        (80, [20, 20, 20, 20]),
    ],
)
async def test_what_ends_first_is_spent_first_and_paid_credits_never_end(
    database: Database, spent: int, left_after: list[int]
) -> None:
    user = await a_user(database, paid=40)
    for credits, days in ((10, None), (20, 2), (30, 1)):
        await grant(database, user, credits, days)
    if spent:
        job = await a_job(database, user, credits=spent, status=JobStatus.RUNNING)
        async with database.transaction() as session:
            await settlement.complete_job(session, completion(job, spent), step_of(job))
    for days, left in zip((0, 1, 2, 9), left_after, strict=True):
        before, _ = await balance_of(database, user.id)
        assert (await due(database, days) == [user.id]) == (before > left)
        assert await expire(database, user, days) == before - left
        assert await balance_of(database, user.id) == (left, 0)
        assert await due(database, days) == []


async def test_the_same_moment_takes_once_whoever_repeats(database: Database) -> None:
    user = await a_user(database)
    await grant(database, user, 30, 1)
    taken = await asyncio.gather(*[expire(database, user, 1) for _ in range(4)])
    assert sorted(taken) == [0, 0, 0, 30]
    assert await balance_of(database, user.id) == (0, 0)


async def test_held_credits_end_when_they_are_released(database: Database) -> None:
    user = await a_user(database)
    await grant(database, user, 30, 1)
    job = await a_job(database, user, credits=20)
    assert await expire(database, user, 1) == 10
    async with database.transaction() as session:
        release = Release(job_id=job.id, status=JobStatus.CANCELED, failure_code="canceled_by_user")
        await settlement.release_job(session, release, step_of(job))
    assert await expire(database, user, 1) == 0, "that moment has been seen to"
    assert await expire(database, user, 2) == 20


async def test_users_are_named_as_many_as_asked_for(database: Database) -> None:
    users = [await a_user(database) for _ in range(3)]
    for user in users:
        await grant(database, user, 5, 1)
    names = sorted(user.id for user in users)
    assert await due(database, 0) == []
    assert await due(database, 1, 2) == names[:2]
    await expire(database, next(user for user in users if user.id == names[0]), 1)
    assert await due(database, 1) == names[1:]


async def test_an_administrators_promotional_gift_ends_in_a_year_and_a_paid_one_never(
    database: Database,
) -> None:
    user = await a_user(database)
    for bucket in (Bucket.PROMO, Bucket.PAID):
        for _ in range(2):  # the repeat finds the first one's end
            async with database.transaction() as session:
                await settlement.grant_credits(
                    session,
                    user_id=user.id,
                    credits=10,
                    bucket=bucket,
                    key=bucket,
                    actor="admin:a",
                    reason="gift",
                )
    rows = await run_sql(database, "SELECT expires_at - created_at AS lasts FROM transfers ORDER BY seq")
    assert [None if row.lasts is None else round(row.lasts / timedelta(days=1)) for row in rows] == [
        365,
        None,
    ]
