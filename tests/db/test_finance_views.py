"""What finance reads adds up: every won that came in is refunded, disputed, earned or owed, to the last one."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import AsyncConnection
from sqlalchemy import text

from contracts.errors import Code, EchoError
from contracts.jobs import JobStatus
from contracts.ledger import Bucket
from contracts.payments import DisputeStatus, RefundTo
from contracts.video_job import Release
from db import audit, disputes, finance_lists, ledger, settlement
from db.engine import Database
from db.pages import Page
from db.tables import Job, User
from db.tables_money import Purchase
from tests.books import ORIGIN, a_job, a_user, completion, new_transfer_id, run_sql, step_of
from tests.purchases import a_charged_job, a_dispute, a_purchase, by, provider_says, refund


async def spend(database: Database, user: User, credits: int) -> None:
    job = await a_job(database, user, credits=credits, status=JobStatus.RUNNING)
    async with database.transaction() as session:
        await settlement.complete_job(session, completion(job, credits), step_of(job))


async def money_of(database: Database, user: User) -> dict[str, int]:
    (row,) = await run_sql(
        database,
        """SELECT (SELECT coalesce(sum(krw), 0) FROM analytics.revenue WHERE user_id = :user)::bigint AS earned,
                  (SELECT coalesce(sum(krw), 0) FROM analytics.liability WHERE user_id = :user)::bigint AS owed,
                  (SELECT coalesce(sum(credits), 0) FROM analytics.liability WHERE user_id = :user)::bigint AS credits,
                  (SELECT coalesce(sum(amount_krw), 0) FROM analytics.refunds
                    WHERE user_id = :user AND status <> 'FAILED')::bigint AS refunded""",
        user=user.id,
    )
    return row._asdict()


async def test_a_disputes_transfers_say_what_each_has_done(database: Database) -> None:
    user = await a_user(database)
    for end in (DisputeStatus.WON, DisputeStatus.LOST):
        purchase = await a_purchase(database, user)
        for status in (DisputeStatus.OPEN, end):
            async with database.transaction() as session:
                await disputes.record(session, purchase.id, a_dispute(purchase, status), by(purchase))
    rows = await run_sql(
        database, "SELECT phase FROM analytics.transfers WHERE kind = 'dispute' ORDER BY seq"
    )
    assert [row.phase for row in rows] == ["opened", "won", "opened", "lost"]


async def test_first_bought_is_first_spent(database: Database) -> None:
    user = await a_user(database)
    await a_purchase(database, user, credits=100)  # 100 won each
    await a_purchase(database, user, credits=500)  # 80 won each
    await spend(database, user, 60)
    assert await money_of(database, user) == {
        "earned": 6_000, "owed": 4_000 + 40_000, "credits": 540, "refunded": 0,
    }  # fmt: skip
    await spend(database, user, 90)
    assert await money_of(database, user) == {
        "earned": 10_000 + 50 * 80, "owed": 450 * 80, "credits": 450, "refunded": 0,
    }  # fmt: skip


async def spend_charge(database: Database, user: User, credits: int, taken: int) -> tuple[Job, Purchase]:
    job, purchase = await a_charged_job(database, user, credits=credits, status=JobStatus.RUNNING)
    async with database.transaction() as session:
        await settlement.complete_job(session, completion(job, taken), step_of(job))
    return job, purchase


async def earned_by(database: Database, job: Job) -> int:
    (row,) = await run_sql(database, "SELECT krw FROM analytics.revenue WHERE job_id = :job", job=job.id)
    return row.krw


async def test_what_was_reported_for_a_job_paid_by_card_stays(database: Database) -> None:
    user = await a_user(database)
    package = await a_purchase(database, user, credits=500)  # 80 won each
    job, _ = await spend_charge(database, user, 10, 10)  # 100 won each
    assert await earned_by(database, job) == 1_000
    await provider_says(database, await refund(database, package))
    assert await earned_by(database, job) == 1_000
    assert await money_of(database, user) == {"earned": 1_000, "owed": 0, "credits": 0, "refunded": 40_000}


async def test_a_charge_that_is_held_is_owed_and_nobody_else_spends_it(database: Database) -> None:
    user = await a_user(database)
    await a_purchase(database, user, credits=100)
    job, _ = await a_charged_job(database, user, credits=10, refund_to=RefundTo.CREDITS)
    await a_purchase(database, user, credits=500)
    await spend(database, user, 150)
    expected = 100 * 100 + 50 * 80
    assert await money_of(database, user) == {
        "earned": expected, "owed": 1_000 + 450 * 80, "credits": 460, "refunded": 0,
    }  # fmt: skip
    async with database.transaction() as session:
        ending = Release(job_id=job.id, status=JobStatus.FAILED, failure_code=Code.CORRUPT)
        await settlement.release_job(session, ending, step_of(job, "release"))
    assert (await money_of(database, user))["earned"] == expected


async def test_promotional_credits_are_neither_earned_nor_owed(database: Database) -> None:
    user = await a_user(database, promo=50, paid=20)
    await spend(database, user, 60)
    assert await money_of(database, user) == {"earned": 0, "owed": 0, "credits": 10, "refunded": 0}


async def test_a_refund_takes_from_what_is_owed(database: Database) -> None:
    user = await a_user(database)
    purchase = await a_purchase(database, user, credits=1000)
    await spend(database, user, 300)
    done = await refund(database, purchase)
    await provider_says(database, done)
    assert await money_of(database, user) == {
        "earned": 21_000, "owed": 0, "credits": 0, "refunded": 49_000,
    }  # fmt: skip


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    acts=st.lists(
        st.tuples(
            st.sampled_from(["buy", "spend", "refund", "charge"]), st.integers(0, 2), st.integers(1, 130)
        ),
        min_size=3,
        max_size=9,
    )
)
async def test_every_won_is_refunded_earned_or_owed(
    database: Database, acts: Sequence[tuple[str, int, int]]
) -> None:
    user = await a_user(database)
    bought: list[Purchase] = []
    for act, which, credits in acts:
        try:
            if act == "buy":
                bought.append(await a_purchase(database, user, credits=(100, 500, 1000)[which]))
            elif act == "spend":
                await spend(database, user, credits)
            elif act == "charge":
                bought.append((await spend_charge(database, user, 10 + which, 1 + credits % 10))[1])
            elif bought:
                await refund(database, bought[which % len(bought)], credits=credits)
        except EchoError as refused:
            if refused.code not in (Code.CREDITS_SHORT, Code.REFUND_CREDITS_SPENT, Code.REFUND_TOO_LARGE):
                raise
    money = await money_of(database, user)
    received = sum(purchase.amount_krw for purchase in bought)
    assert money["earned"] + money["owed"] + money["refunded"] == received


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    acts=st.lists(
        st.tuples(
            st.sampled_from(["buy", "spend", "refund", "charge", "gift", "dispute", "win"]),
            st.integers(0, 2),
            st.integers(1, 130),
        ),
        min_size=3,
        max_size=10,
    )
)
async def test_revenue_and_liability_are_those_of_the_slower_views_that_they_replaced(
    database: Database, acts: Sequence[tuple[str, int, int]]
) -> None:
    """Migration 0010 walks lots and captures once, where 0008 laid every capture beside every lot of its user."""
    before = import_module("db.migrations.versions.0008_analytics").REVENUE
    async with database.transaction() as session:
        await session.execute(text("DROP SCHEMA IF EXISTS before CASCADE"))
        await session.execute(text("CREATE SCHEMA before"))
        connection = (await (await session.connection()).get_raw_connection()).driver_connection
        assert isinstance(connection, AsyncConnection)
        await connection.execute(
            before.replace("analytics.", "before.").partition("CREATE VIEW before.money_by_day")[0].encode()
        )
    user = await a_user(database, promo=7)
    bought: list[Purchase] = []
    for act, which, credits in acts:
        try:
            if act == "buy":
                bought.append(await a_purchase(database, user, credits=(100, 500, 1000)[which]))
            elif act == "spend":
                await spend(database, user, credits)
            elif act == "charge":
                bought.append((await spend_charge(database, user, 10 + which, 1 + credits % 10))[1])
            elif act == "gift":
                async with database.transaction() as session:
                    await ledger.grant(session, new_transfer_id(), user.id, credits, Bucket.PAID, ORIGIN)
            elif bought and act == "refund":
                await refund(database, bought[which % len(bought)], credits=credits)
            elif bought and act in ("dispute", "win"):
                purchase = bought[which % len(bought)]
                status = DisputeStatus.OPEN if act == "dispute" else DisputeStatus.WON
                async with database.transaction() as session:
                    await disputes.record(session, purchase.id, a_dispute(purchase, status), by(purchase))
        except EchoError as refused:
            if refused.code not in (Code.CREDITS_SHORT, Code.REFUND_CREDITS_SPENT, Code.REFUND_TOO_LARGE):
                raise
    for view in ("revenue", "liability", "captures"):
        now, then = [
            await run_sql(database, f"SELECT * FROM {schema}.{view} ORDER BY user_id, transfer_id")
            for schema in ("analytics", "before")
        ]
        assert now == then, view


async def test_a_saga_is_told_from_every_source(database: Database) -> None:
    user = await a_user(database)
    job, purchase = await a_charged_job(database, user, credits=10)
    async with database.transaction() as session:
        ending = Release(job_id=job.id, status=JobStatus.FAILED, failure_code=Code.CORRUPT)
        await settlement.release_job(session, ending, step_of(job, "release"))
    (asked,) = await run_sql(database, "SELECT id FROM refunds WHERE purchase_id = :id", id=purchase.id)
    async with database.read() as session:
        told = await audit.saga_audit(session, job.id)
    assert (told.status, told.paid_krw, told.captured_credits, told.quote_credits) == ("FAILED", 1_000, 0, 10)
    assert told.workflow_ids == (f"job/{job.id}", f"purchase/{purchase.id}")
    ledger = [entry.what for entry in told.entries if entry.source == "ledger"]
    assert ledger == ["purchase", "hold", "release", "refund reserved"]
    assert {"saga", "ledger", "provider"} <= {entry.source for entry in told.entries}
    assert any(asked.id in entry.refers_to for entry in told.entries)
    assert [entry.at for entry in told.entries] == sorted(entry.at for entry in told.entries)


async def test_a_saga_without_a_charge_is_told_too(database: Database) -> None:
    user = await a_user(database, paid=100)
    job: Job = await a_job(database, user)
    async with database.read() as session:
        told = await audit.saga_audit(session, job.id)
    assert (told.paid_krw, told.quote_credits, told.workflow_ids) == (0, 10, (f"job/{job.id}",))


@pytest.mark.parametrize(
    "listing",
    [
        finance_lists.TRANSFERS,
        finance_lists.PURCHASES,
        finance_lists.REFUNDS,
        finance_lists.LIABILITY,
        finance_lists.REVENUE,
    ],
    ids=lambda listing: listing.name,
)
async def test_the_pages_of_a_list_are_the_whole_list(
    database: Database, listing: finance_lists.Listing
) -> None:
    user, other = await a_user(database), await a_user(database)
    for _ in range(3):
        await a_purchase(database, other)
        purchase = await a_purchase(database, user)
        await spend(database, user, 10)
        await refund(database, purchase, credits=5)
    filters = {"user_id": user.id}
    async with database.read() as session:
        whole = [dict(row) async for row in finance_lists.every(session, listing, filters)]
        paged: list[object] = []
        after: str | None = None
        while True:
            rows = await finance_lists.page_of(session, listing, filters, Page(limit=2, starting_after=after))
            paged += [dict(row) for row in rows.items]
            if not rows.has_more:
                break
            after = str(rows.items[-1][listing.id])
        with pytest.raises(EchoError):
            await finance_lists.page_of(
                session, listing, filters, Page(starting_after="00000000-0000-0000-0000-000000000000")
            )
    assert len(whole) >= 3
    assert paged == whole
    assert all(row["user_id"] == user.id for row in whole)


async def test_a_dispute_is_neither_owed_nor_earned(database: Database) -> None:
    user = await a_user(database)
    purchase = await a_purchase(database, user)
    async with database.transaction() as session:
        await disputes.record(session, purchase.id, a_dispute(purchase, DisputeStatus.OPEN), by(purchase))
    assert (await money_of(database, user))["owed"] == 0
