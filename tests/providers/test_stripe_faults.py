"""Whatever breaks between Stripe and us, one purchase is one charge, and one refund is paid once."""

from __future__ import annotations

import asyncio

import pytest

from contracts.errors import EchoError
from contracts.payments import PaymentOrder, PaymentState
from dev.servers.standins import StripeStandIn
from providers.payments.stripe import StripePayments
from tests.providers.paying import AMOUNT_KRW, FAULTS, a_refund, an_order, insist, order_fault
from tests.providers.stripe_account import paid, payments_of


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
    "call", ["POST /v1/customers", "POST /v1/payment_intents", "POST /v1/customer_sessions"]
)
async def test_a_purchase_whose_first_try_did_not_look_is_one_payment_whatever_broke_it(
    hasty: StripePayments, stripe_standin: StripeStandIn, call: str, kind: str
) -> None:
    order = an_order()
    tries = iter([order.model_copy(update={"first_try": True})])
    await order_fault(stripe_standin, call, kind)
    state, checkout = await insist(stripe_standin, lambda: hasty.create(next(tries, order)))
    assert await stripe_standin.control.get("faults") == [], "the fault must have happened"
    assert checkout.customer_session_client_secret
    assert [payment["id"] for payment in await payments_of(stripe_standin, order)] == [state.provider_ref]


@pytest.mark.parametrize("kind", FAULTS)
async def test_first_tries_that_repeat_each_other_are_one_payment_whatever_breaks(
    hasty: StripePayments, stripe_standin: StripeStandIn, kind: str
) -> None:
    """As after a reset, or by a second run of the workflow, which counts its attempts anew."""
    order = an_order()
    first = order.model_copy(update={"first_try": True})
    tries = iter([first, first])
    await order_fault(stripe_standin, "POST /v1/payment_intents", kind)
    state, _ = await insist(stripe_standin, lambda: hasty.create(next(tries, order)))
    assert [payment["id"] for payment in await payments_of(stripe_standin, order)] == [state.provider_ref]


async def test_a_first_try_asks_for_nothing_but_what_the_app_needs(
    stripe: StripePayments, stripe_standin: StripeStandIn
) -> None:
    order = an_order().model_copy(update={"first_try": True})
    first, checkout = await stripe.create(order)
    assert await stripe.create(order) == (first, checkout)
    again = an_order(customer_ref=first.customer_ref).model_copy(update={"first_try": True})
    await stripe.create(again)
    asked = [(each["method"], each["path"]) for each in await stripe_standin.control.get("requests")]
    customer, intent, session = (
        ("POST", f"/v1/{thing}") for thing in ("customers", "payment_intents", "customer_sessions")
    )
    assert sorted(asked) == sorted([customer, intent, session] * 2 + [intent, session])


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
