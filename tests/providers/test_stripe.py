"""The Stripe adapter against the strict stand-in: whatever breaks, one purchase is one charge."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import pytest_asyncio
from pydantic import SecretStr

from contracts.errors import Code, EchoError
from contracts.payments import (
    BalanceEntry,
    DisputeStatus,
    PaymentOrder,
    PaymentState,
    Provider,
    RefundReason,
)
from contracts.settings import StripeSettings
from dev.servers.standins import StripeStandIn
from providers.payments.breaker import Breaker
from providers.payments.stripe import StripePayments
from providers.payments.stripe_requests import API_VERSION
from tests.providers.paying import AMOUNT_KRW, CLOCK, FAULTS, LIMIT_S, a_refund, an_order, insist, order_fault


def opened(standin: StripeStandIn, breaker: Breaker | None = None) -> StripePayments:
    return StripePayments(
        StripeSettings(
            secret_key=SecretStr(standin.secret_key),
            publishable_key=standin.publishable_key,
            api_base=standin.url,
        ),
        breaker=breaker,
    )


@pytest_asyncio.fixture
async def stripe(stripe_standin: StripeStandIn) -> AsyncIterator[StripePayments]:
    payments = opened(stripe_standin)
    yield payments
    await payments.aclose()


@pytest_asyncio.fixture
async def hasty(stripe_standin: StripeStandIn) -> AsyncIterator[StripePayments]:
    """Waits for an answer for a second only."""
    payments = opened(stripe_standin, Breaker(Provider.STRIPE, limit_s=LIMIT_S, clock=CLOCK))
    yield payments
    await payments.aclose()


async def paid(stripe: StripePayments, card: str = "pm_card_visa") -> tuple[PaymentOrder, PaymentState]:
    order = an_order(payment_method=card)
    state, _ = await stripe.create(order)
    assert state.status == "succeeded"
    return order, state


async def payments_of(standin: StripeStandIn, order: PaymentOrder) -> list[Any]:
    ledger = await standin.control.get("ledger")
    return [
        payment
        for payment in ledger["payments"]
        if payment["metadata"].get("purchase_id") == order.purchase_id
    ]


# A payment in the app


async def test_an_order_is_an_open_payment_that_the_app_can_complete(
    stripe: StripePayments, stripe_standin: StripeStandIn
) -> None:
    order = an_order()
    state, checkout = await stripe.create(order)
    assert (state.status, state.amount_krw, state.received_krw) == ("open", AMOUNT_KRW, 0)
    assert checkout.provider_ref == state.provider_ref
    assert checkout.client_secret == state.client_secret
    assert checkout.publishable_key == stripe_standin.publishable_key
    assert checkout.customer_ref == state.customer_ref
    assert checkout.customer_session_client_secret


async def test_the_same_order_again_is_the_same_payment(
    stripe: StripePayments, stripe_standin: StripeStandIn
) -> None:
    order = an_order()
    first, checkout = await stripe.create(order)
    assert await stripe.create(order) == (first, checkout)
    known = order.model_copy(update={"customer_ref": first.customer_ref})
    assert await stripe.create(known) == (first, checkout)
    assert len(await payments_of(stripe_standin, order)) == 1


async def test_a_user_is_one_customer(stripe: StripePayments) -> None:
    first, _ = await stripe.create(an_order("ann"))
    second, _ = await stripe.create(an_order("ann"))
    other, _ = await stripe.create(an_order("ben"))
    assert first.customer_ref == second.customer_ref != other.customer_ref


async def test_every_request_brings_our_key_and_the_pinned_version(
    stripe: StripePayments, stripe_standin: StripeStandIn
) -> None:
    order, state = await paid(stripe)
    await stripe.refund(a_refund(order.purchase_id, state.provider_ref))
    await stripe.create(an_order())
    requests = await stripe_standin.control.get("requests")
    keys = {request["idempotency_key"] for request in requests if request["method"] == "POST"}
    assert all(key.startswith(("user/", "purchase/", "refund/")) for key in keys)
    assert f"purchase/{order.purchase_id}/intent" in keys
    assert API_VERSION == "2026-10-28.endive"


async def test_nothing_that_identifies_the_user_is_described(
    stripe: StripePayments, stripe_standin: StripeStandIn
) -> None:
    await stripe.create(an_order("ann"))
    requests = await stripe_standin.control.get("requests")
    (intent,) = [
        r["params"] for r in requests if r["path"] == "/v1/payment_intents" and r["method"] == "POST"
    ]
    assert "ann" not in str(intent)


# A saved card


async def test_a_saved_card_is_charged_at_once(stripe: StripePayments, stripe_standin: StripeStandIn) -> None:
    order = an_order(payment_method="pm_card_visa")
    state, _ = await stripe.create(order)
    assert (state.status, state.received_krw) == ("succeeded", AMOUNT_KRW)
    assert (await stripe_standin.control.get("ledger"))["paid_in"] == AMOUNT_KRW


@pytest.mark.parametrize(
    ("card", "decline"),
    [
        ("pm_card_chargeDeclined", "generic_decline"),
        ("pm_card_chargeDeclinedInsufficientFunds", "insufficient_funds"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card"),
    ],
)
async def test_a_declined_card_is_an_answer(stripe: StripePayments, card: str, decline: str) -> None:
    order = an_order(payment_method=card)
    state, _ = await stripe.create(order)
    assert (state.status, state.declined, state.received_krw) == ("failed", decline, 0)
    assert await stripe.lookup(order.purchase_id, state.provider_ref) == state
    assert (await stripe.create(order))[0] == state


async def test_a_card_declined_in_the_app_may_be_replaced(
    stripe: StripePayments, stripe_standin: StripeStandIn
) -> None:
    order = an_order()
    state, _ = await stripe.create(order)
    await confirmed_in_app(stripe_standin, state, "4000000000000002")
    declined = await stripe.lookup(order.purchase_id, state.provider_ref)
    assert declined is not None
    assert (declined.status, declined.declined) == ("open", "generic_decline")
    await confirmed_in_app(stripe_standin, state, "4242424242424242")
    succeeded = await stripe.lookup(order.purchase_id, state.provider_ref)
    assert succeeded is not None
    assert (succeeded.status, succeeded.received_krw) == ("succeeded", AMOUNT_KRW)


async def test_a_bank_may_ask_for_authentication(
    stripe: StripePayments, stripe_standin: StripeStandIn
) -> None:
    order = an_order(payment_method="pm_card_threeDSecure2Required")
    state, checkout = await stripe.create(order)
    assert state.status == "action_required"
    assert checkout.client_secret
    await stripe_standin.control.post(f"3ds/{state.provider_ref}", outcome="succeed")
    after = await stripe.lookup(order.purchase_id, state.provider_ref)
    assert after is not None
    assert after.status == "succeeded"


async def test_a_refused_request_is_final(stripe: StripePayments, stripe_standin: StripeStandIn) -> None:
    order = an_order(payment_method="pm_of_nobody")
    with pytest.raises(EchoError) as caught:
        await stripe.create(order)
    assert caught.value.code is Code.PROVIDER_REFUSED
    assert caught.value.fields["reason"] == "resource_missing"
    assert await payments_of(stripe_standin, order) == []


async def test_a_wrong_key_of_ours_is_not_the_purchases_fault(stripe_standin: StripeStandIn) -> None:
    payments = StripePayments(
        StripeSettings(secret_key=SecretStr("sk_test_revoked"), api_base=stripe_standin.url)
    )
    with pytest.raises(EchoError) as caught:
        await payments.create(an_order())
    await payments.aclose()
    assert caught.value.code is Code.PROVIDER_UNAVAILABLE


# Looking up and cancelling


async def test_what_stripe_does_not_know_is_none(stripe: StripePayments) -> None:
    order = an_order()
    assert await stripe.lookup(order.purchase_id, None) is None
    assert await stripe.lookup(order.purchase_id, "pi_of_nobody") is None


async def test_a_payment_is_found_by_its_purchase(stripe: StripePayments) -> None:
    order = an_order()
    state, _ = await stripe.create(order)
    assert await stripe.lookup(order.purchase_id, None) == state


async def test_an_open_payment_can_be_cancelled_twice(stripe: StripePayments) -> None:
    order = an_order()
    state, _ = await stripe.create(order)
    assert (await stripe.cancel(order.purchase_id, state.provider_ref)).status == "canceled"
    assert (await stripe.cancel(order.purchase_id, state.provider_ref)).status == "canceled"


async def test_a_payment_that_was_made_answers_the_cancellation(stripe: StripePayments) -> None:
    order, state = await paid(stripe)
    assert (await stripe.cancel(order.purchase_id, state.provider_ref)).status == "succeeded"


async def test_a_payment_on_its_way_to_the_bank_cannot_be_cancelled(
    stripe: StripePayments, stripe_standin: StripeStandIn
) -> None:
    order = an_order(payment_method="pm_standin_processing")
    state, _ = await stripe.create(order)
    assert (await stripe.cancel(order.purchase_id, state.provider_ref)).status == "processing"
    await stripe_standin.control.post(f"payment_intents/{state.provider_ref}/settle", outcome="fail")
    assert (await stripe.cancel(order.purchase_id, state.provider_ref)).status == "canceled"


# Refunds and disputes


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


# Faults


@pytest.mark.parametrize("kind", FAULTS)
@pytest.mark.parametrize(
    "call",
    [
        "GET /v1/payment_intents/search",
        "POST /v1/customers",
        "POST /v1/payment_intents",
        "POST /v1/customer_sessions",
    ],
)
async def test_a_purchase_in_the_app_is_one_payment_whatever_breaks(
    hasty: StripePayments, stripe_standin: StripeStandIn, call: str, kind: str
) -> None:
    order = an_order()
    await order_fault(stripe_standin, call, kind)
    state, checkout = await insist(stripe_standin, lambda: hasty.create(order))
    assert await stripe_standin.control.get("faults") == [], "the fault must have happened"
    assert checkout.customer_session_client_secret
    assert [payment["id"] for payment in await payments_of(stripe_standin, order)] == [state.provider_ref]


@pytest.mark.parametrize("kind", FAULTS)
@pytest.mark.parametrize(
    "call", ["GET /v1/payment_intents/search", "POST /v1/customers", "POST /v1/payment_intents"]
)
async def test_a_saved_card_is_charged_once_whatever_breaks(
    stripe: StripePayments, hasty: StripePayments, stripe_standin: StripeStandIn, call: str, kind: str
) -> None:
    order = an_order(payment_method="pm_card_visa")
    await order_fault(stripe_standin, call, kind)
    state, _ = await insist(stripe_standin, lambda: hasty.create(order))
    assert state.status == "succeeded"
    await charged_once(stripe, stripe_standin, order, state)


@pytest.mark.parametrize("kind", FAULTS)
@pytest.mark.parametrize(
    "call",
    ["GET /v1/payment_intents", "GET /v1/payment_intents/search", "POST /v1/payment_intents"],
)
async def test_a_known_customers_card_is_charged_once_whatever_breaks(
    stripe: StripePayments, hasty: StripePayments, stripe_standin: StripeStandIn, call: str, kind: str
) -> None:
    first, _ = await stripe.create(an_order())
    order = an_order(payment_method="pm_card_visa", customer_ref=first.customer_ref)
    await order_fault(stripe_standin, call, kind)
    state, _ = await insist(stripe_standin, lambda: hasty.create(order))
    assert state.status == "succeeded"
    await charged_once(stripe, stripe_standin, order, state)


async def test_a_charge_is_found_under_another_customer_of_the_user(
    stripe: StripePayments, stripe_standin: StripeStandIn
) -> None:
    order, state = await paid(stripe)
    await stripe_standin.control.post("forget_keys")
    other, _ = await stripe.create(an_order())
    assert other.customer_ref != state.customer_ref
    await charged_once(
        stripe, stripe_standin, order.model_copy(update={"customer_ref": other.customer_ref}), state
    )


async def charged_once(
    stripe: StripePayments, standin: StripeStandIn, order: PaymentOrder, state: PaymentState
) -> None:
    await standin.control.post("forget_keys")
    again, _ = await stripe.create(order)
    assert again == state, "a day later, too"
    assert [payment["id"] for payment in await payments_of(standin, order)] == [state.provider_ref]
    assert (await standin.control.get("ledger"))["paid_in"] == AMOUNT_KRW


@pytest.mark.parametrize("kind", FAULTS)
@pytest.mark.parametrize("call", ["GET /v1/refunds", "POST /v1/refunds"])
async def test_a_refund_is_paid_once_whatever_breaks(
    stripe: StripePayments, hasty: StripePayments, stripe_standin: StripeStandIn, call: str, kind: str
) -> None:
    order, state = await paid(stripe)
    refund = a_refund(order.purchase_id, state.provider_ref)
    await order_fault(stripe_standin, call, kind)
    made = await insist(stripe_standin, lambda: hasty.refund(refund))
    assert made.refund_id == refund.refund_id
    await stripe_standin.control.post("forget_keys")
    assert await stripe.refund(refund) == made, "a day later, too"
    assert (await stripe_standin.control.get("ledger"))["refunded"] == 4_000


@pytest.mark.parametrize("kind", FAULTS)
@pytest.mark.parametrize("call", ["GET /v1/payment_intents/*", "POST /v1/payment_intents/*/cancel"])
async def test_a_payment_is_cancelled_whatever_breaks(
    stripe: StripePayments, hasty: StripePayments, stripe_standin: StripeStandIn, call: str, kind: str
) -> None:
    order = an_order()
    state, _ = await stripe.create(order)
    await order_fault(stripe_standin, call, kind)
    canceled = await insist(stripe_standin, lambda: hasty.cancel(order.purchase_id, state.provider_ref))
    assert canceled.status == "canceled"


async def test_the_same_order_at_the_same_time_is_one_charge(
    stripe: StripePayments, stripe_standin: StripeStandIn
) -> None:
    order = an_order(payment_method="pm_card_visa")
    await stripe_standin.control.post("latency", ms=50)
    answers = await asyncio.gather(*(stripe.create(order) for _ in range(5)), return_exceptions=True)
    busy = [answer for answer in answers if isinstance(answer, BaseException)]
    assert all(isinstance(error, EchoError) and error.retryable for error in busy), busy
    state, _ = await stripe.create(order)
    assert {a[0].provider_ref for a in answers if not isinstance(a, BaseException)} == {state.provider_ref}
    assert (await stripe_standin.control.get("ledger"))["paid_in"] == AMOUNT_KRW


async def confirmed_in_app(standin: StripeStandIn, state: PaymentState, number: str) -> None:
    """What the PaymentSheet does with the client secret."""
    async with httpx.AsyncClient(base_url=standin.url, trust_env=False) as app:
        await app.post(
            f"/v1/payment_intents/{state.provider_ref}/confirm",
            headers={"Authorization": f"Bearer {standin.publishable_key}"},
            data={
                "client_secret": state.client_secret,
                "payment_method_data[type]": "card",
                "payment_method_data[card][number]": number,
                "payment_method_data[card][exp_month]": "12",
                "payment_method_data[card][exp_year]": "2034",
                "payment_method_data[card][cvc]": "123",
                "return_url": "echoshot://paid",
            },
        )
