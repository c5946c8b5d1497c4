"""Every way in which provider, purchases and ledger may disagree is found, named and measured; agreement is silent."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from contracts.finance import Difference, DifferenceKind, Reconciled, suggested_legs
from contracts.ledger import TransferOrigin
from contracts.payments import BalanceEntry, DisputeStatus, Payout, Provider
from db import corrections, differences, disputes, provider_statements, reconciliations, refunds
from db.engine import Database
from db.ids import new_id
from db.tables_money import Purchase
from tests.books import a_user, run_sql
from tests.purchases import a_dispute, a_purchase, by, from_dashboard, provider_says, refund

LONG_AGO = datetime(2026, 1, 2, tzinfo=UTC)


def entry(purchase: Purchase | None, kind: str = "charge", **changes: object) -> BalanceEntry:
    said = BalanceEntry(
        provider=Provider.STRIPE,
        entry_id=new_id("vid"),
        kind=kind,  # pyright: ignore[reportArgumentType]
        amount_krw=purchase.amount_krw if purchase else 10_000,
        fee_krw=0,
        created_at=LONG_AGO,
        payment_ref=(purchase.provider_ref or "") if purchase else "pi_of_somebody",
    )
    return said.model_copy(update=changes)


async def told(database: Database, *entries: BalanceEntry, payout: Payout | None = None) -> None:
    async with database.transaction() as session:
        await provider_statements.keep_entries(session, entries)
        await provider_statements.keep_payouts(session, [payout] if payout else [])


async def found(database: Database, *, later: timedelta = timedelta()) -> list[Difference]:
    now = datetime.now(UTC) + later
    async with database.read() as session:
        return await differences.find(session, now=now, fetched_at=now)


async def kinds(database: Database, **when: timedelta) -> list[str]:
    return [difference.kind.value for difference in await found(database, **when)]


async def test_agreement_is_silent(database: Database) -> None:
    user = await a_user(database)
    purchase = await a_purchase(database, user)
    asked = await refund(database, purchase, credits=40)
    done = await provider_says(database, asked)
    await told(
        database,
        entry(purchase, purchase_id=purchase.id),
        entry(purchase, "refund", amount_krw=-done.amount_krw, refund_id=asked.refund_id),
    )
    assert await found(database) == []


async def test_a_payment_of_nobody_is_named_with_its_amount(database: Database) -> None:
    await told(database, entry(None))
    (difference,) = await found(database)
    assert (difference.kind, difference.amount_krw) == (DifferenceKind.PAYMENT_UNKNOWN, 10_000)
    assert "pi_of_somebody" in difference.detail
    assert difference.since == LONG_AGO


async def test_a_payment_that_the_books_lack(database: Database) -> None:
    user = await a_user(database)
    purchase = await a_purchase(database, user, paid=False)
    await told(database, entry(purchase, purchase_id=purchase.id))
    (difference,) = await found(database)
    assert (difference.kind, difference.purchase_id) == (DifferenceKind.PAYMENT_NOT_BOOKED, purchase.id)


async def test_what_is_still_on_its_way_to_us_is_no_difference(database: Database) -> None:
    user = await a_user(database)
    purchase = await a_purchase(database, user, paid=False)
    await told(database, entry(purchase, purchase_id=purchase.id, created_at=datetime.now(UTC)))
    assert await found(database) == []
    assert await kinds(database, later=timedelta(hours=1)) == ["payment_not_booked"]


async def test_a_payment_that_the_provider_lacks(database: Database) -> None:
    user = await a_user(database)
    purchase = await a_purchase(database, user)
    (difference,) = await found(database)
    assert (difference.kind, difference.subject) == (DifferenceKind.PAYMENT_MISSING, purchase.id)
    assert (difference.amount_krw, difference.credits) == (10_000, 100)


async def test_another_amount(database: Database) -> None:
    user = await a_user(database)
    purchase = await a_purchase(database, user)
    await told(database, entry(purchase, amount_krw=9_000))
    (difference,) = await found(database)
    assert (difference.kind, difference.amount_krw) == (DifferenceKind.AMOUNT_DIFFERS, -1_000)


async def test_a_refund_that_the_books_lack_until_it_is_booked(database: Database) -> None:
    user = await a_user(database)
    purchase = await a_purchase(database, user)
    await told(
        database, entry(purchase), entry(purchase, "refund", amount_krw=-10_000, source_ref="re_dashboard")
    )
    assert await kinds(database) == ["refund_not_booked"]
    async with database.transaction() as session:
        await refunds.book_from_provider(session, purchase.id, from_dashboard(10_000), by(purchase))
    assert await found(database) == []


async def test_refunds_that_are_missing_stuck_or_failed(database: Database) -> None:
    user = await a_user(database)
    purchase = await a_purchase(database, user)
    await told(database, entry(purchase))
    asked = await refund(database, purchase, credits=10)
    assert await kinds(database) == []
    assert await kinds(database, later=timedelta(days=2)) == ["refund_stuck"]
    await provider_says(database, asked)
    assert await kinds(database) == ["refund_missing"]
    second = await refund(database, purchase, credits=10)
    await provider_says(database, second, "failed")
    assert await kinds(database) == ["refund_missing", "refund_failed"]
    async with database.transaction() as session:
        await refunds.dismiss_failed(session, purchase.id)
    assert await kinds(database) == ["refund_missing"]


async def test_a_refund_whose_money_went_another_way_than_the_books_say(database: Database) -> None:
    user = await a_user(database)
    purchase = await a_purchase(database, user)
    asked = await refund(database, purchase)
    gone = entry(purchase, "refund", amount_krw=-10_000, refund_id=asked.refund_id)
    came_back = entry(purchase, "refund_failure", amount_krw=10_000, refund_id=asked.refund_id)
    await told(database, entry(purchase), gone, came_back)
    await provider_says(database, asked)
    (difference,) = await found(database)
    assert (difference.kind, difference.amount_krw) == (DifferenceKind.AMOUNT_DIFFERS, -10_000)
    assert [leg.amount for leg in suggested_legs(difference)] == [10_000, -10_000], "it is in the cash again"
    await provider_says(database, asked, "failed")
    assert await kinds(database) == ["refund_failed"]
    await run_sql(database, "DELETE FROM provider_entries WHERE kind = 'refund_failure'")
    different = {each.kind: each.amount_krw for each in await found(database)}
    assert different == {DifferenceKind.AMOUNT_DIFFERS: 10_000, DifferenceKind.REFUND_FAILED: 10_000}


async def test_a_dispute_that_was_lost_and_won_on_appeal(database: Database) -> None:
    user = await a_user(database)
    purchase = await a_purchase(database, user)
    said = a_dispute(purchase, DisputeStatus.LOST)
    async with database.transaction() as session:
        await disputes.record(session, purchase.id, said, by(purchase))
    taken = entry(purchase, "dispute", amount_krw=-10_000, source_ref=said.provider_ref)
    await told(database, entry(purchase), taken)
    assert await found(database) == []
    await told(database, entry(purchase, "dispute_reversal", amount_krw=10_000, source_ref=said.provider_ref))
    (difference,) = await found(database)
    assert (difference.kind, difference.amount_krw) == (DifferenceKind.DISPUTE_NOT_BOOKED, -10_000)


async def test_disputes_on_either_side_alone(database: Database) -> None:
    user = await a_user(database)
    purchase = await a_purchase(database, user)
    said = a_dispute(purchase, DisputeStatus.OPEN)
    await told(
        database,
        entry(purchase),
        entry(purchase, "dispute", amount_krw=-10_000, source_ref=said.provider_ref),
    )
    assert await kinds(database) == ["dispute_not_booked"]
    async with database.transaction() as session:
        await disputes.record(session, purchase.id, said, by(purchase))
    assert await found(database) == []
    await run_sql(database, "DELETE FROM provider_entries WHERE kind = 'dispute'")
    assert await kinds(database) == ["dispute_missing"]


@pytest.mark.parametrize(
    ("kind", "paid", "told_krw", "cash"),
    [
        ("payment_unknown", False, 10_000, 10_000),
        ("payment_missing", True, 0, 0),
        ("amount_differs", True, 9_000, 9_000),
    ],
)
async def test_the_suggested_correction_settles_it(
    database: Database, kind: str, paid: bool, told_krw: int, cash: int
) -> None:
    user = await a_user(database)
    purchase = await a_purchase(database, user) if paid else None
    if told_krw:
        await told(database, entry(purchase, amount_krw=told_krw))
    if purchase is None:  # the account for the provider's cash is opened by its first payment
        other = await a_purchase(database, user)
        await told(database, entry(other))
    (difference,) = await found(database)
    assert difference.kind == kind
    async with database.transaction() as session:
        proposed = await corrections.propose(
            session,
            legs=suggested_legs(difference),
            reason="as the provider says",
            actor="finance:kim",
            kind=difference.kind,
            subject=difference.subject,
        )
    assert await kinds(database) == [kind]
    async with database.transaction() as session:
        await corrections.approve(session, proposed.id, "finance:lee")
    assert await found(database) == []
    (row,) = await run_sql(
        database,
        "SELECT sum(p.amount)::bigint AS krw FROM postings p JOIN accounts a ON a.id = p.account_id"
        " WHERE a.kind = 'cash'",
    )
    assert row.krw == cash + (0 if paid else 10_000)


async def test_a_payout_that_is_not_the_sum_of_its_entries(database: Database) -> None:
    user = await a_user(database)
    purchase = await a_purchase(database, user)
    payout = Payout(
        provider=Provider.STRIPE, payout_ref="po_1", amount_krw=9_400, status="paid", arrived_at=LONG_AGO
    )
    await told(database, entry(purchase, fee_krw=590, payout_ref="po_1"), payout=payout)
    (difference,) = await found(database)
    assert (difference.kind, difference.amount_krw) == (DifferenceKind.PAYOUT_DIFFERS, -10)


async def test_an_entry_told_again_changes_nothing_but_its_payout(database: Database) -> None:
    user = await a_user(database)
    purchase = await a_purchase(database, user)
    first = entry(purchase)
    await told(database, first)
    await told(database, first.model_copy(update={"amount_krw": 1, "payout_ref": "po_2"}))
    (row,) = await run_sql(database, "SELECT amount_krw, payout_ref FROM provider_entries")
    assert tuple(row) == (10_000, "po_2")


async def test_the_report_is_kept_as_it_was_found_and_written_once(database: Database) -> None:
    user = await a_user(database)
    await a_purchase(database, user)
    now = datetime.now(UTC)
    async with database.read() as session:
        totals = await provider_statements.totals(session, now - timedelta(days=400), now)
    report = Reconciled(
        reconciliation_id=new_id("rec"),
        period_from=now - timedelta(days=400),
        period_to=now,
        providers=totals,
        jobs_compared=3,
        differences=tuple(await found(database)),
    )
    origin = TransferOrigin(actor="system:Reconcile", step="reconcile", workflow_id="w", run_id="r")
    for expected in (True, False):
        async with database.transaction() as session:
            assert await reconciliations.record(session, report, "finance:f", origin) is expected
    async with database.read() as session:
        assert await reconciliations.get(session, report.reconciliation_id) == report
    assert [(of.provider, of.cash_krw) for of in totals] == [(Provider.STRIPE, 10_000)]
