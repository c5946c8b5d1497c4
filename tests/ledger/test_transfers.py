"""What the ledger's functions do with credits, and what they answer when asked twice or asked for nonsense."""

from __future__ import annotations

import pytest

from contracts.errors import Code, EchoError
from contracts.ledger import Balance, Bucket, HoldState, TransferKind
from db import holds, ledger
from db.engine import Database
from tests.books import ORIGIN, a_user, balance_of, new_transfer_id, run_sql


async def test_a_hold_spends_promotional_credits_first(database: Database) -> None:
    user = await a_user(database, promo=7, paid=10)
    async with database.transaction() as session:
        await holds.hold(session, new_transfer_id(), user.id, 9, ORIGIN)
        assert await ledger.balance(session, user.id) == Balance(
            available=8, held=9, available_promo=0, available_paid=8, held_promo=7, held_paid=2
        )


async def test_a_partial_capture_takes_promotional_credits_first_and_returns_the_rest(
    database: Database,
) -> None:
    user = await a_user(database, promo=7, paid=10)
    hold_id = new_transfer_id()
    async with database.transaction() as session:
        await holds.hold(session, hold_id, user.id, 12, ORIGIN)
        state = await holds.capture(session, new_transfer_id(), hold_id, 8, ORIGIN)
        balance = await ledger.balance(session, user.id)
    assert state == HoldState(hold_id=hold_id, amount=12, resolved_by=TransferKind.CAPTURE)
    assert balance == Balance(
        available=9, held=0, available_promo=0, available_paid=9, held_promo=0, held_paid=0
    )
    revenue = await run_sql(
        database,
        """SELECT a.bucket, sum(p.amount) FROM postings p JOIN accounts a ON a.id = p.account_id
            WHERE a.kind = 'revenue' GROUP BY 1 ORDER BY 1""",
    )
    assert [tuple(row) for row in revenue] == [("paid", 1), ("promo", 7)]


@pytest.mark.parametrize(("expired", "kind"), [(False, TransferKind.RELEASE), (True, TransferKind.EXPIRE)])
async def test_a_release_returns_each_credit_to_its_bucket(
    database: Database, expired: bool, kind: TransferKind
) -> None:
    user = await a_user(database, promo=3, paid=3)
    hold_id = new_transfer_id()
    async with database.transaction() as session:
        before = await ledger.balance(session, user.id)
        await holds.hold(session, hold_id, user.id, 5, ORIGIN)
        state = await holds.release(session, new_transfer_id(), hold_id, ORIGIN, expired=expired)
        assert await ledger.balance(session, user.id) == before
    assert state.resolved_by is kind


async def test_a_hold_beyond_the_balance_names_what_is_missing_and_moves_nothing(database: Database) -> None:
    user = await a_user(database, promo=3, paid=3)
    with pytest.raises(EchoError) as short:
        async with database.transaction() as session:
            await holds.hold(session, new_transfer_id(), user.id, 7, ORIGIN)
    assert short.value.code is Code.CREDITS_SHORT
    assert short.value.fields == {"required": 7, "available": 6}
    assert await balance_of(database, user.id) == (6, 0)


async def test_the_same_transfer_again_gives_the_first_result_and_moves_nothing(database: Database) -> None:
    user = await a_user(database)
    granted, held, captured = new_transfer_id(), new_transfer_id(), new_transfer_id()
    answers: list[tuple[HoldState, HoldState]] = []
    for _ in range(2):
        async with database.transaction() as session:
            await ledger.grant(session, granted, user.id, 10, Bucket.PAID, ORIGIN)
        async with database.transaction() as session:
            # The whole balance: the repeat finds nothing available, and must not call that a shortage.
            first = await holds.hold(session, held, user.id, 10, ORIGIN)
        async with database.transaction() as session:
            answers.append((first, await holds.capture(session, captured, held, 4, ORIGIN)))
    assert answers[0][1] == answers[1][1]
    assert answers[0][0].resolved_by is None
    assert answers[1][0].resolved_by is TransferKind.CAPTURE
    assert await balance_of(database, user.id) == (6, 0)


async def test_a_transfer_id_with_other_content_is_refused(database: Database) -> None:
    user, other = await a_user(database, paid=50), await a_user(database, paid=50)
    used = new_transfer_id()
    async with database.transaction() as session:
        await holds.hold(session, used, user.id, 10, ORIGIN)
    job_origin = ORIGIN.model_copy(update={"job_id": "job_other"})
    attempts = [
        lambda s: holds.hold(s, used, user.id, 11, ORIGIN),
        lambda s: holds.hold(s, used, other.id, 10, ORIGIN),
        lambda s: holds.hold(s, used, user.id, 10_000, ORIGIN),
        lambda s: ledger.grant(s, used, user.id, 10, Bucket.PAID, ORIGIN),
        lambda s: holds.capture(s, used, used, 10, ORIGIN),
        lambda s: holds.release(s, used, used, ORIGIN),
        lambda s: holds.hold(s, used, user.id, 10, job_origin),
    ]
    for attempt in attempts:
        with pytest.raises(EchoError) as refused:
            async with database.transaction() as session:
                await attempt(session)
        assert refused.value.code is Code.TRANSFER_CONFLICT
    assert await balance_of(database, user.id) == (40, 10)


async def test_a_grant_repeated_into_the_other_bucket_is_refused(database: Database) -> None:
    user, granted = await a_user(database), new_transfer_id()
    async with database.transaction() as session:
        await ledger.grant(session, granted, user.id, 10, Bucket.PAID, ORIGIN)
    with pytest.raises(EchoError) as refused:
        async with database.transaction() as session:
            await ledger.grant(session, granted, user.id, 10, Bucket.PROMO, ORIGIN)
    assert refused.value.code is Code.TRANSFER_CONFLICT


async def test_a_hold_is_resolved_once(database: Database) -> None:
    user, hold_id = await a_user(database, paid=10), new_transfer_id()
    async with database.transaction() as session:
        await holds.hold(session, hold_id, user.id, 10, ORIGIN)
        await holds.release(session, new_transfer_id(), hold_id, ORIGIN)
    for attempt in (
        lambda s: holds.capture(s, new_transfer_id(), hold_id, None, ORIGIN),
        lambda s: holds.release(s, new_transfer_id(), hold_id, ORIGIN),
    ):
        with pytest.raises(EchoError) as refused:
            async with database.transaction() as session:
                await attempt(session)
        assert refused.value.code is Code.HOLD_RESOLVED


async def test_nothing_can_be_captured_beyond_the_hold_nor_from_an_unknown_one(database: Database) -> None:
    user, hold_id = await a_user(database, paid=20), new_transfer_id()
    async with database.transaction() as session:
        await holds.hold(session, hold_id, user.id, 10, ORIGIN)
    for hold, amount, code in (
        (hold_id, 11, Code.TRANSFER_CONFLICT),
        (hold_id, 0, Code.VALIDATION_FAILED),
        (hold_id, -1, Code.VALIDATION_FAILED),
        (new_transfer_id(), 1, Code.NOT_FOUND),
    ):
        with pytest.raises(EchoError) as refused:
            async with database.transaction() as session:
                await holds.capture(session, new_transfer_id(), hold, amount, ORIGIN)
        assert refused.value.code is code
    assert await balance_of(database, user.id) == (10, 10)


async def test_a_user_without_any_transfer_has_nothing(database: Database) -> None:
    user = await a_user(database)
    assert await balance_of(database, user.id) == (0, 0)
