"""What purchases, refunds, disputes, expiry and corrections do with credits and won, asked once, twice, or nonsense.

In a database that has nothing but users, jobs and the ledger: the rows of purchases and refunds, which must agree with
the transfers at commit, are tests/db's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.errors import Code, EchoError
from contracts.finance import CorrectionLeg
from contracts.ids import UserId
from contracts.ledger import AccountKind, Balance, Bucket, TransferKind, TransferOrigin
from contracts.payments import Provider
from db import corrections, holds, ledger, statements
from db.engine import Database
from db.pages import Page
from tests.books import ORIGIN, a_user, assert_books_coherent, balance_of, new_transfer_id, run_sql

STRIPE, PORTONE = Provider.STRIPE, Provider.PORTONE


@pytest.fixture
def database(ledger_alone: Database) -> Database:
    return ledger_alone


def of_purchase() -> TransferOrigin:
    return ORIGIN.model_copy(update={"purchase_id": f"pur_{uuid4().hex}"})


async def a_buyer(database: Database, credits: int = 100, krw: int = 10_000) -> tuple[UserId, TransferOrigin]:
    """Somebody with one paid purchase, and the origin that names it."""
    user, origin = await a_user(database), of_purchase()
    await commit(
        database, lambda s: ledger.purchase(s, new_transfer_id(), user.id, credits, krw, STRIPE, origin)
    )
    return user.id, origin


async def commit(database: Database, step: Callable[[AsyncSession], Awaitable[Any]]) -> None:
    async with database.transaction() as session:
        await step(session)


async def refusal(database: Database, step: Callable[[AsyncSession], Awaitable[Any]]) -> EchoError:
    with pytest.raises(EchoError) as refused:
        await commit(database, step)
    return refused.value


async def accounts_of(database: Database, user_id: UserId) -> dict[str, int]:
    """The sums of this user's postings and of the system's: `kind`, `kind.krw`, `kind.krw/provider`. Zeros left out."""
    rows = await run_sql(
        database,
        """SELECT a.kind || CASE a.unit WHEN 'krw' THEN '.krw' ELSE '' END
                  || coalesce('/' || a.provider, '') AS account,
                  sum(p.amount)::bigint AS amount
             FROM postings p JOIN accounts a ON a.id = p.account_id JOIN transfers t ON t.id = p.transfer_id
            WHERE t.user_id = :user GROUP BY 1 HAVING sum(p.amount) <> 0""",
        user=user_id,
    )
    return {row.account: row.amount for row in rows}


async def test_a_purchase_brings_paid_credits_and_its_providers_money(database: Database) -> None:
    user_id, _ = await a_buyer(database, 100, 10_000)
    assert await accounts_of(database, user_id) == {
        "available": 100,
        "issued": -100,
        "cash.krw/stripe": 10_000,
        "issued.krw": -10_000,
    }
    async with database.read() as session:
        assert (await ledger.balance(session, user_id)).available_paid == 100


async def test_a_purchase_is_paid_for_once_whatever_the_transfers_are_called(database: Database) -> None:
    user_id, origin = await a_buyer(database)
    again = await refusal(
        database, lambda s: ledger.purchase(s, new_transfer_id(), user_id, 100, 10_000, STRIPE, origin)
    )
    assert again.code is Code.TRANSFER_CONFLICT
    assert await balance_of(database, user_id) == (100, 0)


async def test_a_refund_passes_through_transit_and_takes_the_money_with_it(database: Database) -> None:
    user_id, origin = await a_buyer(database, 100, 10_000)
    await commit(database, lambda s: ledger.reserve_refund(s, new_transfer_id(), user_id, 40, origin))
    assert await balance_of(database, user_id) == (60, 0)
    assert (await accounts_of(database, user_id))["refunds"] == 40
    await commit(
        database, lambda s: ledger.settle_refund(s, new_transfer_id(), user_id, 40, 4_000, STRIPE, origin)
    )
    assert await accounts_of(database, user_id) == {
        "available": 60,
        "issued": -60,
        "cash.krw/stripe": 6_000,
        "issued.krw": -6_000,
    }


async def test_a_refund_that_the_provider_cannot_pay_gives_the_credits_back(database: Database) -> None:
    user_id, origin = await a_buyer(database)
    before = await accounts_of(database, user_id)
    await commit(database, lambda s: ledger.reserve_refund(s, new_transfer_id(), user_id, 40, origin))
    await commit(database, lambda s: ledger.return_refund(s, new_transfer_id(), user_id, 40, origin))
    assert await accounts_of(database, user_id) == before


async def test_spent_credits_cannot_be_put_on_their_way_back(database: Database) -> None:
    user_id, origin = await a_buyer(database, 100)
    await commit(database, lambda s: holds.hold(s, new_transfer_id(), user_id, 70, ORIGIN))
    await commit(database, lambda s: ledger.grant(s, new_transfer_id(), user_id, 500, Bucket.PROMO, ORIGIN))
    short = await refusal(
        database, lambda s: ledger.reserve_refund(s, new_transfer_id(), user_id, 31, origin)
    )
    assert (short.code, short.fields) == (Code.CREDITS_SHORT, {"required": 31, "available": 30})
    await commit(database, lambda s: ledger.reserve_refund(s, new_transfer_id(), user_id, 30, origin))


async def test_a_refund_made_at_the_provider_after_the_credits_were_spent_is_a_debt(
    database: Database,
) -> None:
    user_id, origin = await a_buyer(database, 100, 10_000)
    await commit(database, lambda s: holds.hold(s, new_transfer_id(), user_id, 70, ORIGIN))
    await commit(database, lambda s: ledger.reserve_refund(s, new_transfer_id(), user_id, 30, origin))
    await commit(
        database,
        lambda s: ledger.settle_refund(s, new_transfer_id(), user_id, 30, 10_000, STRIPE, origin, owed=70),
    )
    assert await accounts_of(database, user_id) == {"held": 70, "issued": -70, "debt": 70, "losses": -70}
    async with database.read() as session:
        assert (await ledger.balance(session, user_id)).debt == 70


async def test_a_refund_made_at_the_provider_of_which_nothing_is_left_is_all_debt(database: Database) -> None:
    user_id, origin = await a_buyer(database, 100, 10_000)
    await commit(database, lambda s: holds.hold(s, new_transfer_id(), user_id, 100, ORIGIN))
    await commit(
        database,
        lambda s: ledger.settle_refund(s, new_transfer_id(), user_id, 0, 500, STRIPE, origin, owed=5),
    )
    assert (await accounts_of(database, user_id))["debt"] == 5


async def test_nothing_comes_out_of_transit_that_was_not_put_there(database: Database) -> None:
    user_id, origin = await a_buyer(database)
    await commit(database, lambda s: ledger.reserve_refund(s, new_transfer_id(), user_id, 40, origin))
    for step in (
        lambda s: ledger.return_refund(s, new_transfer_id(), user_id, 41, origin),
        lambda s: ledger.settle_refund(s, new_transfer_id(), user_id, 41, 4_100, STRIPE, origin),
        lambda s: ledger.win_dispute(s, new_transfer_id(), user_id, 1, 100, STRIPE, origin),
    ):
        assert (await refusal(database, step)).code is Code.TRANSFER_CONFLICT
    assert await balance_of(database, user_id) == (60, 0)


async def test_a_dispute_freezes_credits_and_money_and_a_won_one_gives_both_back(database: Database) -> None:
    user_id, origin = await a_buyer(database, 100, 10_000)
    before = await accounts_of(database, user_id)
    await commit(
        database,
        lambda s: ledger.open_dispute(s, new_transfer_id(), user_id, 100, 10_000, STRIPE, origin),
    )
    assert await accounts_of(database, user_id) == {
        "disputes": 100,
        "issued": -100,
        "disputes.krw/stripe": 10_000,
        "issued.krw": -10_000,
    }
    await commit(
        database, lambda s: ledger.win_dispute(s, new_transfer_id(), user_id, 100, 10_000, STRIPE, origin)
    )
    assert await accounts_of(database, user_id) == before


async def test_a_lost_dispute_takes_what_is_left_and_the_rest_is_a_debt(database: Database) -> None:
    user_id, origin = await a_buyer(database, 100, 10_000)
    await commit(database, lambda s: holds.hold(s, new_transfer_id(), user_id, 70, ORIGIN))
    await commit(
        database,
        lambda s: ledger.open_dispute(s, new_transfer_id(), user_id, 30, 10_000, STRIPE, origin),
    )
    await commit(
        database,
        lambda s: ledger.lose_dispute(s, new_transfer_id(), user_id, 30, 70, 10_000, STRIPE, origin),
    )
    assert await accounts_of(database, user_id) == {"held": 70, "issued": -70, "debt": 70, "losses": -70}


async def test_a_refund_that_comes_back_undoes_all_of_it(database: Database) -> None:
    user_id, origin = await a_buyer(database, 100, 10_000)
    await commit(database, lambda s: holds.hold(s, new_transfer_id(), user_id, 90, ORIGIN))
    before = await accounts_of(database, user_id)
    for credits, owed in ((10, 0), (10, 5), (0, 5), (0, 0)):
        if credits:
            await commit(
                database, lambda s, c=credits: ledger.reserve_refund(s, new_transfer_id(), user_id, c, origin)
            )
        for step in (ledger.settle_refund, ledger.undo_refund):
            await commit(
                database,
                lambda s, c=credits, o=owed, step=step: step(
                    s, new_transfer_id(), user_id, c, 1_500, STRIPE, origin, owed=o
                ),
            )
        assert await accounts_of(database, user_id) == before


async def test_credits_that_come_free_later_are_frozen_without_won(database: Database) -> None:
    user_id, origin = await a_buyer(database, 100, 10_000)
    for freeze, krw in ((30, 10_000), (70, 0)):
        await commit(
            database,
            lambda s, f=freeze, w=krw: ledger.open_dispute(
                s, new_transfer_id(), user_id, f, w, STRIPE, origin
            ),
        )
    await commit(
        database,
        lambda s: ledger.lose_dispute(s, new_transfer_id(), user_id, 100, 0, 10_000, STRIPE, origin),
    )
    assert await accounts_of(database, user_id) == {}


async def test_a_charged_hold_takes_paid_credits_whatever_promotional_ones_there_are(
    database: Database,
) -> None:
    user = await a_user(database, promo=50, paid=30)
    short = await refusal(
        database, lambda s: holds.hold(s, new_transfer_id(), user.id, 40, ORIGIN, from_paid=31)
    )
    assert (short.code, short.fields) == (Code.CREDITS_SHORT, {"required": 31, "available": 30})
    await commit(database, lambda s: holds.hold(s, new_transfer_id(), user.id, 30, ORIGIN, from_paid=20))
    async with database.read() as session:
        balance = await ledger.balance(session, user.id)
    assert (balance.held_promo, balance.held_paid) == (10, 20)


@pytest.mark.parametrize("won", [True, False])
async def test_a_dispute_over_spent_credits_moves_money_only(database: Database, won: bool) -> None:
    user_id, origin = await a_buyer(database, 100, 10_000)
    await commit(database, lambda s: holds.hold(s, new_transfer_id(), user_id, 100, ORIGIN))
    before = await accounts_of(database, user_id)
    await commit(
        database, lambda s: ledger.open_dispute(s, new_transfer_id(), user_id, 0, 10_000, STRIPE, origin)
    )
    if won:
        await commit(
            database, lambda s: ledger.win_dispute(s, new_transfer_id(), user_id, 0, 10_000, STRIPE, origin)
        )
        assert await accounts_of(database, user_id) == before
    else:
        await commit(
            database,
            lambda s: ledger.lose_dispute(s, new_transfer_id(), user_id, 0, 100, 10_000, STRIPE, origin),
        )
        assert await accounts_of(database, user_id) == {
            "held": 100,
            "issued": -100,
            "debt": 100,
            "losses": -100,
        }


async def test_frozen_credits_cannot_be_spent_nor_more_frozen_than_there_are(database: Database) -> None:
    user_id, origin = await a_buyer(database, 100)
    for step in (
        lambda s: ledger.open_dispute(s, new_transfer_id(), user_id, 101, 10_000, STRIPE, origin),
        lambda s: _dispute_then_hold(s, user_id, origin),
    ):
        assert (await refusal(database, step)).code is Code.CREDITS_SHORT


async def _dispute_then_hold(session: AsyncSession, user_id: UserId, origin: TransferOrigin) -> None:
    await ledger.open_dispute(session, new_transfer_id(), user_id, 60, 6_000, STRIPE, origin)
    await holds.hold(session, new_transfer_id(), user_id, 41, ORIGIN)


async def test_promotional_credits_expire_and_paid_ones_do_not(database: Database) -> None:
    user = await a_user(database, promo=10, paid=10)
    await commit(database, lambda s: ledger.expire_promo(s, new_transfer_id(), user.id, 4, ORIGIN))
    short = await refusal(database, lambda s: ledger.expire_promo(s, new_transfer_id(), user.id, 7, ORIGIN))
    assert (short.code, short.fields) == (Code.CREDITS_SHORT, {"required": 7, "available": 6})
    async with database.read() as session:
        balance = await ledger.balance(session, user.id)
    assert balance == Balance(
        available=16, held=0, available_promo=6, available_paid=10, held_promo=0, held_paid=0
    )


async def test_a_promotional_grant_says_when_it_ends(database: Database) -> None:
    user, ends, granted = await a_user(database), datetime.now(UTC) + timedelta(days=30), new_transfer_id()
    for _ in range(2):
        await commit(
            database,
            lambda s: ledger.grant(s, granted, user.id, 5, Bucket.PROMO, ORIGIN, expires_at=ends),
        )
    rows = await run_sql(database, "SELECT expires_at FROM transfers WHERE id = :id", id=granted)
    assert rows[0][0] == ends
    other = await refusal(database, lambda s: ledger.grant(s, granted, user.id, 5, Bucket.PROMO, ORIGIN))
    assert other.code is Code.TRANSFER_CONFLICT


async def test_every_transfer_asked_for_twice_is_booked_once_and_with_other_content_refused(
    database: Database,
) -> None:
    """The whole life of a purchase, each step repeated at once, then again at the end when the balances are others."""
    user_id, origin = await a_buyer(database, 100, 10_000)
    other = (await a_user(database, paid=100)).id
    t = [new_transfer_id() for _ in range(8)]
    paid_again = of_purchase()
    steps: list[Callable[[AsyncSession, int, UserId], Awaitable[None]]] = [
        lambda s, n, u: ledger.purchase(s, t[0], u, 50 + n, 5_000, PORTONE, paid_again),
        lambda s, n, u: ledger.reserve_refund(s, t[1], u, 90 + n, origin),
        lambda s, n, u: ledger.settle_refund(s, t[2], u, 60 - n, 6_000, STRIPE, origin),
        lambda s, n, u: ledger.return_refund(s, t[3], u, 30 - n, origin),
        lambda s, n, u: ledger.open_dispute(s, t[4], u, 30 - n, 4_000, STRIPE, origin),
        lambda s, n, u: ledger.lose_dispute(s, t[5], u, 30, 10 + n, 4_000, STRIPE, origin),
        lambda s, n, u: ledger.open_dispute(s, t[6], u, 50 - n, 5_000, PORTONE, paid_again),
        lambda s, n, u: ledger.win_dispute(s, t[7], u, 50 - n, 5_000, PORTONE, paid_again),
    ]
    for step in steps:
        for _ in range(2):
            await commit(database, lambda s, step=step: step(s, 0, user_id))
    whole = await accounts_of(database, user_id)
    for step in steps:
        await commit(database, lambda s, step=step: step(s, 0, user_id))
        for changed in (
            lambda s, step=step: step(s, 1, user_id),
            lambda s, step=step: step(s, 0, other),
        ):
            assert (await refusal(database, changed)).code in (Code.TRANSFER_CONFLICT, Code.CREDITS_SHORT)
    taken = await refusal(database, lambda s: ledger.return_refund(s, t[1], user_id, 90, origin))
    assert taken.code is Code.TRANSFER_CONFLICT, "a reserve's id is no return's"
    assert await accounts_of(database, user_id) == whole


async def test_amounts_below_one_are_refused(database: Database) -> None:
    user_id, origin = await a_buyer(database)
    for amount in (0, -5):
        for step in (
            lambda s, a=amount: ledger.purchase(s, new_transfer_id(), user_id, a, 100, STRIPE, of_purchase()),
            lambda s, a=amount: ledger.purchase(s, new_transfer_id(), user_id, 10, a, STRIPE, of_purchase()),
            lambda s, a=amount: ledger.reserve_refund(s, new_transfer_id(), user_id, a, origin),
            lambda s, a=amount: ledger.settle_refund(s, new_transfer_id(), user_id, 1, a, STRIPE, origin),
            lambda s, a=amount: ledger.open_dispute(s, new_transfer_id(), user_id, 0, a, STRIPE, origin),
            lambda s, a=amount: ledger.expire_promo(s, new_transfer_id(), user_id, a, origin),
        ):
            assert (await refusal(database, step)).code is Code.VALIDATION_FAILED
    assert await balance_of(database, user_id) == (100, 0)


async def test_the_history_shows_each_change_and_adds_up(database: Database) -> None:
    user_id, origin = await a_buyer(database, 100, 10_000)
    await commit(database, lambda s: ledger.reserve_refund(s, new_transfer_id(), user_id, 20, origin))
    await commit(
        database, lambda s: ledger.settle_refund(s, new_transfer_id(), user_id, 20, 2_000, STRIPE, origin)
    )
    await commit(
        database, lambda s: ledger.open_dispute(s, new_transfer_id(), user_id, 80, 8_000, STRIPE, origin)
    )
    await commit(
        database, lambda s: ledger.win_dispute(s, new_transfer_id(), user_id, 80, 8_000, STRIPE, origin)
    )
    async with database.read() as session:
        entries = (await statements.history(session, user_id, Page())).items
    assert [(entry.kind, entry.amount, entry.available_change) for entry in entries] == [
        (TransferKind.DISPUTE, 80, 80),
        (TransferKind.DISPUTE, 80, -80),
        (TransferKind.REFUND, 20, 0),
        (TransferKind.REFUND, 20, -20),
        (TransferKind.PURCHASE, 100, 100),
    ]


def leg(account: AccountKind, amount: int, bucket: Bucket | None = None, **whose: Any) -> CorrectionLeg:
    return CorrectionLeg(account=account, amount=amount, bucket=bucket, **whose)


async def test_an_approved_correction_moves_what_it_says(database_url: str) -> None:
    database = Database(database_url)
    user_id = (await a_user(database, paid=100)).id
    legs = [
        leg(AccountKind.AVAILABLE, -30, Bucket.PAID, user_id=user_id),
        leg(AccountKind.ISSUED, 30, Bucket.PAID),
        leg(AccountKind.CASH, -3_000, provider=PORTONE),
        leg(AccountKind.LOSSES, 3_000),
    ]
    async with database.transaction() as session:
        proposed = await corrections.propose(session, legs=legs, reason="paid twice", actor="finance:a")
        await corrections.approve(session, proposed.id, "finance:b")
    assert await balance_of(database, user_id) == (70, 0)
    accounts = await accounts_of(database, user_id)
    assert (accounts["cash.krw/portone"], accounts["losses.krw"]) == (-3_000, 3_000)
    async with database.read() as session:
        entries = (await statements.history(session, user_id, Page())).items
    assert (entries[0].kind, entries[0].available_change) == (TransferKind.CORRECTION, -30)
    await assert_books_coherent(database)
    await database.aclose()


async def test_corrections_that_the_books_cannot_hold_are_refused_in_words(database: Database) -> None:
    user_id, _ = await a_buyer(database, 100)
    other = (await a_user(database, paid=10)).id
    mine, issued = (lambda n: leg(AccountKind.AVAILABLE, n, Bucket.PAID, user_id=user_id)), AccountKind.ISSUED
    refused: dict[Code, list[list[CorrectionLeg]]] = {
        Code.CREDITS_SHORT: [[mine(-101), leg(issued, 101, Bucket.PAID)]],
        Code.VALIDATION_FAILED: [
            [mine(-10), leg(issued, 9, Bucket.PAID)],
            [leg(AccountKind.HELD, 10, Bucket.PAID, user_id=user_id), leg(issued, -10, Bucket.PAID)],
            [mine(-10), leg(AccountKind.AVAILABLE, 10, Bucket.PAID, user_id=other)],
            [mine(-10), mine(10)],
            [leg(AccountKind.AVAILABLE, 10, Bucket.PAID), leg(issued, -10, Bucket.PAID)],
            [leg(AccountKind.BREAKAGE, 10, Bucket.PAID), leg(issued, -10, Bucket.PAID)],
            [leg(AccountKind.CASH, 10), leg(AccountKind.LOSSES, -10)],
            [mine(0), leg(issued, 0, Bucket.PAID)],
            [],
        ],
    }
    origin = ORIGIN.model_copy(update={"reason": "because"})
    for code, attempts in refused.items():
        for legs in attempts:
            error = await refusal(
                database, lambda s, legs=legs: ledger.correct(s, new_transfer_id(), legs, origin)
            )
            assert error.code is code, legs
    assert await balance_of(database, user_id) == (100, 0)
