"""PaymentIntents: the object, and who may create, read, change and list it. The state machine is in `confirmation`."""

from __future__ import annotations

import time
from typing import Literal

from dev.standins.store import JsonObject, new_id, now_s
from dev.standins.stripe.account import Account
from dev.standins.stripe.confirmation import Confirm, ask_bank, check_return_url, unexpected_state
from dev.standins.stripe.errors import invalid
from dev.standins.stripe.forms import Bool, Clearable, Int, Metadata, Params, Part, Text
from dev.standins.stripe.lists import CreatedListParams, page
from dev.standins.stripe.payment_methods import usable_method

AMOUNT_KRW_MIN = 700
"""0.50 US dollars, the least that Stripe takes in a currency without a minimum of its own, rounded up."""
AMOUNT_KRW_MAX = 99_999_999

_CLIENT_SEES = """
    id object amount automatic_payment_methods canceled_at cancellation_reason capture_method client_secret
    confirmation_method created currency description last_payment_error livemode next_action payment_method
    payment_method_types processing receipt_email setup_future_usage shipping status
""".split()  # noqa: SIM905 (a table of names)


class AutomaticMethods(Part):
    enabled: Bool
    allow_redirects: Literal["always", "never"] = "always"


class Create(Params, Metadata):
    amount: Int
    currency: Text
    customer: Text | None = None
    payment_method: Text | None = None
    allowed_payment_method_types: list[Literal["card"]] | None = None
    automatic_payment_methods: AutomaticMethods | None = None
    confirm: Bool = False
    off_session: Bool | None = None
    setup_future_usage: Literal["off_session", "on_session"] | None = None
    return_url: Text | None = None
    error_on_requires_action: Bool | None = None
    description: Text | None = None
    receipt_email: Text | None = None
    statement_descriptor_suffix: Text | None = None
    capture_method: Literal["automatic", "automatic_async"] = "automatic_async"
    confirmation_method: Literal["automatic"] = "automatic"


class Update(Params, Metadata):
    description: Clearable = None
    receipt_email: Clearable = None


class Retrieve(Params):
    client_secret: Text | None = None


class Cancel(Params):
    cancellation_reason: Literal["duplicate", "fraudulent", "requested_by_customer", "abandoned"] | None = (
        None
    )


class ListIntents(CreatedListParams):
    customer: Text | None = None


def create(account: Account, params: Create) -> JsonObject:
    _check(params)
    if params.customer is not None:
        account.get("customer", params.customer, param="customer")
    method = None
    if params.payment_method is not None:
        method = usable_method(account, params.payment_method, params.customer)
    intent_id = new_id("pi")
    # A card never redirects; the default methods may.
    cards_only = params.allowed_payment_method_types is not None
    automatic = params.automatic_payment_methods or AutomaticMethods(
        enabled=True, allow_redirects="never" if cards_only else "always"
    )
    intent: JsonObject = {
        "id": intent_id,
        "object": "payment_intent",
        "amount": params.amount,
        "amount_capturable": 0,
        "amount_received": 0,
        "allowed_payment_method_types": params.allowed_payment_method_types,
        "automatic_payment_methods": automatic.model_dump(),
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": params.capture_method,
        "client_secret": f"{intent_id}_secret_{new_id('s')[2:]}",
        "confirmation_method": params.confirmation_method,
        "created": now_s(),
        "currency": "krw",
        "customer": params.customer,
        "description": params.description,
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": False,
        "metadata": params.merged({}),
        "next_action": None,
        "payment_method": method and method["id"],
        "payment_method_options": {"card": {"request_three_d_secure": "automatic"}},
        "payment_method_types": ["card"],
        "processing": None,
        "receipt_email": params.receipt_email,
        "setup_future_usage": params.setup_future_usage,
        "shipping": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": params.statement_descriptor_suffix,
        "status": "requires_confirmation" if method else "requires_payment_method",
        "_made_at": time.time(),
    }
    asked = Confirm(
        off_session=params.off_session,
        return_url=params.return_url,
        error_on_requires_action=params.error_on_requires_action,
    )
    if params.confirm:
        check_return_url(intent, asked)
    searchable = {f"metadata.{key}": value for key, value in intent["metadata"].items()}
    account.store.add("payment_intent", intent, {"customer": params.customer, **searchable})
    account.emit("payment_intent.created", intent)
    return ask_bank(account, intent, method, asked) if params.confirm else intent


def _check(params: Create) -> None:
    if params.currency.lower() != "krw":
        raise invalid(f"Invalid currency: {params.currency}. This account takes krw only.", param="currency")
    if params.amount < 1:
        raise invalid("Invalid positive integer", code="parameter_invalid_integer", param="amount")
    if params.amount < AMOUNT_KRW_MIN:
        raise invalid(
            "Amount must convert to at least 50 cents. "
            f"₩{params.amount:,} converts to less: the minimum is ₩{AMOUNT_KRW_MIN}.",
            code="amount_too_small",
            param="amount",
        )
    if params.amount > AMOUNT_KRW_MAX:
        raise invalid(
            f"Amount must be no more than ₩{AMOUNT_KRW_MAX:,}", code="amount_too_large", param="amount"
        )
    if not params.confirm:
        for name in ("off_session", "return_url", "error_on_requires_action"):
            if getattr(params, name) is not None:
                raise invalid(f"You can only provide `{name}` when `confirm` is true.", param=name)


def retrieve(account: Account, intent_id: str, params: Retrieve) -> JsonObject:
    intent = account.get("payment_intent", intent_id)
    if params.client_secret is not None:
        _check_secret(intent, params.client_secret)
    return intent


def retrieve_as_client(account: Account, intent_id: str, params: Retrieve) -> JsonObject:
    intent = account.get("payment_intent", intent_id)
    _check_secret(intent, params.client_secret)
    return _client_view(intent)


def update(account: Account, intent_id: str, params: Update) -> JsonObject:
    intent = account.get("payment_intent", intent_id)
    given = params.model_dump(include=params.model_fields_set - {"metadata", "expand"})
    intent |= given | {"metadata": params.merged(intent["metadata"])}
    return account.store.save(intent)


def confirm(account: Account, intent_id: str, params: Confirm) -> JsonObject:
    intent = account.get("payment_intent", intent_id)
    if params.payment_method_data is not None and params.payment_method is not None:
        raise invalid("You may only specify one of payment_method and payment_method_data.")
    return ask_bank(account, intent, None, params)


def confirm_as_client(account: Account, intent_id: str, params: Confirm) -> JsonObject:
    """As the mobile payment sheet does, with the publishable key and the intent's client secret."""
    intent = account.get("payment_intent", intent_id)
    _check_secret(intent, params.client_secret)
    if params.off_session:
        raise invalid("off_session needs a secret key: the customer is there.", param="off_session")
    return _client_view(ask_bank(account, intent, None, params, from_client=True))


def cancel(account: Account, intent_id: str, params: Cancel) -> JsonObject:
    intent = account.get("payment_intent", intent_id)
    if intent["status"] not in ("requires_payment_method", "requires_confirmation", "requires_action"):
        raise unexpected_state(
            intent,
            f"You cannot cancel this PaymentIntent because it has a status of {intent['status']}. Only a "
            "PaymentIntent with one of the following statuses may be canceled: requires_payment_method, "
            "requires_capture, requires_confirmation, requires_action.",
        )
    intent |= {
        "status": "canceled",
        "canceled_at": now_s(),
        "cancellation_reason": params.cancellation_reason,
        "next_action": None,
    }
    account.emit("payment_intent.canceled", account.store.save(intent))
    return intent


def list_intents(account: Account, params: ListIntents) -> JsonObject:
    return page(account, "payment_intent", params, {"customer": params.customer})


def _check_secret(intent: JsonObject, client_secret: str | None) -> None:
    if client_secret is None:
        raise invalid(
            "Missing required param: client_secret.", code="parameter_missing", param="client_secret"
        )
    if client_secret != intent["client_secret"]:
        raise invalid(
            "The client_secret provided does not match the client_secret associated with the PaymentIntent.",
            code="payment_intent_invalid_parameter",
            param="client_secret",
        )


def _client_view(intent: JsonObject) -> JsonObject:
    return {name: intent[name] for name in _CLIENT_SEES}
