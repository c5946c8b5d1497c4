"""What happens between `confirm` and the bank's word: authentication, decline, processing, success."""

from __future__ import annotations

from typing import Literal

from dev.standins.store import JsonObject, new_id
from dev.standins.stripe import charges, disputes
from dev.standins.stripe.account import Account, public
from dev.standins.stripe.cards import AUTHENTICATION_REQUIRED, Decline
from dev.standins.stripe.errors import ApiError, invalid
from dev.standins.stripe.forms import Bool, Params, Text
from dev.standins.stripe.payment_methods import MethodData, add_method, card_of, save_for, usable_method

_AUTHENTICATION_FAILED = Decline(
    "payment_intent_authentication_failure",
    "",
    "We are unable to authenticate your payment method. Please choose a different payment method and try again.",
)
_PROCESSING_FAILED = Decline(
    "payment_method_provider_decline", "generic_decline", "The payment was declined."
)


class Confirm(Params):
    payment_method: Text | None = None
    payment_method_data: MethodData | None = None
    off_session: Bool | None = None
    setup_future_usage: Literal["off_session", "on_session"] | None = None
    return_url: Text | None = None
    error_on_requires_action: Bool | None = None
    client_secret: Text | None = None


def unexpected_state(intent: JsonObject, message: str) -> ApiError:
    return ApiError(
        400, message, code="payment_intent_unexpected_state", extra={"payment_intent": public(intent)}
    )


def ask_bank(
    account: Account,
    intent: JsonObject,
    method: JsonObject | None,
    asked: Confirm,
    *,
    from_client: bool = False,
) -> JsonObject:
    """Confirm `intent`. Raises `ApiError` 402 when the card is declined, with the declined try on record."""
    if intent["status"] not in ("requires_payment_method", "requires_confirmation", "requires_action"):
        raise unexpected_state(
            intent,
            f"This PaymentIntent's status is {intent['status']}. You cannot confirm this PaymentIntent because it "
            f"has already {'succeeded' if intent['status'] == 'succeeded' else 'left the states of confirmation'}.",
        )
    check_return_url(intent, asked, from_client=from_client)
    method = method or _chosen_method(account, intent, asked, from_client=from_client)
    if asked.setup_future_usage is not None:
        intent["setup_future_usage"] = asked.setup_future_usage
    intent |= {"payment_method": method["id"], "last_payment_error": None, "next_action": None}

    card = card_of(method)
    if card.authentication == "always" or (card.authentication == "until_set_up" and not method["_set_up"]):
        if asked.off_session or asked.error_on_requires_action:
            raise _decline(account, intent, method, AUTHENTICATION_REQUIRED)
        return _ask_customer(account, intent, asked)
    if card.processing:
        intent["status"] = "processing"
        account.emit("payment_intent.processing", account.store.save(intent))
        return intent
    if card.decline is not None:
        raise _decline(account, intent, method, card.decline)
    return _succeed(account, intent, method)


def authenticate(account: Account, intent_id: str, *, succeed: bool) -> JsonObject:
    """The customer's answer to 3-D Secure; the bank's word follows at once. A failure is no error here."""
    intent = account.get("payment_intent", intent_id)
    if intent["status"] != "requires_action":
        raise unexpected_state(intent, f"Nothing to authenticate: the status is {intent['status']}.")
    method = account.get("payment_method", intent["payment_method"])
    intent["next_action"] = None
    if not succeed:
        _decline(account, intent, method, _AUTHENTICATION_FAILED, charged=False)
        return intent
    method["_set_up"] = method["_set_up"] or intent["setup_future_usage"] == "off_session"
    return _succeed(account, intent, account.store.save(method))


def settle(account: Account, intent_id: str, *, succeed: bool) -> JsonObject:
    """The end of `processing`."""
    intent = account.get("payment_intent", intent_id)
    if intent["status"] != "processing":
        raise unexpected_state(intent, f"Not processing: the status is {intent['status']}.")
    method = account.get("payment_method", intent["payment_method"])
    if not succeed:
        _decline(account, intent, method, _PROCESSING_FAILED)
        return intent
    return _succeed(account, intent, method)


def check_return_url(intent: JsonObject, asked: Confirm, *, from_client: bool = False) -> None:
    """Raises when a method that redirects could be chosen and nothing says where to come back to."""
    automatic = intent["automatic_payment_methods"]
    redirects = automatic and automatic["enabled"] and automatic["allow_redirects"] == "always"
    # The mobile libraries always send one of their own.
    if redirects and asked.return_url is None and not from_client:
        raise invalid(
            "This PaymentIntent is configured to accept payment methods enabled in your Dashboard. Because some of "
            "these payment methods might redirect your customer off of your page, you must provide a `return_url`. "
            "If you don't want to accept redirect-based payment methods, set "
            "`automatic_payment_methods[enabled]` to `true` and `automatic_payment_methods[allow_redirects]` to "
            "`never` when creating Setup Intents and Payment Intents.",
            param="return_url",
        )


def _chosen_method(account: Account, intent: JsonObject, asked: Confirm, *, from_client: bool) -> JsonObject:
    if asked.payment_method_data is not None:
        return add_method(account, asked.payment_method_data, {}, from_client=from_client)
    method_id = asked.payment_method or intent["payment_method"]
    if method_id is None:
        raise unexpected_state(
            intent,
            "You cannot confirm this PaymentIntent because it's missing a payment method. You can either update the "
            "PaymentIntent with a payment method and then confirm it again, or confirm it again directly with a "
            "payment method or ConfirmationToken.",
        )
    if method_id == intent["payment_method"]:
        return account.get("payment_method", method_id)
    return usable_method(account, method_id, intent["customer"])


def _ask_customer(account: Account, intent: JsonObject, asked: Confirm) -> JsonObject:
    url = f"https://hooks.stripe.com/3d_secure_2/{new_id('nsa')}"
    if asked.return_url is not None:
        action = {"type": "redirect_to_url", "redirect_to_url": {"return_url": asked.return_url, "url": url}}
    else:
        action = {
            "type": "use_stripe_sdk",
            "use_stripe_sdk": {"type": "three_d_secure_redirect", "stripe_js": url},
        }
    intent |= {"status": "requires_action", "next_action": action}
    account.emit("payment_intent.requires_action", account.store.save(intent))
    return intent


def _succeed(account: Account, intent: JsonObject, method: JsonObject) -> JsonObject:
    charge = charges.succeed(account, intent, method)
    method["_used"] = True
    account.store.save(method)
    intent |= {"status": "succeeded", "amount_received": intent["amount"], "latest_charge": charge["id"]}
    account.store.save(intent)
    if intent["setup_future_usage"] is not None and intent["customer"] is not None:
        save_for(account, method, intent["customer"])
    account.emit("payment_intent.succeeded", intent)
    if card_of(method).disputed:
        disputes.open_dispute(account, intent["id"], None, "fraudulent")
    return intent


def _decline(
    account: Account, intent: JsonObject, method: JsonObject, decline: Decline, *, charged: bool = True
) -> ApiError:
    """Put the failed try on record. The error for who asked; later answers (3-D Secure) need none."""
    error: JsonObject = {"payment_method": public(method)}
    kind = "card_error" if charged else "invalid_request_error"
    if charged:
        charge = charges.fail(account, intent, method, decline)
        intent["latest_charge"] = charge["id"]
        error |= {"charge": charge["id"], "decline_code": decline.decline_code}
    intent |= {
        "status": "requires_payment_method",
        "payment_method": None,
        "last_payment_error": {"type": kind, "code": decline.code, "message": decline.message, **error},
    }
    account.emit("payment_intent.payment_failed", account.store.save(intent))
    return ApiError(
        402,
        decline.message,
        code=decline.code,
        kind="card_error",
        extra={**error, "payment_intent": public(intent)},
    )
