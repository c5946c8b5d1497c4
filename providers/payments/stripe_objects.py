"""What Stripe's objects mean in the words of the payments port. Pure; no requests."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import stripe

from contracts.errors import Code, EchoError
from contracts.ids import PurchaseId, RefundId
from contracts.payments import (
    BalanceEntry,
    DisputeState,
    DisputeStatus,
    PaymentState,
    Payout,
    Provider,
    RefundState,
)

SAVED_METHOD = "saved_method"
"""Metadata of intents that were confirmed by us: their decline ends the purchase."""

STATUS = {
    "requires_payment_method": "open",
    "requires_confirmation": "open",
    "requires_action": "action_required",
    "requires_capture": "processing",
    "processing": "processing",
    "succeeded": "succeeded",
    "canceled": "canceled",
}
REFUND_STATUS = {
    "pending": "pending",
    "requires_action": "pending",
    "succeeded": "succeeded",
    "failed": "failed",
    "canceled": "failed",
}
REFUND_ID = re.compile(r"ref_[0-9a-f]{32}")
DISPUTE_STATUS = {
    "needs_response": DisputeStatus.OPEN,
    "under_review": DisputeStatus.OPEN,
    "won": DisputeStatus.WON,
    "lost": DisputeStatus.LOST,
    "appeal_needs_response": DisputeStatus.LOST,
    "appeal_under_review": DisputeStatus.LOST,
}
"""The others (`warning_*`, `prevented`) are inquiries: the bank has taken no money."""

ENTRY_KINDS = {
    "charge": "charge",
    "payment": "charge",
    "refund": "refund",
    "payment_refund": "refund",
    "refund_failure": "refund_failure",
    "payout": "payout",
    "payout_cancel": "payout",
    "payout_failure": "payout",
    "stripe_fee": "fee",
    "dispute": "dispute",
    "dispute_reversal": "dispute_reversal",
}
"""By balance transaction type, for adjustments by reporting category."""


def state(intent: stripe.PaymentIntent) -> PaymentState:
    error = intent.last_payment_error
    # The bank's word, which a failed authentication has none of; the library raises for fields that were not sent.
    words = (getattr(error, name, None) for name in ("decline_code", "code"))
    declined = None if error is None else next(filter(None, words), "declined")
    status = STATUS[intent.status]
    if status == "open" and declined and metadata(intent, SAVED_METHOD):
        status = "failed"
    charge = intent.latest_charge
    return PaymentState(
        provider_ref=intent.id,
        status=status,  # pyright: ignore[reportArgumentType]
        amount_krw=_won(intent, intent.amount),
        received_krw=intent.amount_received,
        refunded_krw=charge.amount_refunded if isinstance(charge, stripe.Charge) else 0,
        declined=declined,
        client_secret=intent.client_secret,
        customer_ref=reference(intent.customer),
    )


def of_purchase(
    intents: Iterable[stripe.PaymentIntent], purchase_id: PurchaseId
) -> stripe.PaymentIntent | None:
    """The purchase's intent. Should there ever be two, the one that money came by, else the older."""
    ours = [intent for intent in intents if metadata(intent, "purchase_id") == purchase_id]
    return min(ours, key=lambda intent: (-intent.amount_received, intent.created), default=None)


def refund(refund: stripe.Refund) -> RefundState:
    return RefundState(
        provider_ref=refund.id,
        refund_id=_refund_id(refund),
        amount_krw=_won(refund, refund.amount),
        status=REFUND_STATUS[refund.status or "pending"],  # pyright: ignore[reportArgumentType]
        failure=getattr(refund, "failure_reason", None) or "",
        created_at=_time(refund.created),
    )


def dispute(dispute: stripe.Dispute) -> DisputeState | None:
    """None: an inquiry that moves no money."""
    status = DISPUTE_STATUS.get(dispute.status)
    if status is None:
        return None
    return DisputeState(
        provider_ref=dispute.id,
        payment_ref=reference(dispute.payment_intent) or "",
        amount_krw=_won(dispute, dispute.amount),
        status=status,
        reason=dispute.reason,
        created_at=_time(dispute.created),
    )


def entry(transaction: stripe.BalanceTransaction) -> BalanceEntry:
    kind = transaction.reporting_category if transaction.type == "adjustment" else transaction.type
    source: Any = transaction.source
    expanded = isinstance(source, stripe.StripeObject)
    purchase_id = metadata(source, "purchase_id") if expanded else None
    return BalanceEntry(
        provider=Provider.STRIPE,
        entry_id=transaction.id,
        kind=ENTRY_KINDS.get(kind, "other"),  # pyright: ignore[reportArgumentType]
        amount_krw=_won(transaction, transaction.amount),
        fee_krw=transaction.fee,
        created_at=_time(transaction.created),
        payment_ref=reference(getattr(source, "payment_intent", None)) or "",
        source_ref=reference(source) or "",
        purchase_id=None if purchase_id is None else PurchaseId(purchase_id),
        refund_id=_refund_id(source) if expanded else None,
        payout_ref=reference(source) if ENTRY_KINDS.get(kind) == "payout" else None,
    )


def payout(payout: stripe.Payout) -> Payout:
    return Payout(
        provider=Provider.STRIPE,
        payout_ref=payout.id,
        amount_krw=_won(payout, payout.amount),
        status=payout.status,
        arrived_at=_time(payout.arrival_date),
    )


def reference(value: Any) -> str | None:
    """The id of an object that may be expanded."""
    return value if value is None or isinstance(value, str) else value.id


def metadata(thing: Any, key: str) -> str | None:
    entries = getattr(thing, "metadata", None)
    return entries[key] if entries is not None and key in entries else None


def _refund_id(thing: Any) -> RefundId | None:
    """Anybody with access to the dashboard may write metadata; what is no id of ours names no refund of ours."""
    value = metadata(thing, "refund_id")
    return RefundId(value) if value and REFUND_ID.fullmatch(value) else None


def _won(thing: Any, amount: int) -> int:
    """Won have no minor unit, so the number is the amount; in any other currency it would not be."""
    if thing.currency != "krw":
        raise EchoError(
            Code.PROVIDER_REFUSED, f"stripe: {thing.id} is in {thing.currency}; these books are in won"
        )
    return amount


def _time(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
