"""Refunds: never more than was taken; some wait for the bank, some fail after all."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from dev.standins.store import JsonObject, new_id, now_s
from dev.standins.stripe.account import Account
from dev.standins.stripe.balance import book
from dev.standins.stripe.errors import invalid
from dev.standins.stripe.forms import Int, Metadata, Params, Text
from dev.standins.stripe.lists import CreatedListParams, page
from dev.standins.stripe.payment_methods import card_of

MODE = "refund_mode"
"""Setting: the status in which refunds of the API begin."""


class Create(Params, Metadata):
    payment_intent: Text | None = None
    charge: Text | None = None
    amount: Annotated[Int, Field(ge=1)] | None = None
    reason: Literal["duplicate", "fraudulent", "requested_by_customer"] | None = None


class Update(Params, Metadata):
    pass


class ListRefunds(CreatedListParams):
    payment_intent: Text | None = None
    charge: Text | None = None


def create(account: Account, params: Create) -> JsonObject:
    charge = _charge_to_refund(account, params)
    mode = account.store.setting(MODE, "succeeded")
    method = account.get("payment_method", charge["payment_method"])
    status = "pending" if mode != "succeeded" or card_of(method).refunds_pending else "succeeded"
    refund = refund_charge(account, charge, params.amount, status, params.reason, params.merged({}))
    if mode == "failed":
        answer = dict(refund)
        settle(account, refund["id"], "failed", "expired_or_canceled_card")
        return answer
    return refund


def refund_charge(
    account: Account,
    charge: JsonObject,
    wanted: int | None,
    status: Literal["succeeded", "pending"],
    reason: str | None,
    metadata: dict[str, str],
) -> JsonObject:
    """Give back `wanted` won (None: all that is left). Raises when it is more than what is left."""
    left = charge["amount"] - charge["amount_refunded"]
    if left == 0:
        raise invalid(f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded")
    dispute_status = charge.get("_dispute_status")
    if dispute_status in ("needs_response", "lost"):
        raise invalid(
            f"Charge {charge['id']} has been charged back; cannot issue a refund.", code="charge_disputed"
        )
    amount = left if wanted is None else wanted
    if amount > left:
        raise invalid(
            f"Refund amount (₩{amount:,}) is greater than unrefunded amount on charge (₩{left:,})",
            param="amount",
        )
    refund_id = new_id("re")
    refund = {
        "id": refund_id,
        "object": "refund",
        "amount": amount,
        "balance_transaction": book(account, "refund", -amount, refund_id),
        "charge": charge["id"],
        "created": now_s(),
        "currency": "krw",
        "description": None,
        "destination_details": {"card": {"type": "refund", "reference_status": "pending"}, "type": "card"},
        "failure_balance_transaction": None,
        "failure_reason": None,
        "metadata": metadata,
        "payment_intent": charge["payment_intent"],
        "payment_method": charge["payment_method"],
        "pending_reason": "processing" if status == "pending" else None,
        "reason": reason,
        "receipt_number": None,
        "status": status,
    }
    account.store.add("refund", refund, {"charge": charge["id"], "payment_intent": charge["payment_intent"]})
    _refunded_by(charge, amount)
    account.emit("charge.refunded", account.store.save(charge))
    account.emit("refund.created", refund)
    return refund


def settle(
    account: Account, refund_id: str, outcome: Literal["succeeded", "failed"], failure_reason: str
) -> JsonObject:
    """The bank's word. A refund that succeeded may still fail days later; one that failed stays so."""
    refund = account.get("refund", refund_id)
    if refund["status"] == "failed" or refund["status"] == outcome:
        raise invalid(f"The refund has a status of {refund['status']}.")
    refund |= {"status": outcome, "pending_reason": None}
    if outcome == "succeeded":
        account.emit("refund.updated", account.store.save(refund))
        return refund
    refund |= {
        "failure_reason": failure_reason,
        "failure_balance_transaction": book(account, "refund_failure", refund["amount"], refund_id),
    }
    account.store.save(refund)
    charge = account.get("charge", refund["charge"])
    _refunded_by(charge, -refund["amount"])
    account.store.save(charge)
    account.emit("refund.updated", refund)
    account.emit("refund.failed", refund)
    return refund


def retrieve(account: Account, refund_id: str, _: Params) -> JsonObject:
    return account.get("refund", refund_id)


def update(account: Account, refund_id: str, params: Update) -> JsonObject:
    refund = account.get("refund", refund_id)
    refund["metadata"] = params.merged(refund["metadata"])
    account.emit("refund.updated", account.store.save(refund))
    return refund


def list_refunds(account: Account, params: ListRefunds) -> JsonObject:
    links = {"payment_intent": params.payment_intent, "charge": params.charge}
    return page(account, "refund", params, links)


def successful_charge(account: Account, intent_id: str) -> JsonObject:
    """The charge that took the money of an intent. Raises when none did."""
    intent = account.get("payment_intent", intent_id, param="payment_intent")
    for charge in account.store.newest("charge", {"payment_intent": intent["id"]}):
        if charge["status"] == "succeeded":
            return charge
    raise invalid(
        f"This PaymentIntent ({intent_id}) does not have a successful charge to refund.",
        param="payment_intent",
    )


def _charge_to_refund(account: Account, params: Create) -> JsonObject:
    if params.charge is None and params.payment_intent is None:
        raise invalid(
            "One of the following params should be provided for this request: payment_intent or charge.",
            code="parameter_missing",
        )
    if params.charge is not None and params.payment_intent is not None:
        raise invalid("You may only specify one of these parameters: charge, payment_intent.")
    if params.payment_intent is not None:
        return successful_charge(account, params.payment_intent)
    charge = account.get("charge", params.charge or "", param="charge")
    if charge["status"] != "succeeded":
        raise invalid(f"Charge {charge['id']} has not succeeded; cannot issue a refund.", param="charge")
    return charge


def _refunded_by(charge: JsonObject, amount: int) -> None:
    charge["amount_refunded"] += amount
    charge["refunded"] = charge["amount_refunded"] == charge["amount"]
