"""Payment methods: cards only, made from test numbers or tokens; saved ones belong to a customer."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from dev.standins.store import JsonObject, new_id, now_s
from dev.standins.stripe.account import Account
from dev.standins.stripe.cards import BY_NUMBER, BY_TOKEN, TestCard
from dev.standins.stripe.errors import ApiError, invalid, missing
from dev.standins.stripe.forms import Int, Metadata, Params, Part, Text
from dev.standins.stripe.lists import ListParams, page


class CardData(Part):
    number: Text | None = None
    exp_month: Annotated[Int, Field(ge=1, le=12)] | None = None
    exp_year: Int | None = None
    cvc: Text | None = None
    token: Text | None = None


class BillingDetails(Part):
    name: str | None = None
    email: str | None = None
    phone: str | None = None


class MethodData(Part):
    type: Literal["card"]
    card: CardData
    billing_details: BillingDetails | None = None
    allow_redisplay: Literal["always", "limited", "unspecified"] = "unspecified"


class CreateMethod(Params, Metadata, MethodData):
    pass


class Attach(Params):
    customer: Text


class ListMethods(ListParams):
    customer: Text
    type: Literal["card"] | None = None


class ListMethodsOfCustomer(ListParams):
    type: Literal["card"] | None = None


def create(account: Account, params: CreateMethod, *, from_client: bool) -> JsonObject:
    return add_method(account, params, params.merged({}), from_client=from_client)


def retrieve(account: Account, method_id: str, _: Params) -> JsonObject:
    return find_method(account, method_id, param=None)


def attach(account: Account, method_id: str, params: Attach) -> JsonObject:
    method = find_method(account, method_id, param=None)
    account.get("customer", params.customer, param="customer")
    if method["customer"] not in (None, params.customer):
        raise invalid("The payment method you provided has already been attached to a customer.")
    if method["_used"] and method["customer"] is None:
        raise _spent()
    return save_for(account, method, params.customer)


def detach(account: Account, method_id: str, _: Params) -> JsonObject:
    method = account.get("payment_method", method_id)
    if method["customer"] is None:
        raise invalid(
            "The payment method you provided is not attached to a customer so detachment is impossible."
        )
    account.store.unlink_object("customer", method["customer"], method_id)
    method |= {"customer": None, "_used": True}
    account.emit("payment_method.detached", account.store.save(method))
    return method


def list_methods(account: Account, params: ListMethods) -> JsonObject:
    account.get("customer", params.customer, param="customer")
    return page(account, "payment_method", params, {"customer": params.customer})


def list_of_customer(account: Account, customer_id: str, params: ListMethodsOfCustomer) -> JsonObject:
    account.get("customer", customer_id)
    return page(account, "payment_method", params, {"customer": customer_id})


def add_method(
    account: Account, data: MethodData, metadata: dict[str, str], *, from_client: bool
) -> JsonObject:
    """A new method from card data. Raw numbers only from the client: a server that sees them needs a PCI audit."""
    if data.card.number is not None and not from_client:
        raise ApiError(
            402,
            "Sending credit card numbers directly to the Stripe API is generally unsafe. "
            "Collect them in the client, or use a test token such as pm_card_visa.",
        )
    if data.card.number is not None:
        card = BY_NUMBER.get(data.card.number.replace(" ", ""))
        if card is None:
            raise ApiError(
                402,
                "Your card number is incorrect.",
                kind="card_error",
                code="incorrect_number",
                param="number",
            )
    else:
        token = (data.card.token or "").replace("tok_", "pm_card_")
        card = BY_TOKEN.get(token)
        if card is None:
            raise missing("token", data.card.token or "", "card[token]")
    details = (data.billing_details or BillingDetails()).model_dump()
    return _add(account, card, metadata, data.allow_redisplay, details)


def find_method(account: Account, method_id: str, *, param: str | None = "payment_method") -> JsonObject:
    """The method; a built-in token makes a new one each time, as at Stripe."""
    if card := BY_TOKEN.get(method_id):
        return _add(account, card, {}, "unspecified", BillingDetails().model_dump())
    return account.get("payment_method", method_id, param=param)


def usable_method(account: Account, method_id: str, customer: str | None) -> JsonObject:
    """The method to charge for `customer` (or nobody in particular). Raises when it is another's or spent."""
    method = find_method(account, method_id)
    if method["customer"] is not None and method["customer"] != customer:
        raise invalid(
            f"The PaymentMethod {method_id} belongs to the Customer {method['customer']}. "
            "Please include that Customer in the `customer` parameter on the PaymentIntent.",
            param="payment_method",
        )
    if method["customer"] is None and method["_used"]:
        raise _spent()
    return method


def save_for(account: Account, method: JsonObject, customer_id: str) -> JsonObject:
    if method["customer"] is None:
        method["customer"] = customer_id
        account.store.save(method)
        account.store.link_object("customer", customer_id, method["id"])
        account.emit("payment_method.attached", method)
    return method


def card_of(method: JsonObject) -> TestCard:
    return BY_TOKEN[method["_card"]]


def _add(
    account: Account, card: TestCard, metadata: dict[str, str], allow_redisplay: str, details: JsonObject
) -> JsonObject:
    return account.store.add(
        "payment_method",
        {
            "id": new_id("pm"),
            "object": "payment_method",
            "allow_redisplay": allow_redisplay,
            "billing_details": details,
            "card": {
                "brand": card.brand,
                "country": "KR",
                "exp_month": 12,
                "exp_year": 2034,
                "fingerprint": f"standin{card.number[-8:]}",
                "funding": "credit",
                "last4": card.last4,
            },
            "created": now_s(),
            "customer": None,
            "livemode": False,
            "metadata": metadata,
            "type": "card",
            "_card": card.token,
            "_used": False,
            "_set_up": False,
        },
    )


def _spent() -> ApiError:
    return invalid(
        "The provided PaymentMethod was previously used with a PaymentIntent without Customer attachment, or was "
        "detached from a Customer. It may not be used again. To use a PaymentMethod multiple times, you must attach "
        "it to a Customer first.",
        param="payment_method",
    )
