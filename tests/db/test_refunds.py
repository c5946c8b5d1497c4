"""Money goes back once, never more than was paid, and never with credits that the user still has or has spent."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.errors import Code, EchoError
from contracts.finance import CorrectionLeg
from contracts.ids import refund_id
from contracts.jobs import JobStatus
from contracts.ledger import AccountKind, Bucket
from contracts.payments import DisputeStatus, RefundReason, RefundStatus
from contracts.purchases import Refunded
from contracts.video_job import Release
from db import corrections, disputes, freezes, ledger, purchases, refunds, saga_log, settlement
from db.engine import Database
from db.purchase_rows import Part, credits_for, krw_for
from db.tables import User
from db.tables_money import Purchase
from tests.books import ORIGIN, a_job, a_user, balance_of, completion, new_transfer_id, run_sql, step_of
from tests.purchases import (
    a_charged_job,
    a_dispute,
    a_purchase,
    answer,
    by,
    from_dashboard,
    provider_says,
    refund,
)


async def refused(database: Database, purchase: Purchase, **asked: int) -> Code:
    with pytest.raises(EchoError) as error:
        await refund(database, purchase, **asked)  # pyright: ignore[reportArgumentType]
    return error.value.code


async def refundable(database: Database, purchase: Purchase) -> Part:
    async with database.transaction() as session:
        return await refunds.refundable(session, purchase.id)


async def spend(database: Database, user: User, credits: int) -> None:
    """By a job that is paid from the balance."""
    job = await a_job(database, user, credits=credits, status=JobStatus.RUNNING)
    async with database.transaction() as session:
        await settlement.complete_job(session, completion(job, credits), step_of(job))


async def book(database: Database, purchase: Purchase, krw: int, status: str = "succeeded") -> Refunded:
    """A refund of the provider's dashboard."""
    async with database.transaction() as session:
        booked = await refunds.book_from_provider(
            session, purchase.id, from_dashboard(krw, status), by(purchase)
        )
    assert booked is not None
    return booked


async def test_a_refund_puts_credits_aside_and_is_done_when_the_provider_says_so(database: Database) -> None:
    user = await a_user(database)
    purchase = await a_purchase(database, user)
    asked = await refund(database, purchase, credits=30)
    assert (asked.status, asked.amount_krw, asked.credits) == (RefundStatus.REQUESTED, 3_000, 30)
    assert await balance_of(database, user.id) == (70, 0)
    async with database.read() as session:
        (order,) = await refunds.requested(session, purchase.id)
    assert (order.refund_id, order.amount_krw, order.refunded_krw_before) == (asked.refund_id, 3_000, 0)
    assert (await provider_says(database, asked, "pending")).status is RefundStatus.PENDING
    for status in ("succeeded", "pending", "succeeded"):
        assert (await provider_says(database, asked, status)).status is RefundStatus.SUCCEEDED
    async with database.read() as session:
        assert await refunds.requested(session, purchase.id) == []
        assert (await purchases.state(session, purchase.id)).refunded_krw == 3_000
    assert await balance_of(database, user.id) == (70, 0)


async def test_the_same_key_refunds_once_and_another_amount_is_refused(database: Database) -> None:
    user = await a_user(database)
    purchase = await a_purchase(database, user)
    first = await refund(database, purchase, credits=30, key="k")
    assert await refund(database, purchase, credits=30, key="k") == first
    assert await refund(database, purchase, key="k") == first
    with pytest.raises(EchoError) as error:
        await refund(database, purchase, credits=31, key="k")
    assert error.value.code is Code.IDEMPOTENCY_KEY_REUSED
    assert await balance_of(database, user.id) == (70, 0)


@pytest.mark.parametrize("failed_after", ["requested", "pending", "succeeded"])
async def test_a_refund_that_fails_gives_its_credits_back_and_tells_support(
    database: Database, failed_after: str
) -> None:
    user = await a_user(database)
    purchase = await a_purchase(database, user)
    asked = await refund(database, purchase)
    if failed_after != "requested":
        await provider_says(database, asked, failed_after)
    for _ in range(2):
        told = await provider_says(database, asked, "failed")
        assert (told.status, told.failure) == (RefundStatus.FAILED, "expired_or_canceled_card")
    assert (await provider_says(database, asked, "succeeded")).status is RefundStatus.FAILED
    assert await balance_of(database, user.id) == (100, 0)
    async with database.transaction() as session:
        assert (await purchases.state(session, purchase.id)).refunds_failed == 1
        await refunds.dismiss_failed(session, purchase.id)
        assert (await purchases.state(session, purchase.id)).refunds_failed == 0
    again = await refund(database, purchase)
    assert again.amount_krw == 10_000


async def test_an_answer_about_another_amount_is_not_booked(database: Database) -> None:
    user = await a_user(database)
    purchase = await a_purchase(database, user)
    asked = await refund(database, purchase, credits=30)
    said = answer(asked).model_copy(update={"amount_krw": 2_999})
    with pytest.raises(EchoError) as error:
        async with database.transaction() as session:
            await refunds.record(session, asked.refund_id, said, by(purchase))
    assert error.value.code is Code.PAYMENT_STATE_CONFLICT


async def test_only_what_was_paid_and_is_unspent_can_go_back(database: Database) -> None:
    user = await a_user(database)
    unpaid = await a_purchase(database, user, paid=False)
    assert await refused(database, unpaid) is Code.PAYMENT_STATE_CONFLICT
    purchase = await a_purchase(database, user)
    await spend(database, user, 60)
    assert await refused(database, purchase, krw=10_001) is Code.REFUND_TOO_LARGE
    assert await refused(database, purchase, krw=4_001) is Code.REFUND_CREDITS_SPENT
    assert await refused(database, purchase, credits=41) is Code.REFUND_CREDITS_SPENT
    assert await refused(database, purchase, credits=1, krw=100) is Code.VALIDATION_FAILED
    assert await refused(database, purchase, credits=0) is Code.VALIDATION_FAILED
    assert await refused(database, purchase, krw=-5) is Code.VALIDATION_FAILED
    assert (await refund(database, purchase)).amount_krw == 4_000
    assert await refused(database, purchase) is Code.REFUND_CREDITS_SPENT
    whole = await a_purchase(database, user)
    await refund(database, whole)
    assert await refused(database, whole) is Code.REFUND_TOO_LARGE


async def test_promotional_credits_never_turn_into_money(database: Database) -> None:
    user = await a_user(database, promo=500)
    purchase = await a_purchase(database, user)
    await spend(database, user, 500)
    assert await refundable(database, purchase) == Part(100, 10_000)
    await spend(database, user, 100)
    async with database.transaction() as session:
        await ledger.grant(session, new_transfer_id(), user.id, 500, Bucket.PROMO, ORIGIN)
    assert await refundable(database, purchase) == Part(0, 0)


async def test_credits_are_spent_first_in_first_out_over_purchases_and_paid_grants(
    database: Database,
) -> None:
    user = await a_user(database, paid=50)
    first = await a_purchase(database, user, credits=100)
    second = await a_purchase(database, user, credits=500)
    async with database.transaction() as session:
        await ledger.grant(session, new_transfer_id(), user.id, 10, Bucket.PAID, ORIGIN)
    await spend(database, user, 60)
    assert await refundable(database, first) == Part(90, 9_000)
    assert await refundable(database, second) == Part(500, 40_000)
    await spend(database, user, 100)
    assert await refundable(database, first) == Part(0, 0)
    assert await refundable(database, second) == Part(490, 39_200)
    await refund(database, second, credits=100)
    assert await refundable(database, second) == Part(390, 31_200)


async def test_held_credits_cannot_be_refunded_until_they_are_released(database: Database) -> None:
    user = await a_user(database)
    purchase = await a_purchase(database, user)
    await a_job(database, user, credits=30)
    assert await refundable(database, purchase) == Part(70, 7_000)


async def test_a_job_spends_its_own_charge_and_leaves_older_purchases_alone(database: Database) -> None:
    user = await a_user(database)
    package = await a_purchase(database, user)
    job, charge = await a_charged_job(database, user, status=JobStatus.RUNNING)
    assert await refundable(database, charge) == Part(0, 0)
    assert await refundable(database, package) == Part(100, 10_000)
    async with database.transaction() as session:
        await settlement.complete_job(session, completion(job, 10), step_of(job))
    assert await refundable(database, charge) == Part(0, 0)
    assert await refundable(database, package) == Part(100, 10_000)


async def test_two_supports_at_once_refund_no_more_than_there_is(database: Database) -> None:
    user = await a_user(database)
    purchase = await a_purchase(database, user)
    answers = await asyncio.gather(
        *[refund(database, purchase, credits=40) for _ in range(4)], return_exceptions=True
    )
    assert sum(isinstance(answer, Refunded) for answer in answers) == 2
    assert {a.code for a in answers if isinstance(a, EchoError)} == {Code.REFUND_CREDITS_SPENT}
    assert await balance_of(database, user.id) == (20, 0)


async def test_a_refund_and_a_capture_at_once_never_use_the_same_credits(database: Database) -> None:
    user = await a_user(database)
    purchase = await a_purchase(database, user)
    job = await a_job(database, user, credits=60, status=JobStatus.RUNNING)

    async def complete() -> None:
        async with database.transaction() as session:
            await settlement.complete_job(session, completion(job, 50), step_of(job))

    answers = await asyncio.gather(refund(database, purchase, credits=50), complete(), return_exceptions=True)
    available, held = await balance_of(database, user.id)
    assert (available, held) == ((0, 0) if isinstance(answers[0], Refunded) else (50, 0))


# Started at the provider's dashboard.


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


# Parts of a purchase.


@settings(max_examples=300)
@given(
    credits=st.integers(1, 2_000),
    krw_per_credit=st.fractions(1, 300),
    shares=st.lists(st.tuples(st.booleans(), st.fractions(0, 1)), max_size=12),
)
def test_parts_never_exceed_the_whole_and_the_last_one_makes_it_exact(
    credits: int, krw_per_credit: object, shares: list[tuple[bool, object]]
) -> None:
    whole = Purchase(credits=credits, amount_krw=int(credits * krw_per_credit))  # pyright: ignore
    taken = Part(0, 0)
    for by_krw, share in shares:
        if by_krw:
            krw = int((whole.amount_krw - taken.krw) * share)  # pyright: ignore
            part = Part(credits_for(whole, taken, krw), krw)
        else:
            asked = int((whole.credits - taken.credits) * share)  # pyright: ignore
            part = Part(asked, krw_for(whole, taken, asked))
        assert part.credits >= 0
        assert part.krw >= 0
        taken = Part(taken.credits + part.credits, taken.krw + part.krw)
        assert taken.krw * whole.credits <= taken.credits * whole.amount_krw, "no won for a credit that stays"
    rest = whole.credits - taken.credits
    assert taken.krw + krw_for(whole, taken, rest) == whole.amount_krw


ASKS = st.lists(
    st.tuples(st.sampled_from(["credits", "krw", "fail", "done", "all"]), st.integers(1, 60)), max_size=12
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(asks=ASKS)
async def test_any_row_of_refunds_ends_exact(database: Database, asks: list[tuple[str, int]]) -> None:
    """Of 500 credits at 80 won: by credits, by won, failing and succeeding between."""
    user = await a_user(database)
    purchase = await a_purchase(database, user, credits=500)
    open_: list[Refunded] = []
    for verb, size in asks:
        if verb in ("fail", "done"):
            if open_:
                await provider_says(database, open_.pop(), "failed" if verb == "fail" else "succeeded")
            continue
        wanted = {"credits": {"credits": size}, "krw": {"krw": size * 37}, "all": {}}[verb]
        with suppress(EchoError):  # more than is left, or less than a credit
            open_.append(await refund(database, purchase, **wanted))  # pyright: ignore
    left = await refundable(database, purchase)
    if left.credits:
        await refund(database, purchase)
    async with database.read() as session:
        rows = [r for r in await refunds.of_purchase(session, purchase.id) if r.status != RefundStatus.FAILED]
    assert sum(row.amount_krw for row in rows) == 40_000
    assert sum(row.credits for row in rows) == 500
    assert await balance_of(database, user.id) == (0, 0)


# Disputes.


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
