"""What a user reads about their credits adds up to what they have."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta, timezone
from importlib import import_module
from random import Random
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from contracts.errors import Code, EchoError
from contracts.jobs import JobStatus
from contracts.ledger import TransferKind
from db import settlement, statements
from db.engine import Database
from db.pages import Page
from db.tables import Job
from tests.books import a_job, a_user, balance_of, completion, run_sql, step_of


async def test_the_history_adds_up_to_the_balance_and_reads_in_pages(database: Database) -> None:
    user = await a_user(database, promo=5, paid=40)
    done = await a_job(database, user, credits=12, status=JobStatus.RUNNING)
    async with database.transaction() as session:
        await settlement.adjust_hold(session, done.id, 20, step_of(done))
        await settlement.complete_job(session, completion(done, 15), step_of(done))
    await a_job(database, user, credits=10)
    await a_job(database, await a_user(database, paid=10))
    async with database.read() as session:
        whole = (await statements.history(session, user.id, Page())).items
        first = await statements.history(session, user.id, Page(limit=4))
        rest = await statements.history(
            session, user.id, Page(limit=4, starting_after=str(first.items[-1].id))
        )
        back = await statements.history(session, user.id, Page(limit=2, ending_before=str(rest.items[0].id)))
    assert [entry.kind for entry in whole] == [
        TransferKind.HOLD, TransferKind.CAPTURE, TransferKind.HOLD, TransferKind.RELEASE, TransferKind.HOLD,
        TransferKind.GRANT, TransferKind.GRANT,
    ]  # fmt: skip
    assert first.items + rest.items == whole
    assert (first.has_more, rest.has_more) == (True, False)
    assert back.items == first.items[2:]
    sums = sum(entry.available_change for entry in whole), sum(entry.held_change for entry in whole)
    assert sums == await balance_of(database, user.id)
    capture = whole[1]
    assert (capture.amount, capture.available_change, capture.held_change, capture.job_id) == (
        15,
        5,
        -20,
        done.id,
    )


async def test_a_cursor_of_somebody_elses_history_is_refused(database: Database) -> None:
    owner, stranger = await a_user(database, paid=1), await a_user(database, paid=1)
    async with database.read() as session:
        (entry,) = (await statements.history(session, owner.id, Page())).items
        for cursor in (str(entry.id), "nonsense"):
            with pytest.raises(EchoError) as refused:
                await statements.history(session, stranger.id, Page(starting_after=cursor))
            assert refused.value.code is Code.CURSOR_INVALID


async def test_usage_counts_what_was_captured(database: Database) -> None:
    user = await a_user(database, paid=100)
    for credits in (10, 7):
        job = await a_job(database, user, credits=20, status=JobStatus.RUNNING)
        async with database.transaction() as session:
            await settlement.complete_job(session, completion(job, credits), step_of(job))
    await a_job(database, user, credits=20)
    now = datetime.now(UTC)
    async with database.read() as session:
        days = await statements.usage(
            session, user.id, now - timedelta(days=1), now + timedelta(days=1), "day"
        )
        later = await statements.usage(session, user.id, now + timedelta(days=1), now + timedelta(days=2))
    assert (sum(day.credits for day in days), sum(day.jobs for day in days)) == (17, 2)
    assert {day.kind for day in days} == {"enhance"}
    assert later == []


PLAIN_USAGE = """
    SELECT date_trunc(:by, t.created_at, 'UTC') AS period, coalesce(j.kind, '') AS kind,
           sum(t.amount)::bigint AS credits, count(*) AS jobs
      FROM transfers t LEFT JOIN jobs j ON j.id = t.job_id
     WHERE t.kind = 'capture' AND t.user_id = :user_id AND t.created_at >= :from AND t.created_at < :to
     GROUP BY 1, 2 ORDER BY 1, 2"""
BEGAN = datetime(2026, 2, 26, tzinfo=UTC)


async def test_usage_is_what_adding_up_every_capture_gives(database: Database) -> None:
    """At any two moments, of any time zone, within a day or weeks apart. The clock cannot be moved, so captures of
    another time are written behind the triggers' backs, into a transaction that is never committed."""
    random = Random(4)
    user, other = await a_user(database, paid=50), await a_user(database)
    jobs = [(await a_job(database, user)).id, None]
    async with database.transaction() as session:
        await session.execute(text("SET LOCAL session_replication_role = replica"))
        captures = [
            {
                "id": uuid4(), "user_id": random.choice([user.id, user.id, other.id]), "job_id": random.choice(jobs),
                "amount": random.randint(1, 99), "at": a_moment(random),
            }
            for _ in range(400)
        ]  # fmt: skip
        await session.execute(
            text("""INSERT INTO transfers (id, kind, unit, amount, user_id, job_id, actor, step, workflow_id, run_id,
                                           reason, xact, created_at)
                    VALUES (:id, 'capture', 'credit', :amount, :user_id, :job_id, 'a', 'b', '', '', '',
                            pg_current_xact_id(), :at)"""),
            captures,
        )
        await session.execute(text(import_module("db.migrations.versions.0010_lists").FILL))
        for _ in range(80):
            asked = {"user_id": user.id, "by": random.choice(["day", "month"])}
            asked |= {"from": a_moment(random), "to": a_moment(random)}
            found = await statements.usage(session, user.id, asked["from"], asked["to"], asked["by"])
            plain = await session.execute(text(PLAIN_USAGE), asked)
            assert found == [
                statements.Usage(row.period.date(), row.kind, row.credits, row.jobs) for row in plain
            ], asked
        await session.rollback()


def a_moment(random: Random) -> datetime:
    """Within ten weeks; often a midnight, of UTC or of Seoul."""
    zone = random.choice([UTC, timezone(timedelta(hours=9))])
    moment = (BEGAN + timedelta(microseconds=random.randrange(70 * 24 * 3600 * 10**6))).astimezone(zone)
    return moment.replace(hour=0, minute=0, second=0, microsecond=0) if random.random() < 0.4 else moment


@pytest.mark.parametrize(
    "cheat",
    [
        "INSERT INTO usage_by_day VALUES (:user, '2026-01-01', '', 5, 1, 5)",
        "UPDATE usage_by_day SET credits = credits + 1",
        "DELETE FROM usage_by_day",
        "TRUNCATE usage_by_day",
    ],
)
async def test_the_database_refuses_usage_by_hand(database: Database, cheat: str) -> None:
    user = await a_user(database)
    with pytest.raises(IntegrityError, match="refused"):
        await run_sql(database, cheat, user=user.id)


async def test_captures_of_one_user_at_once_are_all_counted(database: Database) -> None:
    user = await a_user(database, promo=15, paid=100)
    jobs = [await a_job(database, user, credits=10, status=JobStatus.RUNNING) for _ in range(6)]

    async def complete(job: Job) -> None:
        async with database.transaction() as session:
            await settlement.complete_job(session, completion(job, 9), step_of(job))

    await asyncio.gather(*map(complete, jobs))
    rows = await run_sql(
        database,
        "SELECT sum(credits), sum(jobs), sum(from_line) FROM usage_by_day WHERE user_id = :user",
        user=user.id,
    )
    paid = await run_sql(
        database, "SELECT sum(paid_credits) FROM analytics.captures WHERE user_id = :user", user=user.id
    )
    assert tuple(rows[0]) == (54, 6, paid[0][0])


async def test_long_lists_are_read_from_an_index(database: Database) -> None:
    """A million rows must not be sorted for a page of twenty; the planner is asked with sequential scans made dear."""
    user = await a_user(database)
    queries = {
        "jobs_by_user": "SELECT * FROM jobs WHERE user_id = :user ORDER BY id DESC LIMIT 20",
        "videos_by_user": """SELECT * FROM videos WHERE user_id = :user AND role = 'result'
                              ORDER BY id DESC LIMIT 20""",
        "transfers_by_user": "SELECT * FROM transfers WHERE user_id = :user ORDER BY seq DESC LIMIT 20",
        "usage_by_day_pkey": "SELECT * FROM usage_by_day WHERE user_id = :user AND day >= '2026-01-01'",
        "transfers_uncommon": "SELECT * FROM transfers WHERE kind = 'refund' ORDER BY seq DESC LIMIT 20",
        "transfers_by_time": """SELECT * FROM transfers WHERE created_at < '2026-01-01'
                                 ORDER BY created_at DESC, seq DESC LIMIT 20""",
        "captures_by_user": """SELECT * FROM transfers WHERE kind = 'capture' AND user_id = :user
                                  AND created_at > now() - interval '1 month'""",
        "job_events_pkey": "SELECT * FROM job_events WHERE job_id = :user AND seq > 5 ORDER BY seq LIMIT 100",
        "jobs_active": "SELECT * FROM jobs WHERE finished_at IS NULL ORDER BY id LIMIT 100",
        "videos_by_hash": """SELECT * FROM videos WHERE user_id = :user AND verified_sha256 = 'x'
                                AND role = 'source' AND state = 'ready'""",
    }
    for index, query in queries.items():
        bound = {"user": user.id} if ":user" in query else {}
        rows = await run_sql(
            database,
            "SET LOCAL enable_seqscan = off",
            "SET LOCAL enable_bitmapscan = off",
            f"EXPLAIN {query}",
            **bound,
        )
        plan = "\n".join(row[0] for row in rows)
        assert index in plan, plan
        assert "Sort" not in plan, plan
