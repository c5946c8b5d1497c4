"""Disputes: the bank takes the money back at once, and returns it when the dispute is won."""

from __future__ import annotations

from typing import Literal

from dev.standins.store import JsonObject, new_id, now_s
from dev.standins.stripe import refunds
from dev.standins.stripe.account import Account
from dev.standins.stripe.balance import DISPUTE_FEE_KRW, book
from dev.standins.stripe.errors import invalid
from dev.standins.stripe.forms import Params, Text
from dev.standins.stripe.lists import CreatedListParams, page

_EVIDENCE_DUE_S = 7 * 24 * 3600


class ListDisputes(CreatedListParams):
    payment_intent: Text | None = None
    charge: Text | None = None


def open_dispute(account: Account, intent_id: str, wanted: int | None, reason: str) -> JsonObject:
    """`wanted` None: all that was not refunded. One dispute a charge."""
    charge = refunds.successful_charge(account, intent_id)
    left = charge["amount"] - charge["amount_refunded"]
    amount = left if wanted is None else wanted
    if charge["disputed"]:
        raise invalid(f"Charge {charge['id']} has been disputed already.", code="charge_disputed")
    if not 0 < amount <= left:
        raise invalid(f"₩{amount:,} cannot be disputed: ₩{left:,} is left of the charge.", param="amount")
    dispute_id = new_id("du")
    transaction_id = book(account, "adjustment", -amount, dispute_id, fee=DISPUTE_FEE_KRW, category="dispute")
    dispute = {
        "id": dispute_id,
        "object": "dispute",
        "amount": amount,
        "balance_transactions": [account.get("balance_transaction", transaction_id)],
        "charge": charge["id"],
        "created": now_s(),
        "currency": "krw",
        "enhanced_eligibility_types": [],
        "evidence": {},
        "evidence_details": {
            "due_by": now_s() + _EVIDENCE_DUE_S,
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
        },
        "is_charge_refundable": False,
        "livemode": False,
        "metadata": {},
        "payment_intent": intent_id,
        "payment_method_details": {"card": {"brand": "visa", "case_type": "chargeback"}, "type": "card"},
        "reason": reason,
        "status": "needs_response",
    }
    account.store.add("dispute", dispute, {"charge": charge["id"], "payment_intent": intent_id})
    charge |= {"disputed": True, "_dispute_status": "needs_response"}
    account.store.save(charge)
    account.emit("charge.dispute.created", dispute)
    account.emit("charge.dispute.funds_withdrawn", dispute)
    return dispute


def close_dispute(account: Account, dispute_id: str, outcome: Literal["won", "lost"]) -> JsonObject:
    dispute = account.get("dispute", dispute_id)
    if dispute["status"] != "needs_response":
        raise invalid(f"This dispute is already closed: its status is {dispute['status']}.")
    dispute["status"] = outcome
    if outcome == "won":
        transaction_id = book(
            account, "adjustment", dispute["amount"], dispute_id, category="dispute_reversal"
        )
        dispute["balance_transactions"].append(account.get("balance_transaction", transaction_id))
    account.store.save(dispute)
    account.store.save(account.get("charge", dispute["charge"]) | {"_dispute_status": outcome})
    account.emit("charge.dispute.closed", dispute)
    if outcome == "won":
        account.emit("charge.dispute.funds_reinstated", dispute)
    return dispute


def retrieve(account: Account, dispute_id: str, _: Params) -> JsonObject:
    return account.get("dispute", dispute_id)


def close(account: Account, dispute_id: str, _: Params) -> JsonObject:
    """Accepting a dispute is losing it."""
    return close_dispute(account, dispute_id, "lost")


def list_disputes(account: Account, params: ListDisputes) -> JsonObject:
    links = {"payment_intent": params.payment_intent, "charge": params.charge}
    return page(account, "dispute", params, links)
