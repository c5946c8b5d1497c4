"""Money steps that meet, or die before their commit: one of them counts, the others change nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.errors import Code, EchoError
from contracts.ids import TransferId, UserId
from contracts.ledger import TransferOrigin
from contracts.payments import Provider
from db import holds, ledger
from db.engine import Database
from tests.books import ORIGIN, a_user, balance_of, new_transfer_id, run_sql
from tests.ledger.test_money import a_buyer, accounts_of, commit, of_purchase

STRIPE = Provider.STRIPE
AT_ONCE = 8

Step = Callable[[AsyncSession, TransferId, UserId, TransferOrigin], Awaitable[None]]

STEPS: dict[str, Step] = {
    "purchase": lambda s, t, u, o: ledger.purchase(s, t, u, 10, 1_000, STRIPE, o),
    "reserve_refund": lambda s, t, u, o: ledger.reserve_refund(s, t, u, 20, o),
    "settle_refund": lambda s, t, u, o: ledger.settle_refund(s, t, u, 20, 2_500, STRIPE, o, owed=5),
    "return_refund": lambda s, t, u, o: ledger.return_refund(s, t, u, 20, o),
    "undo_refund": lambda s, t, u, o: ledger.undo_refund(s, t, u, 20, 2_000, STRIPE, o),
    "open_dispute": lambda s, t, u, o: ledger.open_dispute(s, t, u, 30, 3_000, STRIPE, o),
    "win_dispute": lambda s, t, u, o: ledger.win_dispute(s, t, u, 10, 1_000, STRIPE, o),
    "lose_dispute": lambda s, t, u, o: ledger.lose_dispute(s, t, u, 10, 0, 1_000, STRIPE, o),
}


async def a_busy_buyer(database: Database) -> tuple[UserId, TransferOrigin]:
    """100 credits paid: 20 of them on their way back, 10 frozen."""
    user_id, origin = await a_buyer(database)
    await commit(database, lambda s: ledger.reserve_refund(s, new_transfer_id(), user_id, 20, origin))
    await commit(
        database, lambda s: ledger.open_dispute(s, new_transfer_id(), user_id, 10, 1_000, STRIPE, origin)
    )
    return user_id, origin


@pytest.mark.parametrize("name", STEPS)
async def test_a_step_that_dies_before_its_commit_did_nothing_and_can_be_repeated(
    ledger_alone: Database, name: str
) -> None:
    user_id, origin = await a_busy_buyer(ledger_alone)
    origin = of_purchase() if name == "purchase" else origin
    before, transfer_id = await accounts_of(ledger_alone, user_id), new_transfer_id()
    async with ledger_alone.transaction() as session:
        await STEPS[name](session, transfer_id, user_id, origin)
        await session.rollback()
    assert await accounts_of(ledger_alone, user_id) == before
    await commit(ledger_alone, lambda s: STEPS[name](s, transfer_id, user_id, origin))
    assert await accounts_of(ledger_alone, user_id) != before


@pytest.mark.parametrize("name", STEPS)
async def test_a_step_repeated_at_once_counts_once(ledger_alone: Database, name: str) -> None:
    user_id, origin = await a_busy_buyer(ledger_alone)
    origin = of_purchase() if name == "purchase" else origin
    transfer_id = new_transfer_id()

    async def step() -> None:
        await commit(ledger_alone, lambda s: STEPS[name](s, transfer_id, user_id, origin))

    await asyncio.gather(*[step() for _ in range(AT_ONCE)])
    once = await accounts_of(ledger_alone, user_id)
    await step()
    assert await accounts_of(ledger_alone, user_id) == once
    assert await _count(ledger_alone, transfer_id) == 1


async def test_what_was_put_aside_is_paid_back_or_returned_once(ledger_alone: Database) -> None:
    user_id, origin = await a_buyer(ledger_alone)
    await commit(ledger_alone, lambda s: ledger.reserve_refund(s, new_transfer_id(), user_id, 40, origin))

    async def finish(index: int) -> Code | None:
        if index % 2:
            return await _refused(
                ledger_alone, lambda s: ledger.return_refund(s, new_transfer_id(), user_id, 40, origin)
            )
        return await _refused(
            ledger_alone,
            lambda s: ledger.settle_refund(s, new_transfer_id(), user_id, 40, 4_000, STRIPE, origin),
        )

    codes = await asyncio.gather(*[finish(index) for index in range(AT_ONCE)])
    assert (codes.count(None), codes.count(Code.TRANSFER_CONFLICT)) == (1, AT_ONCE - 1)
    assert await balance_of(ledger_alone, user_id) in [(60, 0), (100, 0)]


async def test_credits_are_held_refunded_or_frozen_but_never_twice(ledger_alone: Database) -> None:
    user_id, origin = await a_buyer(ledger_alone, 100, 10_000)
    steps: list[Callable[[AsyncSession], Awaitable[Any]]] = [
        lambda s: holds.hold(s, new_transfer_id(), user_id, 40, ORIGIN),
        lambda s: ledger.reserve_refund(s, new_transfer_id(), user_id, 40, origin),
        lambda s: ledger.open_dispute(s, new_transfer_id(), user_id, 40, 4_000, STRIPE, origin),
    ] * 3
    codes = await asyncio.gather(*[_refused(ledger_alone, step) for step in steps])
    assert (codes.count(None), codes.count(Code.CREDITS_SHORT)) == (2, 7)


async def test_first_purchases_at_once_open_the_providers_accounts_once(ledger_alone: Database) -> None:
    people = [await a_user(ledger_alone) for _ in range(AT_ONCE)]
    await asyncio.gather(*[
        commit(
            ledger_alone,
            lambda s, who=who: ledger.purchase(
                s, new_transfer_id(), who.id, 10, 1_000, Provider.PORTONE, of_purchase()
            ),
        )
        for who in people
    ])  # fmt: skip
    rows = await run_sql(
        ledger_alone, "SELECT count(*) FROM accounts WHERE kind = 'cash' AND provider = 'portone'"
    )
    assert rows[0][0] == 1


async def _refused(database: Database, step: Callable[[AsyncSession], Awaitable[Any]]) -> Code | None:
    try:
        await commit(database, step)
    except EchoError as error:
        return error.code
    return None


async def _count(database: Database, transfer_id: TransferId) -> int:
    rows = await run_sql(database, "SELECT count(*) FROM transfers WHERE id = :id", id=transfer_id)
    return rows[0][0]
