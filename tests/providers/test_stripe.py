"""The Stripe adapter against the strict stand-in: a payment from its order to its end."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from contracts.errors import Code, EchoError
from contracts.settings import StripeSettings
from dev.servers.standins import StripeStandIn
from providers.payments.stripe import StripePayments
from providers.payments.stripe_requests import API_VERSION
from tests.providers.paying import AMOUNT_KRW, a_refund, an_order
from tests.providers.stripe_account import confirmed_in_app, paid, payments_of

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
