"""What a bank takes back is frozen, then returned or lost, never on top of what was refunded."""

from __future__ import annotations

import asyncio

import pytest

from contracts.errors import Code, EchoError
from contracts.ids import refund_id
from contracts.jobs import JobStatus
from contracts.payments import DisputeStatus, RefundReason
from contracts.video_job import Release
from db import disputes, freezes, ledger, purchases, refunds, saga_log, settlement
from db.engine import Database
from db.tables_money import Purchase
from tests.books import a_user, balance_of, run_sql, step_of
from tests.purchases import a_charged_job, a_dispute, a_purchase, by, provider_says, refund, refused, spend


async def dispute(database: Database, purchase: Purchase, status: DisputeStatus, **changes: int) -> None:
    async with database.transaction() as session:
        await disputes.record(
            session, purchase.id, a_dispute(purchase, status, krw=changes.get("krw")), by(purchase)
        )


async def balances(database: Database, purchase: Purchase) -> tuple[int, int, int]:
    """Available, owed, and the won in cash."""
    async with database.read() as session:
        balance = await ledger.balance(session, purchase.user_id)
    rows = await run_sql(
        database,
        """SELECT coalesce(sum(p.amount), 0)::bigint FROM postings p JOIN accounts a ON a.id = p.account_id
            WHERE a.kind = 'cash'""",
    )
    return balance.available, balance.debt, rows[0][0]


OPEN, WON, LOST = DisputeStatus.OPEN, DisputeStatus.WON, DisputeStatus.LOST


@pytest.mark.parametrize(
    ("words", "spent", "expected"),
    [
        ([OPEN], 0, (0, 0, 0)),
        ([OPEN, WON], 0, (100, 0, 10_000)),
        ([OPEN, LOST], 0, (0, 0, 0)),
        ([OPEN], 70, (0, 0, 0)),
        ([OPEN, WON], 70, (30, 0, 10_000)),
        ([OPEN, LOST], 70, (0, 70, 0)),
        ([LOST, OPEN], 70, (0, 70, 0)),
        ([WON, OPEN], 70, (30, 0, 10_000)),
        ([LOST, WON], 0, (0, 0, 0)),
    ],
)
async def test_a_dispute_ends_alike_in_whatever_order_its_words_come(
    database: Database, words: list[DisputeStatus], spent: int, expected: tuple[int, int, int]
) -> None:
    user = await a_user(database)
    purchase = await a_purchase(database, user)
    if spent:
        await spend(database, user, spent)
    for word in words:
        for _ in range(2):
            await dispute(database, purchase, word)
    assert await balances(database, purchase) == expected


async def test_a_refund_and_a_dispute_together_take_what_was_paid(database: Database) -> None:
    user = await a_user(database)
    purchase = await a_purchase(database, user)
    asked = await refund(database, purchase, credits=30)
    await dispute(database, purchase, OPEN)
    async with database.read() as session:
        (row,) = await freezes.of_purchase(session, purchase.id)
    assert (row.claimed_krw, row.amount_krw, row.credits_frozen) == (10_000, 7_000, 70)
    assert await refused(database, purchase, credits=1) is Code.REFUND_TOO_LARGE
    await provider_says(database, asked, "failed")
    async with database.read() as session:
        (row,) = await freezes.of_purchase(session, purchase.id)
        assert (row.amount_krw, row.credits_frozen) == (10_000, 100)
        assert (await purchases.state(session, purchase.id)).disputes_open == 1
    await dispute(database, purchase, WON)
    assert await balances(database, purchase) == (100, 0, 10_000)
    assert (await refund(database, purchase)).amount_krw == 10_000


async def test_the_state_of_a_purchase_tells_what_is_on_its_way_disputed_and_lost(database: Database) -> None:
    user = await a_user(database)
    purchase = await a_purchase(database, user)
    await spend(database, user, 60)
    asked = await refund(database, purchase, credits=10)
    await dispute(database, purchase, OPEN)
    async with database.read() as session:
        state = await purchases.state(session, purchase.id)
    assert state.refunding == {asked.refund_id: 1_000}
    assert (state.disputed_krw, state.credits_frozen, state.lost_krw) == (9_000, 30, 0)

    await provider_says(database, asked, "succeeded")
    await dispute(database, purchase, LOST)
    async with database.read() as session:
        state = await purchases.state(session, purchase.id)
    assert (state.refunding, state.disputed_krw, state.credits_frozen) == ({}, 0, 0)
    assert (state.lost_krw, state.credits_lost, state.credits_owed) == (9_000, 30, 60)


async def test_refund_and_dispute_at_once_never_take_more_than_was_paid(database: Database) -> None:
    user = await a_user(database)
    for _ in range(4):
        purchase = await a_purchase(database, user)
        await asyncio.gather(
            refund(database, purchase, credits=60),
            dispute(database, purchase, OPEN),
            dispute(database, purchase, LOST),
            refund(database, purchase, credits=60),
            return_exceptions=True,
        )
        async with database.read() as session:
            refunded = [r.amount_krw for r in await refunds.of_purchase(session, purchase.id)]
            disputed = [d.amount_krw for d in await freezes.of_purchase(session, purchase.id)]
        assert sum(refunded) + sum(disputed) == 10_000


async def test_a_disputed_charge_is_frozen_when_its_job_lets_go_and_refunded_when_it_is_won(
    database: Database,
) -> None:
    user = await a_user(database)
    job, purchase = await a_charged_job(database, user)
    await dispute(database, purchase, OPEN)
    assert await balance_of(database, user.id) == (0, 10)
    async with database.transaction() as session:
        release = Release(job_id=job.id, status=JobStatus.FAILED, failure_code="corrupt")
        ended = await settlement.release_job(session, release, step_of(job))
    assert ended.refund_krw == 0, "the bank has that money"
    async with database.read() as session:
        (row,) = await freezes.of_purchase(session, purchase.id)
    assert (row.credits_frozen, await balance_of(database, user.id)) == (10, (0, 0))
    await dispute(database, purchase, WON)
    async with database.read() as session:
        (back,) = await refunds.of_purchase(session, purchase.id)
        steps = [step.step for step in await saga_log.list_steps(session, job.id)]
    assert (back.amount_krw, back.reason) == (1_000, RefundReason.JOB_FAILED)
    assert back.id == refund_id(purchase.id, f"job/after/dp_1_{purchase.id}")
    assert steps == ["charge", "charge", "hold", "dispute", "release", "dispute", "dispute", "refund"]
    assert await balance_of(database, user.id) == (0, 0)


@pytest.mark.parametrize(("came", "spent"), [("pending", 0), ("succeeded", 0), ("succeeded", 30)])
async def test_a_refund_that_fails_after_the_bank_has_kept_the_money_returns_no_credits(
    database: Database, came: str, spent: int
) -> None:
    user = await a_user(database)
    purchase = await a_purchase(database, user)
    if spent:
        await spend(database, user, spent)
    asked = await refund(database, purchase)
    await provider_says(database, asked, came)
    await dispute(database, purchase, LOST)
    await provider_says(database, asked, "failed")
    async with database.read() as session:
        (row,) = await freezes.of_purchase(session, purchase.id)
    assert (row.amount_krw, row.credits, row.credits_owed) == (10_000, 100, spent)
    assert await balances(database, purchase) == (0, spent, 0)


async def test_a_charge_that_could_not_go_back_and_was_spent_does_not_stop_a_dispute_from_being_won(
    database: Database,
) -> None:
    user = await a_user(database)
    job, purchase = await a_charged_job(database, user)
    async with database.transaction() as session:
        release = Release(job_id=job.id, status=JobStatus.FAILED, failure_code="corrupt")
        await settlement.release_job(session, release, step_of(job))
    async with database.read() as session:
        (asked,) = await refunds.of_purchase(session, purchase.id)
    await provider_says(database, refunds.contract(asked), "failed")
    await spend(database, user, 6)
    await dispute(database, purchase, OPEN)
    await dispute(database, purchase, WON)
    async with database.read() as session:
        (row,) = await freezes.of_purchase(session, purchase.id)
        _, back = await refunds.of_purchase(session, purchase.id)
    assert (row.status, back.credits, back.amount_krw) == (WON, 4, 400)


async def test_a_lost_charge_of_which_a_refund_fails_is_in_the_saga(database: Database) -> None:
    user = await a_user(database)
    job, purchase = await a_charged_job(database, user)
    async with database.transaction() as session:
        release = Release(job_id=job.id, status=JobStatus.FAILED, failure_code="corrupt")
        await settlement.release_job(session, release, step_of(job))
    async with database.read() as session:
        (asked,) = await refunds.of_purchase(session, purchase.id)
    await dispute(database, purchase, LOST)
    await provider_says(database, refunds.contract(asked), "failed")
    assert await balance_of(database, user.id) == (0, 0)
    async with database.read() as session:
        steps = [step.step for step in await saga_log.list_steps(session, job.id)]
    assert steps[-4:] == ["dispute", "refund_failed", "dispute", "dispute"]


async def test_a_dispute_of_a_purchase_that_is_not_settled_yet_waits(database: Database) -> None:
    user = await a_user(database)
    purchase = await a_purchase(database, user, paid=False)
    with pytest.raises(EchoError) as error:
        await dispute(database, purchase, OPEN)
    assert error.value.code is Code.PAYMENT_STATE_CONFLICT
