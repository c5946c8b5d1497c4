"""Payments that are neither agreed upon nor different are counted, and the oldest are named."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from contracts.finance import UnderWay
from contracts.payments import BalanceEntry, Provider
from db import differences, provider_statements, under_way
from db.engine import Database
from db.ids import new_id
from tests.books import a_user
from tests.purchases import a_purchase


async def coming(database: Database, *, fetched_ago: timedelta = timedelta()) -> UnderWay:
    now = datetime.now(UTC)
    async with database.read() as session:
        return await under_way.find(session, now=now, fetched_at=now - fetched_ago)


async def charged(database: Database, purchase_id: str | None, *, krw: int, ago: timedelta) -> BalanceEntry:
    said = BalanceEntry(
        provider=Provider.STRIPE,
        entry_id=new_id("vid"),
        kind="charge",
        amount_krw=krw,
        fee_krw=0,
        created_at=datetime.now(UTC) - ago,
        payment_ref=f"pi_{purchase_id}",
        purchase_id=purchase_id,  # pyright: ignore[reportArgumentType]
    )
    async with database.transaction() as session:
        await provider_statements.keep_entries(session, [said])
    return said


async def test_each_stage_is_counted_and_named_oldest_first(database: Database) -> None:
    user = await a_user(database)
    unpaid = await a_purchase(database, user, paid=False)
    booked_next = await a_purchase(database, user, credits=500, paid=False)
    await charged(database, booked_next.id, krw=40_000, ago=timedelta(minutes=5))
    nobodys = await charged(database, None, krw=7_000, ago=timedelta(minutes=4))
    just_paid = await a_purchase(database, user, credits=1000)

    found = await coming(database, fetched_ago=timedelta(minutes=1))

    assert [(of.stage, of.payments, of.amount_krw) for of in found.stages] == [
        ("not_booked", 2, 47_000),
        ("not_in_statement", 1, 70_000),
        ("not_paid", 1, 10_000),
    ]
    assert (found.payments, found.amount_krw) == (4, 127_000)
    assert [payment.subject for payment in found.oldest] == [
        booked_next.id,
        nobodys.entry_id,
        unpaid.id,
        just_paid.id,
    ]


async def test_what_agrees_and_what_differs_is_not_under_way(database: Database) -> None:
    user = await a_user(database)
    agreed = await a_purchase(database, user)
    await charged(database, agreed.id, krw=10_000, ago=timedelta())
    late = await a_purchase(database, user, paid=False)
    await charged(database, late.id, krw=10_000, ago=timedelta(hours=1))

    found = await coming(database)

    assert (found.stages, found.oldest) == ((), ())
    now = datetime.now(UTC)
    async with database.read() as session:
        (difference,) = await differences.find(session, now=now, fetched_at=now)
    assert difference.purchase_id == late.id


async def test_only_the_twenty_oldest_are_named_and_all_are_counted(database: Database) -> None:
    user = await a_user(database)
    bought = [await a_purchase(database, user, paid=False) for _ in range(21)]
    found = await coming(database)
    assert found.payments == 21
    assert [payment.subject for payment in found.oldest] == [purchase.id for purchase in bought[:20]]
