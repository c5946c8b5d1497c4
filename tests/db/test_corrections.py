"""Nobody corrects the books alone, neither by the API's functions nor with a SQL prompt."""

from __future__ import annotations

import asyncio
import itertools
from uuid import uuid4

import pytest
from sqlalchemy.exc import IntegrityError

from contracts.errors import Code, EchoError
from contracts.finance import Correction, CorrectionLeg, CorrectionStatus
from contracts.ids import TransferId
from contracts.ledger import AccountKind, Bucket, TransferOrigin
from contracts.payments import Provider
from db import corrections, ledger
from db.engine import Database
from db.pages import Page
from db.tables import User
from tests.books import a_user, balance_of, run_sql


def taking(user: User, credits: int) -> tuple[CorrectionLeg, ...]:
    return (
        CorrectionLeg(account=AccountKind.AVAILABLE, bucket=Bucket.PAID, user_id=user.id, amount=-credits),
        CorrectionLeg(account=AccountKind.LOSSES, bucket=Bucket.PAID, amount=credits),
    )


async def proposed(database: Database, user: User, credits: int = 30) -> Correction:
    async with database.transaction() as session:
        return await corrections.propose(
            session, legs=taking(user, credits), reason="granted twice", actor="finance:kim"
        )


async def decide(
    database: Database, correction: Correction, actor: str, *, approve: bool = True
) -> Correction:
    async with database.transaction() as session:
        step = corrections.approve if approve else corrections.reject
        return await step(session, correction.id, actor)


async def test_a_second_person_makes_it_a_transfer(database: Database) -> None:
    user = await a_user(database, paid=100)
    correction = await proposed(database, user)
    assert await balance_of(database, user.id) == (100, 0)
    for _ in range(2):  # said again, it changes nothing
        done = await decide(database, correction, "finance:lee")
        assert (done.status, done.decided_by) == (CorrectionStatus.APPROVED, "finance:lee")
    assert await balance_of(database, user.id) == (70, 0)
    rows = await run_sql(database, "SELECT actor, reason FROM transfers WHERE kind = 'correction'")
    assert [tuple(row) for row in rows] == [("finance:lee", "granted twice")]


async def test_whoever_proposed_cannot_approve(database: Database) -> None:
    user = await a_user(database, paid=100)
    correction = await proposed(database, user)
    for role in ("finance", "admin"):  # nor with a role that they have got since
        with pytest.raises(EchoError) as refused:
            await decide(database, correction, f"{role}:kim")
        assert refused.value.code is Code.CORRECTION_CONFLICT
    assert await balance_of(database, user.id) == (100, 0)
    taken_back = await decide(database, correction, "finance:kim", approve=False)
    assert taken_back.status is CorrectionStatus.REJECTED
    with pytest.raises(EchoError):
        await decide(database, correction, "finance:lee")


async def test_two_at_once_decide_once(database: Database) -> None:
    user = await a_user(database, paid=100)
    correction = await proposed(database, user)
    answers = await asyncio.gather(
        decide(database, correction, "finance:lee"),
        decide(database, correction, "finance:park"),
        decide(database, correction, "finance:choi", approve=False),
        return_exceptions=True,
    )
    assert sum(isinstance(answer, Correction) for answer in answers) == 1
    assert await balance_of(database, user.id) in ((70, 0), (100, 0))


async def test_more_than_there_is_is_refused_and_stays_proposed(database: Database) -> None:
    user = await a_user(database, paid=20)
    correction = await proposed(database, user)
    with pytest.raises(EchoError) as refused:
        await decide(database, correction, "finance:lee")
    assert refused.value.code is Code.CREDITS_SHORT
    assert await balance_of(database, user.id) == (20, 0)


async def test_postings_that_do_not_balance_are_not_even_proposed(database: Database) -> None:
    user = await a_user(database, paid=20)
    legs = (
        CorrectionLeg(account=AccountKind.AVAILABLE, bucket=Bucket.PAID, user_id=user.id, amount=-5),
        CorrectionLeg(account=AccountKind.CASH, provider=Provider.STRIPE, amount=5),
    )
    with pytest.raises(EchoError) as refused:
        async with database.transaction() as session:
            await corrections.propose(session, legs=legs, reason="wrong", actor="finance:kim")
    assert refused.value.code is Code.VALIDATION_FAILED


@pytest.mark.parametrize("account", AccountKind)
async def test_what_is_proposed_is_what_the_database_would_take(
    database: Database, account: AccountKind
) -> None:
    """With every bucket, user and provider, also those that make no sense together."""
    user = await a_user(database, paid=1)
    for bucket, owner, provider in itertools.product(
        (None, *Bucket), (None, user.id), (None, Provider.STRIPE)
    ):
        leg = CorrectionLeg(account=account, bucket=bucket, user_id=owner, provider=provider, amount=5)
        against = AccountKind.BREAKAGE if bucket is Bucket.PROMO else AccountKind.LOSSES
        legs = (leg, CorrectionLeg(account=against, bucket=bucket, amount=-5))
        assert await is_taken(database, legs, proposed=True) == await is_taken(
            database, legs, proposed=False
        ), leg


async def is_taken(database: Database, legs: tuple[CorrectionLeg, ...], *, proposed: bool) -> bool:
    async def attempt() -> None:
        async with database.transaction() as session:
            if proposed:
                await corrections.propose(session, legs=legs, reason="a try", actor="finance:kim")
            else:
                origin = TransferOrigin(actor="finance:kim", step="correction", reason="a try")
                await ledger.correct(session, TransferId(uuid4()), legs, origin)
            raise Rollback

    with pytest.raises((Rollback, EchoError)) as ended:
        await attempt()
    if isinstance(ended.value, EchoError):
        assert ended.value.code is (Code.CORRECTION_IMPOSSIBLE if proposed else Code.VALIDATION_FAILED)
        return False
    return True


class Rollback(Exception):
    """Takes a transaction back that has shown what it should."""


async def test_the_database_refuses_a_transfer_that_nobody_approved(database: Database) -> None:
    user = await a_user(database, paid=100)
    origin = TransferOrigin(actor="finance:kim", step="correction", reason="by myself")
    with pytest.raises(IntegrityError, match="second person"):
        async with database.transaction() as session:
            await ledger.correct(session, TransferId(uuid4()), taking(user, 10), origin)
    assert await balance_of(database, user.id) == (100, 0)


@pytest.mark.parametrize(
    "cheat",
    [
        "UPDATE corrections SET proposed_by = 'finance:other'",
        "UPDATE corrections SET legs = '[]'",
        "UPDATE corrections SET status = 'APPROVED', decided_by = proposed_by, decided_at = now()",
        "DELETE FROM corrections",
        "TRUNCATE corrections",
    ],
)
async def test_the_database_refuses_to_rewrite_one(database: Database, cheat: str) -> None:
    user = await a_user(database, paid=100)
    await proposed(database, user)
    with pytest.raises(IntegrityError):
        await run_sql(database, cheat)


async def test_they_are_listed_newest_first(database: Database) -> None:
    user = await a_user(database, paid=100)
    made = [await proposed(database, user, credits) for credits in (1, 2, 3)]
    await decide(database, made[1], "finance:lee")
    async with database.read() as session:
        first = await corrections.page_of(session, Page(limit=2))
        rest = await corrections.page_of(session, Page(limit=2, starting_after=first.items[-1].id))
        waiting = await corrections.page_of(session, Page(), CorrectionStatus.PROPOSED)
    assert [found.id for found in (*first.items, *rest.items)] == [each.id for each in reversed(made)]
    assert first.has_more
    assert not rest.has_more
    assert [found.id for found in waiting.items] == [made[2].id, made[0].id]
