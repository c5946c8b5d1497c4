"""The stand-in knows no parameter and no field that the pinned official library does not know."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
import stripe
from pydantic import BaseModel
from stripe import params as known

from dev.servers.standins import StripeStandIn
from dev.standins.stripe import (
    balance,
    charges,
    customers,
    disputes,
    events,
    payment_intents,
    payment_methods,
    refunds,
    search,
)
from dev.standins.stripe.confirmation import Confirm
from tests.dev.standin_clients import send

REQUESTS: list[tuple[type[BaseModel], Any]] = [
    (customers.CustomerParams, known.CustomerCreateParams),
    (customers.ListCustomers, known.CustomerListParams),
    (customers.CreateSession, known.CustomerSessionCreateParams),
    (payment_methods.CreateMethod, known.PaymentMethodCreateParams),
    (payment_methods.Attach, known.PaymentMethodAttachParams),
    (payment_methods.ListMethods, known.PaymentMethodListParams),
    (payment_intents.Create, known.PaymentIntentCreateParams),
    (payment_intents.Retrieve, known.PaymentIntentRetrieveParams),
    (payment_intents.Update, known.PaymentIntentUpdateParams),
    (payment_intents.Cancel, known.PaymentIntentCancelParams),
    (payment_intents.ListIntents, known.PaymentIntentListParams),
    (search.Search, known.PaymentIntentSearchParams),
    (charges.ListCharges, known.ChargeListParams),
    (refunds.Create, known.RefundCreateParams),
    (refunds.Update, known.RefundUpdateParams),
    (refunds.ListRefunds, known.RefundListParams),
    (disputes.ListDisputes, known.DisputeListParams),
    (balance.ListTransactions, known.BalanceTransactionListParams),
    (balance.ListPayouts, known.PayoutListParams),
    (events.ListEvents, known.EventListParams),
]


@pytest.mark.parametrize(("ours", "theirs"), REQUESTS, ids=lambda model: model.__name__)
def test_every_parameter_is_one_of_the_library(ours: type[BaseModel], theirs: Any) -> None:
    assert ours.model_fields.keys() <= theirs.__annotations__.keys()


def test_confirm_knows_one_parameter_more_for_the_client() -> None:
    unknown = Confirm.model_fields.keys() - known.PaymentIntentConfirmParams.__annotations__.keys()
    assert unknown == {"client_secret"}


async def test_every_field_of_an_answer_is_one_of_the_library(stripe_standin: StripeStandIn) -> None:
    form = {
        "amount": "10000",
        "currency": "krw",
        "confirm": "true",
        "payment_method": "pm_card_createDispute",
        "return_url": "https://e.example",
    }
    await send(stripe_standin, "POST", "/v1/customers", {"name": "one"})
    (await send(stripe_standin, "POST", "/v1/payment_intents", form)).raise_for_status()
    form["payment_method"] = "pm_card_visa"
    paid = (await send(stripe_standin, "POST", "/v1/payment_intents", form)).json()
    await send(stripe_standin, "POST", "/v1/refunds", {"payment_intent": paid["id"], "amount": "1000"})
    await send(stripe_standin, "POST", "/v1/payment_intents", form)
    await stripe_standin.control.post("payouts")
    shown: list[tuple[str, type[stripe.StripeObject]]] = [
        ("customers", stripe.Customer),
        ("payment_intents", stripe.PaymentIntent),
        ("charges", stripe.Charge),
        ("refunds", stripe.Refund),
        ("disputes", stripe.Dispute),
        ("balance_transactions", stripe.BalanceTransaction),
        ("payouts", stripe.Payout),
        ("events", stripe.Event),
    ]
    for name, theirs in shown:
        answer: httpx.Response = await send(stripe_standin, "GET", f"/v1/{name}")
        rows = answer.raise_for_status().json()["data"]
        assert rows, name
        for row in rows:
            assert row.keys() - theirs.__annotations__.keys() == set(), name
    method = (await send(stripe_standin, "GET", f"/v1/payment_methods/{paid['payment_method']}")).json()
    assert method.keys() - stripe.PaymentMethod.__annotations__.keys() == set()
