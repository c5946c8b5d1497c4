"""Refunds, disputes and payouts as Stripe tells them, down to the last won of its balance."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from contracts.errors import Code, EchoError
from contracts.payments import BalanceEntry, DisputeStatus, RefundReason
from dev.servers.standins import StripeStandIn
from providers.payments.stripe import StripePayments
from tests.providers.paying import AMOUNT_KRW, a_refund
from tests.providers.stripe_account import paid


async def test_a_refund_is_made_once(stripe: StripePayments, stripe_standin: StripeStandIn) -> None:
    order, state = await paid(stripe)
    refund = a_refund(order.purchase_id, state.provider_ref)
    made = await stripe.refund(refund)
    assert (made.status, made.amount_krw, made.refund_id) == ("succeeded", 4_000, refund.refund_id)
    assert await stripe.refund(refund) == made
    assert await stripe.refunds(state.provider_ref) == [made]
    assert (await stripe_standin.control.get("ledger"))["refunded"] == 4_000
    after = await stripe.lookup(order.purchase_id, state.provider_ref)
    assert after is not None
    assert after.refunded_krw == 4_000


async def test_two_refunds_of_one_purchase_are_two(stripe: StripePayments) -> None:
    order, state = await paid(stripe)
    first = await stripe.refund(a_refund(order.purchase_id, state.provider_ref, 4_000, key="a"))
    second = await stripe.refund(a_refund(order.purchase_id, state.provider_ref, 6_000, key="b"))
    assert await stripe.refunds(state.provider_ref) == [first, second]


async def test_more_than_was_paid_is_refused(stripe: StripePayments, stripe_standin: StripeStandIn) -> None:
    order, state = await paid(stripe)
    with pytest.raises(EchoError) as caught:
        await stripe.refund(a_refund(order.purchase_id, state.provider_ref, AMOUNT_KRW + 1))
    assert caught.value.code is Code.PROVIDER_REFUSED
    assert (await stripe_standin.control.get("ledger"))["refunded"] == 0


async def test_a_refund_may_be_pending_and_then_fail(
    stripe: StripePayments, stripe_standin: StripeStandIn
) -> None:
    order, state = await paid(stripe, "pm_card_pendingRefund")
    refund = a_refund(order.purchase_id, state.provider_ref)
    pending = await stripe.refund(refund)
    assert pending.status == "pending"
    await stripe_standin.control.post(
        f"refunds/{pending.provider_ref}/settle",
        outcome="failed",
        failure_reason="expired_or_canceled_card",
    )
    failed = await stripe.refund(refund)
    assert (failed.status, failed.failure) == ("failed", "expired_or_canceled_card")


async def test_our_refund_is_found_behind_a_hundred_of_the_dashboards(
    stripe: StripePayments, stripe_standin: StripeStandIn
) -> None:
    order, state = await paid(stripe)
    refund = a_refund(order.purchase_id, state.provider_ref, 100)
    made = await stripe.refund(refund)
    for _ in range(99):
        await stripe_standin.control.post("refund", payment_intent=state.provider_ref, amount=100)
    await stripe_standin.control.post("forget_keys")
    assert await stripe.refund(refund) == made, "full pages, so a second refund would be refused"
    refunds = await stripe.refunds(state.provider_ref)
    assert len(refunds) == 100
    assert [known.refund_id for known in refunds[:2]] == [refund.refund_id, None]


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        (RefundReason.DUPLICATE, "duplicate"),
        (RefundReason.FRAUDULENT, "fraudulent"),
        (RefundReason.REQUESTED_BY_CUSTOMER, "requested_by_customer"),
        (RefundReason.JOB_FAILED, None),
    ],
)
async def test_stripe_hears_the_reasons_that_it_knows(
    stripe: StripePayments, stripe_standin: StripeStandIn, reason: RefundReason, said: str | None
) -> None:
    order, state = await paid(stripe)
    refund = a_refund(order.purchase_id, state.provider_ref).model_copy(update={"reason": reason})
    await stripe.refund(refund)
    (sent,) = [
        request["params"]
        for request in await stripe_standin.control.get("requests")
        if request["method"] == "POST" and request["path"] == "/v1/refunds"
    ]
    assert sent.get("reason") == said
    assert sent["metadata"]["reason"] == reason


async def test_disputes_are_told_with_their_outcome(
    stripe: StripePayments, stripe_standin: StripeStandIn
) -> None:
    _, state = await paid(stripe)
    assert await stripe.disputes(state.provider_ref) == []
    opened = await stripe_standin.control.post(
        "disputes", payment_intent=state.provider_ref, amount=3_000, reason="fraudulent"
    )
    (dispute,) = await stripe.disputes(state.provider_ref)
    assert (dispute.provider_ref, dispute.status, dispute.amount_krw, dispute.reason) == (
        opened["id"],
        DisputeStatus.OPEN,
        3_000,
        "fraudulent",
    )
    assert dispute.payment_ref == state.provider_ref
    await stripe_standin.control.post(f"disputes/{opened['id']}/close", outcome="lost")
    (dispute,) = await stripe.disputes(state.provider_ref)
    assert dispute.status is DisputeStatus.LOST


# For reconciliation


async def test_entries_add_up_to_the_balance(stripe: StripePayments, stripe_standin: StripeStandIn) -> None:
    order, state = await paid(stripe)
    refund = a_refund(order.purchase_id, state.provider_ref)
    await stripe.refund(refund)
    _, other = await paid(stripe)
    dispute = await stripe_standin.control.post("disputes", payment_intent=other.provider_ref)
    await stripe_standin.control.post(f"disputes/{dispute['id']}/close", outcome="won")
    for _ in range(3):
        await paid(stripe)
    await stripe_standin.control.post("payouts")
    now = datetime.now(UTC)
    entries = [entry async for entry in stripe.entries(now - timedelta(hours=1), now + timedelta(hours=1))]
    ledger = await stripe_standin.control.get("ledger")
    assert sum(entry.amount_krw - entry.fee_krw for entry in entries) == ledger["balance"]
    of_kind = {kind: [entry for entry in entries if entry.kind == kind] for kind in (e.kind for e in entries)}
    assert {kind: len(found) for kind, found in of_kind.items()} == {
        "charge": 5,
        "refund": 1,
        "dispute": 1,
        "dispute_reversal": 1,
        "payout": 1,
    }
    assert said(of_kind["refund"][0]) == (-4_000, state.provider_ref, order.purchase_id, refund.refund_id)
    assert said(of_kind["dispute"][0]) == (-AMOUNT_KRW, other.provider_ref, None, None)
    assert (AMOUNT_KRW, state.provider_ref, order.purchase_id, None) in map(said, of_kind["charge"])
    (payout,) = [p async for p in stripe.payouts(now - timedelta(hours=1), now + timedelta(hours=1))]
    assert payout.amount_krw == -of_kind["payout"][0].amount_krw
    assert of_kind["payout"][0].payout_ref == payout.payout_ref
    inside = [e async for e in stripe.payout_entries(payout.payout_ref) if e.kind != "payout"]
    assert {e.payout_ref for e in inside} == {payout.payout_ref}
    assert sum(e.amount_krw - e.fee_krw for e in inside) == payout.amount_krw
    assert [e async for e in stripe.entries(now - timedelta(hours=2), now - timedelta(hours=1))] == []


def said(entry: BalanceEntry) -> tuple[int, str, str | None, str | None]:
    return entry.amount_krw, entry.payment_ref, entry.purchase_id, entry.refund_id
