"""What PortOne's payments mean in the words of the payments port. Pure; no requests."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from contracts.errors import Code, EchoError
from contracts.ids import PurchaseId, RefundId
from contracts.payments import BalanceEntry, PaymentState, Provider, RefundState

Json = dict[str, Any]

STATUS = {
    "READY": "open",
    "PENDING": "processing",
    "PAY_PENDING": "processing",
    "VIRTUAL_ACCOUNT_ISSUED": "processing",
    "FAILED": "open",
    "PAID": "succeeded",
    "PARTIAL_CANCELLED": "succeeded",
    "CANCELLED": "succeeded",
}
"""Cancelled payments were made and given back; those are refunds here."""
REFUND_STATUS = {"REQUESTED": "pending", "SUCCEEDED": "succeeded", "FAILED": "failed"}

PURCHASE_ID = re.compile(r"pur_[0-9a-f]{32}")
REFUND_ID = re.compile(r"ref_[0-9a-f]{32}")


def state(payment: Json) -> PaymentState:
    status = STATUS[payment["status"]]
    declined = None
    if payment["status"] == "FAILED":
        failure = payment.get("failure", {})
        declined = str(failure.get("pgCode") or failure.get("reason") or "declined")
        # A customer in the app may try again under the same id; a saved billing key would say the same again.
        status = "failed" if payment.get("billingKey") else "open"
    if payment["status"] == "CANCELLED" and not payment.get("paidAt"):
        status = "canceled"  # an account to transfer to, withdrawn before anybody did
    total = _won(payment, payment["amount"]["total"])
    return PaymentState(
        provider_ref=payment["id"],
        status=status,  # pyright: ignore[reportArgumentType]
        amount_krw=total,
        received_krw=total if status == "succeeded" else 0,
        refunded_krw=payment["amount"].get("cancelled", 0),
        declined=declined,
    )


def cancellable(payment: Json) -> int:
    """Won that can still be cancelled; PortOne compares it with its own count, in which what was only requested
    of the gateway counts too."""
    alive = [c["totalAmount"] for c in payment.get("cancellations", []) if c["status"] != "FAILED"]
    return payment["amount"]["total"] - sum(alive)


def refunds(payment: Json) -> list[RefundState]:
    cancellations = payment.get("cancellations", [])
    return [refund(cancellation) for cancellation in sorted(cancellations, key=lambda c: c["requestedAt"])]


def refund(cancellation: Json) -> RefundState:
    return RefundState(
        provider_ref=cancellation["id"],
        refund_id=_refund_id(cancellation),
        amount_krw=cancellation["totalAmount"],
        status=REFUND_STATUS[cancellation["status"]],  # pyright: ignore[reportArgumentType]
        failure="cancellation_failed" if cancellation["status"] == "FAILED" else "",
        created_at=datetime.fromisoformat(cancellation["requestedAt"]),
    )


def entries(payment: Json) -> Iterator[BalanceEntry]:
    """The payment and what was given back of it. PortOne knows no fees."""
    if not payment.get("paidAt"):
        return
    ours = PURCHASE_ID.fullmatch(payment["id"])
    purchase_id = PurchaseId(payment["id"]) if ours else None
    yield BalanceEntry(
        provider=Provider.PORTONE,
        entry_id=payment["transactionId"],
        kind="charge",
        amount_krw=_won(payment, payment["amount"]["total"]),
        fee_krw=0,
        created_at=datetime.fromisoformat(payment["paidAt"]),
        payment_ref=payment["id"],
        source_ref=payment["transactionId"],
        purchase_id=purchase_id,
    )
    for cancellation in payment.get("cancellations", []):
        if cancellation["status"] == "SUCCEEDED":
            yield BalanceEntry(
                provider=Provider.PORTONE,
                entry_id=cancellation["id"],
                kind="refund",
                amount_krw=-cancellation["totalAmount"],
                fee_krw=0,
                created_at=datetime.fromisoformat(
                    cancellation.get("cancelledAt") or cancellation["requestedAt"]
                ),
                payment_ref=payment["id"],
                source_ref=cancellation["id"],
                purchase_id=purchase_id,
                refund_id=_refund_id(cancellation),
            )


def _refund_id(cancellation: Json) -> RefundId | None:
    """PortOne's cancellations carry no data of ours but the reason."""
    found = REFUND_ID.search(cancellation.get("reason", ""))
    return RefundId(found[0]) if found else None


def _won(payment: Json, amount: int) -> int:
    if payment["currency"] != "KRW":
        raise EchoError(
            Code.PROVIDER_REFUSED, f"portone: {payment['id']} is in {payment['currency']}, not in won"
        )
    return amount
