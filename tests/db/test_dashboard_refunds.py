"""What somebody refunds at the provider's dashboard is booked, and spent credits are owed."""

from __future__ import annotations

import pytest

from contracts.errors import Code, EchoError
from contracts.finance import CorrectionLeg
from contracts.ledger import AccountKind, Bucket
from contracts.payments import RefundReason, RefundStatus
from contracts.purchases import Refunded
from db import corrections, ledger, refunds
from db.engine import Database
from db.tables import User
from db.tables_money import Purchase
from tests.books import a_user, balance_of
from tests.purchases import a_purchase, answer, by, from_dashboard, provider_says, refund, spend


async def book(database: Database, purchase: Purchase, krw: int, status: str = "succeeded") -> Refunded:
    """A refund of the provider's dashboard."""
    async with database.transaction() as session:
        booked = await refunds.book_from_provider(
            session, purchase.id, from_dashboard(krw, status), by(purchase)
        )
    assert booked is not None
    return booked


@pytest.mark.parametrize(("spent", "owed"), [(0, 0), (70, 20), (100, 50)])
async def test_a_refund_of_the_dashboard_is_booked_and_what_was_spent_is_owed(
    database: Database, spent: int, owed: int
) -> None:
    user = await a_user(database)
    purchase = await a_purchase(database, user)
    if spent:
        await spend(database, user, spent)
    for _ in range(2):
        booked = await book(database, purchase, 5_000)
        assert (booked.status, booked.credits) == (RefundStatus.SUCCEEDED, 50)
        assert booked.reason is RefundReason.PROVIDER_DASHBOARD
    async with database.read() as session:
        balance = await ledger.balance(session, user.id)
    assert (balance.available, balance.debt) == (50 - spent + owed, owed)


async def test_a_pending_refund_of_the_dashboard_takes_part_of_its_credits_and_gives_them_back(
    database: Database,
) -> None:
    user = await a_user(database)
    purchase = await a_purchase(database, user)
    await spend(database, user, 70)
    for status, available, debt in (("pending", 0, 0), ("succeeded", 0, 20), ("failed", 30, 0)):
        await book(database, purchase, 5_000, status)
        async with database.read() as session:
            balance = await ledger.balance(session, user.id)
        assert (balance.available, balance.debt) == (available, debt)


async def test_a_refund_of_ours_is_found_again_in_the_providers_list(database: Database) -> None:
    user = await a_user(database)
    purchase = await a_purchase(database, user)
    asked = await refund(database, purchase, credits=30)
    for said in (answer(asked), answer(asked).model_copy(update={"refund_id": None})):
        async with database.transaction() as session:
            booked = await refunds.book_from_provider(session, purchase.id, said, by(purchase))
        assert booked == asked.model_copy(update={"status": RefundStatus.SUCCEEDED})
    assert await balance_of(database, user.id) == (70, 0)


async def test_a_refund_that_failed_before_it_was_heard_of_is_nothing(database: Database) -> None:
    user = await a_user(database)
    purchase = await a_purchase(database, user)
    async with database.transaction() as session:
        said = from_dashboard(1_000, "failed")
        assert await refunds.book_from_provider(session, purchase.id, said, by(purchase)) is None
        assert await refunds.of_purchase(session, purchase.id) == []


async def test_a_dashboard_refund_beside_one_of_ours_waits_for_the_provider_to_refuse_ours(
    database: Database,
) -> None:
    user = await a_user(database)
    purchase = await a_purchase(database, user)
    ours = await refund(database, purchase)
    with pytest.raises(EchoError) as error:
        await book(database, purchase, 10_000)
    assert error.value.code is Code.REFUND_TOO_LARGE
    await provider_says(database, ours, "failed")
    await book(database, purchase, 10_000)
    assert await balance_of(database, user.id) == (0, 0)


async def test_the_last_won_go_back_although_no_credit_is_left_for_them(database: Database) -> None:
    """70 won a credit: 69,931 won are already 1,000 credits, rounded up."""
    user = await a_user(database)
    purchase = await a_purchase(database, user, credits=1_000)
    for krw, credits, ref in ((69_931, 1_000, "re_most"), (69, 0, "re_rest")):
        for status in ("pending", "succeeded", "failed", "failed"):
            if status == "failed" and ref == "re_most":
                break
            async with database.transaction() as session:
                said = from_dashboard(krw, status, ref)
                booked = await refunds.book_from_provider(session, purchase.id, said, by(purchase))
            assert booked is not None
            assert (booked.status.value, booked.credits) == (status.upper(), credits)
    assert await balance_of(database, user.id) == (0, 0)


async def test_a_refund_that_comes_back_after_its_debt_was_written_off_waits_for_finance(
    database: Database,
) -> None:
    user = await a_user(database)
    purchase = await a_purchase(database, user)
    await spend(database, user, 100)
    await book(database, purchase, 10_000)
    await write_off(database, user, 100)
    with pytest.raises(EchoError) as error:
        await book(database, purchase, 10_000, "failed")
    assert error.value.code is Code.PAYMENT_STATE_CONFLICT
    assert "finance" in error.value.detail
    await write_off(database, user, -100)
    assert (await book(database, purchase, 10_000, "failed")).status is RefundStatus.FAILED
    async with database.read() as session:
        balance = await ledger.balance(session, user.id)
    assert (balance.available, balance.debt) == (0, 0)


async def write_off(database: Database, user: User, credits: int) -> None:
    """Of the user's debt, by two people of finance."""
    legs = (
        CorrectionLeg(account=AccountKind.DEBT, bucket=Bucket.PAID, user_id=user.id, amount=-credits),
        CorrectionLeg(account=AccountKind.LOSSES, bucket=Bucket.PAID, amount=credits),
    )
    async with database.transaction() as session:
        asked = await corrections.propose(session, legs=legs, reason="unknown address", actor="finance:kim")
        await corrections.approve(session, asked.id, "finance:lee")
