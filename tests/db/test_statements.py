"""What a user reads about their credits adds up to what they have."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from contracts.errors import Code, EchoError
from contracts.jobs import JobStatus
from contracts.ledger import TransferKind
from db import settlement, statements
from db.engine import Database
from db.pages import Page
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


async def test_long_lists_are_read_from_an_index(database: Database) -> None:
    """A million rows must not be sorted for a page of twenty; the planner is asked with sequential scans made dear."""
    user = await a_user(database)
    queries = {
        "jobs_by_user": "SELECT * FROM jobs WHERE user_id = :user ORDER BY id DESC LIMIT 20",
        "videos_by_user": """SELECT * FROM videos WHERE user_id = :user AND role = 'result'
                              ORDER BY id DESC LIMIT 20""",
        "transfers_by_user": "SELECT * FROM transfers WHERE user_id = :user ORDER BY seq DESC LIMIT 20",
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
