"""The Stripe stand-in is as strict as Stripe: what the official library sends works, what Stripe refuses is refused."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
import stripe

from dev.servers.standins import StripeStandIn
from dev.standins.stripe.account import API_VERSION
from dev.standins.stripe.cards import TEST_CARDS
from tests.dev.standin_clients import client_of, create, pay, send

# The library hands httpx its form bytes as `data`.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


@pytest_asyncio.fixture
async def client(stripe_standin: StripeStandIn) -> AsyncIterator[stripe.StripeClient]:
    async with client_of(stripe_standin) as opened:
        yield opened


async def confirm_as_app(
    standin: StripeStandIn, intent: stripe.PaymentIntent, number: str, **more: str
) -> Any:
    form = {
        "client_secret": intent.client_secret or "",
        "payment_method_data[type]": "card",
        "payment_method_data[card][number]": number,
        "payment_method_data[card][exp_month]": "12",
        "payment_method_data[card][exp_year]": "2034",
        "payment_method_data[card][cvc]": "123",
        **more,
    }
    path = f"/v1/payment_intents/{intent.id}/confirm"
    return await send(standin, "POST", path, form, as_client=True)


# The request


async def test_the_version_is_that_of_the_pinned_library() -> None:
    assert stripe.api_version == API_VERSION


async def test_another_api_version_is_refused_by_name(stripe_standin: StripeStandIn) -> None:
    answer = await send(stripe_standin, "GET", "/v1/balance", headers={"Stripe-Version": "2020-08-27"})
    assert answer.status_code == 400
    assert "2020-08-27" in answer.json()["error"]["message"]
    assert (
        await send(stripe_standin, "GET", "/v1/balance", headers={"Stripe-Version": API_VERSION})
    ).is_success


@pytest.mark.parametrize("authorization", ["", "Bearer sk_test_wrong", "Basic sk_test"])
async def test_without_the_secret_key_nothing_is_answered(
    stripe_standin: StripeStandIn, authorization: str
) -> None:
    answer = await send(stripe_standin, "GET", "/v1/balance", headers={"Authorization": authorization})
    assert answer.status_code == 401
    assert answer.json()["error"]["type"] == "invalid_request_error"


async def test_the_publishable_key_opens_only_what_an_app_needs(
    stripe_standin: StripeStandIn, client: stripe.StripeClient
) -> None:
    refused = await send(stripe_standin, "POST", "/v1/refunds", {"payment_intent": "pi_1"}, as_client=True)
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "secret_key_required")
    intent = await create(client, metadata={"purchase_id": "pur_1"})
    path = f"/v1/payment_intents/{intent.id}"
    seen = await send(
        stripe_standin, "GET", path, {"client_secret": str(intent.client_secret)}, as_client=True
    )
    assert seen.json()["status"] == "requires_payment_method"
    assert "metadata" not in seen.json()
    guessed = await send(stripe_standin, "GET", path, {"client_secret": "guess"}, as_client=True)
    assert guessed.status_code == 400


@pytest.mark.parametrize(
    ("form", "code", "param"),
    [
        ({"amout": "10000", "currency": "krw"}, "parameter_unknown", "amout"),
        ({"amount": "10000", "currency": "krw", "shipping[x]": "1"}, "parameter_unknown", "shipping"),
        ({"currency": "krw"}, "parameter_missing", "amount"),
        ({"amount": "10000"}, "parameter_missing", "currency"),
        ({"amount": "10.5", "currency": "krw"}, "parameter_invalid_integer", "amount"),
        ({"amount": "", "currency": "krw"}, "parameter_invalid_empty", "amount"),
        ({"amount": "-5", "currency": "krw"}, "parameter_invalid_integer", "amount"),
        ({"amount": "699", "currency": "krw"}, "amount_too_small", "amount"),
        ({"amount": "100000000", "currency": "krw"}, "amount_too_large", "amount"),
        ({"amount": "10000", "currency": "usd"}, None, "currency"),
        ({"amount": "10000", "currency": "krw", "off_session": "true"}, None, "off_session"),
        ({"amount": "10000", "currency": "krw", "customer": "cus_none"}, "resource_missing", "customer"),
        ({"amount": "10000", "currency": "krw", "confirm": "yes"}, None, "confirm"),
        ({"amount": "10000", "currency": "krw", "capture_method": "manual"}, None, "capture_method"),
    ],
)
async def test_a_bad_parameter_is_refused_and_named(
    stripe_standin: StripeStandIn, form: dict[str, str], code: str | None, param: str
) -> None:
    answer = await send(stripe_standin, "POST", "/v1/payment_intents", form)
    error = answer.json()["error"]
    assert (answer.status_code, error.get("code"), error["param"]) == (400, code, param)
    assert (await stripe_standin.control.get("ledger"))["payments"] == []


async def test_a_json_body_is_refused(stripe_standin: StripeStandIn) -> None:
    answer = await send(
        stripe_standin, "POST", "/v1/customers", {"a": "b"}, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 400


async def test_an_unknown_path_and_an_unknown_id_are_404(stripe_standin: StripeStandIn) -> None:
    assert (await send(stripe_standin, "GET", "/v1/subscriptions")).status_code == 404
    answer = await send(stripe_standin, "GET", "/v1/payment_intents/pi_none")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "resource_missing")


# The state machine


async def test_a_payment_succeeds_and_its_charge_carries_the_metadata(client: stripe.StripeClient) -> None:
    intent = await pay(
        client, metadata={"purchase_id": "pur_1"}, expand=["latest_charge.balance_transaction"]
    )
    assert (intent.status, intent.amount_received) == ("succeeded", 10_000)
    charge: Any = intent.latest_charge
    assert charge.metadata["purchase_id"] == "pur_1"
    assert (charge.balance_transaction.fee, charge.balance_transaction.net) == (590, 9_410)


async def test_an_app_pays_by_publishable_key_and_client_secret(
    stripe_standin: StripeStandIn, client: stripe.StripeClient
) -> None:
    intent = await create(client)
    assert intent.status == "requires_payment_method"
    answer = await confirm_as_app(stripe_standin, intent, "4242424242424242")
    assert (answer.status_code, answer.json()["status"]) == (200, "succeeded")
    assert (await client.v1.payment_intents.retrieve_async(intent.id)).status == "succeeded"


async def test_a_card_number_is_refused_from_a_server(
    stripe_standin: StripeStandIn, client: stripe.StripeClient
) -> None:
    intent = await create(client)
    form = {
        "payment_method_data[type]": "card",
        "payment_method_data[card][number]": "4242424242424242",
    }
    answer = await send(stripe_standin, "POST", f"/v1/payment_intents/{intent.id}/confirm", form)
    assert answer.status_code == 402
    assert "generally unsafe" in answer.json()["error"]["message"]


DECLINED = [card for card in TEST_CARDS if card.decline is not None]


@pytest.mark.parametrize("card", DECLINED, ids=lambda card: card.token)
async def test_a_declined_card_is_a_402_that_holds_the_intent(
    stripe_standin: StripeStandIn, client: stripe.StripeClient, card: Any
) -> None:
    with pytest.raises(stripe.CardError) as refused:
        await pay(client, card=card.token)
    error: Any = refused.value.error
    assert (refused.value.http_status, refused.value.code) == (402, card.decline.code)
    assert error.decline_code == card.decline.decline_code
    assert error.payment_intent.status == "requires_payment_method"
    assert error.payment_intent.last_payment_error.decline_code == card.decline.decline_code
    tries = await client.v1.charges.list_async({"payment_intent": error.payment_intent.id})
    assert [(charge.status, charge.failure_code) for charge in tries.data] == [("failed", card.decline.code)]
    by_number = await confirm_as_app(stripe_standin, error.payment_intent, card.number)
    assert (by_number.status_code, by_number.json()["error"]["code"]) == (402, card.decline.code)
    assert (await confirm_as_app(stripe_standin, error.payment_intent, "4242424242424242")).is_success
    assert (await stripe_standin.control.get("ledger"))["paid_in"] == 10_000


@pytest.mark.parametrize("outcome", ["succeed", "fail"])
async def test_three_d_secure_waits_for_the_customer(
    stripe_standin: StripeStandIn, client: stripe.StripeClient, outcome: str
) -> None:
    intent = await pay(client, card="pm_card_threeDSecure2Required")
    assert intent.status == "requires_action"
    assert intent.next_action is not None
    assert (await stripe_standin.control.get("ledger"))["paid_in"] == 0
    done = await stripe_standin.control.post(f"3ds/{intent.id}", outcome=outcome)
    if outcome == "succeed":
        assert (done["status"], done["next_action"]) == ("succeeded", None)
    else:
        assert done["status"] == "requires_payment_method"
        assert done["last_payment_error"]["code"] == "payment_intent_authentication_failure"
        assert (await stripe_standin.control.get("ledger"))["paid_in"] == 0


async def test_a_card_that_needs_authentication_is_declined_off_session_unless_it_was_set_up(
    stripe_standin: StripeStandIn, client: stripe.StripeClient
) -> None:
    with pytest.raises(stripe.CardError) as refused:
        await pay(client, card="pm_card_authenticationRequired", off_session=True)
    assert refused.value.code == "authentication_required"
    customer = await client.v1.customers.create_async({"metadata": {"user": "1"}})
    intent = await pay(
        client, card="pm_card_authenticationRequired", customer=customer.id, setup_future_usage="off_session"
    )
    done = await stripe_standin.control.post(f"3ds/{intent.id}", outcome="succeed")
    (saved,) = (await client.v1.customers.payment_methods.list_async(customer.id)).data
    assert saved.id == done["payment_method"]
    again = await pay(client, card=saved.id, customer=customer.id, off_session=True)
    assert again.status == "succeeded"


@pytest.mark.parametrize("outcome", ["succeed", "fail"])
async def test_a_slow_method_is_processing_until_it_settles(
    stripe_standin: StripeStandIn, client: stripe.StripeClient, outcome: str
) -> None:
    intent = await pay(client, card="pm_standin_processing")
    assert intent.status == "processing"
    with pytest.raises(stripe.InvalidRequestError, match="status of processing"):
        await client.v1.payment_intents.cancel_async(intent.id)
    done = await stripe_standin.control.post(f"payment_intents/{intent.id}/settle", outcome=outcome)
    assert done["status"] == {"succeed": "succeeded", "fail": "requires_payment_method"}[outcome]


async def test_an_illegal_move_is_refused_with_the_intent_in_the_error(client: stripe.StripeClient) -> None:
    paid = await pay(client)
    canceled = await create(client)
    await client.v1.payment_intents.cancel_async(canceled.id, {"cancellation_reason": "abandoned"})
    bare = await create(client)
    moves = [
        client.v1.payment_intents.cancel_async(paid.id),
        client.v1.payment_intents.confirm_async(paid.id, {"payment_method": "pm_card_visa"}),
        client.v1.payment_intents.cancel_async(canceled.id),
        client.v1.payment_intents.confirm_async(canceled.id, {"payment_method": "pm_card_visa"}),
        client.v1.payment_intents.confirm_async(bare.id),
    ]
    for move in moves:
        with pytest.raises(stripe.InvalidRequestError) as refused:
            await move
        assert refused.value.code == "payment_intent_unexpected_state"
        error: Any = refused.value.error
        assert error.payment_intent.id in (paid.id, canceled.id, bare.id)


async def test_a_payment_that_might_redirect_needs_a_return_url_and_is_not_created_without(
    stripe_standin: StripeStandIn, client: stripe.StripeClient
) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="return_url"):
        await pay(client, automatic_payment_methods={"enabled": True})
    assert (await stripe_standin.control.get("ledger"))["payments"] == []
    assert (await pay(client, automatic_payment_methods={"enabled": True}, return_url="https://e.example")).id


# Customers and their cards


async def test_a_saved_card_pays_only_for_its_customer(client: stripe.StripeClient) -> None:
    one = await client.v1.customers.create_async({"name": "one"})
    two = await client.v1.customers.create_async({"name": "two"})
    card = await client.v1.payment_methods.attach_async("pm_card_visa", {"customer": one.id})
    assert (await pay(client, card=card.id, customer=one.id, off_session=True)).status == "succeeded"
    for customer in (two.id, None):
        with pytest.raises(stripe.InvalidRequestError, match="belongs to the Customer"):
            await pay(client, card=card.id, customer=customer)
    await client.v1.payment_methods.detach_async(card.id)
    with pytest.raises(stripe.InvalidRequestError, match="may not be used again"):
        await pay(client, card=card.id)


async def test_a_customer_session_names_its_components(client: stripe.StripeClient) -> None:
    customer = await client.v1.customers.create_async()
    params: Any = {
        "customer": customer.id,
        "components": {
            "mobile_payment_element": {"enabled": True, "features": {"payment_method_save": "enabled"}}
        },
    }
    session: Any = await client.v1.customer_sessions.create_async(params)
    assert session.client_secret
    assert session.components.mobile_payment_element.enabled
    params["components"] = {"mobile_payment_element": {"enabled": False}}
    with pytest.raises(stripe.InvalidRequestError, match="At least one"):
        await client.v1.customer_sessions.create_async(params)


async def test_metadata_is_merged_and_limited(client: stripe.StripeClient) -> None:
    customer = await client.v1.customers.create_async({"metadata": {"a": "1", "b": "2"}})
    changed = await client.v1.customers.update_async(customer.id, {"metadata": {"a": "", "c": "3"}})
    assert changed.metadata is not None
    assert changed.metadata.to_dict() == {"b": "2", "c": "3"}
    with pytest.raises(stripe.InvalidRequestError, match="500 characters"):
        await client.v1.customers.update_async(customer.id, {"metadata": {"a": "x" * 501}})


async def test_a_kill_loses_nothing_that_was_answered(
    stripe_standin: StripeStandIn, client: stripe.StripeClient
) -> None:
    intent = await create(client, payment_method="pm_card_visa", confirm=True, key="once")
    await stripe_standin.control.post("faults", match="GET /v1/balance", kind="500")
    stripe_standin.kill()
    await stripe_standin.restart()
    assert (await client.v1.payment_intents.retrieve_async(intent.id)).status == "succeeded"
    again = await create(client, payment_method="pm_card_visa", confirm=True, key="once")
    assert again.id == intent.id
    assert len(await stripe_standin.control.get("faults")) == 1
    assert (await stripe_standin.control.get("ledger"))["paid_in"] == 10_000
