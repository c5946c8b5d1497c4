"""Charges: one for each try to take an intent's money, declined ones too."""

from __future__ import annotations

from dev.standins.store import JsonObject, new_id, now_s
from dev.standins.stripe.account import Account
from dev.standins.stripe.balance import book, processing_fee
from dev.standins.stripe.cards import Decline
from dev.standins.stripe.forms import Params, Text
from dev.standins.stripe.lists import CreatedListParams, page
from dev.standins.stripe.payment_methods import card_of


class ListCharges(CreatedListParams):
    payment_intent: Text | None = None
    customer: Text | None = None


def retrieve(account: Account, charge_id: str, _: Params) -> JsonObject:
    return account.get("charge", charge_id)


def list_charges(account: Account, params: ListCharges) -> JsonObject:
    return page(
        account, "charge", params, {"payment_intent": params.payment_intent, "customer": params.customer}
    )


def succeed(account: Account, intent: JsonObject, method: JsonObject) -> JsonObject:
    """Take the money: the charge, its balance transaction, its event."""
    charge = _charge(intent, method)
    fee = processing_fee(charge["amount"])
    charge |= {
        "amount_captured": charge["amount"],
        "balance_transaction": book(account, "charge", charge["amount"], charge["id"], fee=fee),
        "captured": True,
        "paid": True,
        "status": "succeeded",
    }
    return _add(account, charge, "charge.succeeded")


def fail(account: Account, intent: JsonObject, method: JsonObject, decline: Decline) -> JsonObject:
    charge = _charge(intent, method)
    charge |= {
        "failure_code": decline.code,
        "failure_message": decline.message,
        "outcome": {
            "network_status": "declined_by_network",
            "reason": decline.decline_code,
            "risk_level": "normal",
            "seller_message": "The bank did not return any further details with this decline.",
            "type": "issuer_declined",
        },
        "status": "failed",
    }
    return _add(account, charge, "charge.failed")


def _add(account: Account, charge: JsonObject, event_type: str) -> JsonObject:
    account.store.add(
        "charge", charge, {"payment_intent": charge["payment_intent"], "customer": charge["customer"]}
    )
    account.emit(event_type, charge)
    return charge


def _charge(intent: JsonObject, method: JsonObject) -> JsonObject:
    return {
        "id": new_id("ch"),
        "object": "charge",
        "amount": intent["amount"],
        "amount_captured": 0,
        "amount_refunded": 0,
        "balance_transaction": None,
        "billing_details": method["billing_details"],
        "captured": False,
        "created": now_s(),
        "currency": intent["currency"],
        "customer": intent["customer"],
        "description": intent["description"],
        "disputed": False,
        "failure_balance_transaction": None,
        "failure_code": None,
        "failure_message": None,
        "fraud_details": {},
        "livemode": False,
        "metadata": intent["metadata"],
        "outcome": {
            "network_status": "approved_by_network",
            "reason": None,
            "risk_level": "normal",
            "seller_message": "Payment complete.",
            "type": "authorized",
        },
        "paid": False,
        "payment_intent": intent["id"],
        "payment_method": method["id"],
        "payment_method_details": {
            "card": {**method["card"], "network": card_of(method).brand, "three_d_secure": None},
            "type": "card",
        },
        "receipt_email": intent["receipt_email"],
        "receipt_url": None,
        "refunded": False,
        "statement_descriptor_suffix": intent["statement_descriptor_suffix"],
        "status": "pending",
    }
