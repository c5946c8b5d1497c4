"""Double-entry words, after TigerBeetle's two-phase transfers. Amounts are whole credits or whole won."""

from __future__ import annotations

from enum import StrEnum
from uuid import UUID

from contracts.base import Contract


class Bucket(StrEnum):
    """Paid credits are a liability, promotional ones are not; a hold spends promotional ones first."""

    PROMO = "promo"
    PAID = "paid"


class AccountKind(StrEnum):
    # One per user and bucket
    AVAILABLE = "available"
    HELD = "held"
    # One for the whole system (cash: one per provider)
    CASH = "cash"
    REVENUE = "revenue"
    PROMO = "promo"
    ISSUED = "issued"
    """Counterpart of paid credits in circulation."""
    REFUNDS = "refunds"
    DISPUTES = "disputes"
    BREAKAGE = "breakage"


class TransferKind(StrEnum):
    GRANT = "grant"
    HOLD = "hold"
    """Pending: available to held."""
    CAPTURE = "capture"
    """Post of a hold, whole or in part; the rest returns to available in the same transfer."""
    RELEASE = "release"
    """Void of a hold."""
    EXPIRE = "expire"
    PURCHASE = "purchase"
    REFUND = "refund"
    CORRECTION = "correction"


class CreditEffect(StrEnum):
    """What a change of state did to the user's credits."""

    NONE = "none"
    HELD = "held"
    HOLD_ADJUSTED = "hold_adjusted"
    CAPTURED = "captured"
    RELEASED = "released"
    GRANTED = "granted"


class TransferOrigin(Contract):
    """Who and what caused a transfer: every row of the books can be followed to its saga."""

    actor: str
    """`user:<id>`, `system:<workflow type>`, `support:<id>`, `admin:<id>`."""
    step: str
    workflow_id: str = ""
    run_id: str = ""
    job_id: str = ""
    reason: str = ""


class Balance(Contract):
    """A user's credits; `available` can be spent, `held` is promised to running jobs."""

    available: int
    held: int
    available_promo: int
    available_paid: int
    held_promo: int
    held_paid: int


class HoldState(Contract):
    """A hold as the ledger knows it."""

    hold_id: UUID
    amount: int
    resolved_by: TransferKind | None = None
    """CAPTURE, RELEASE or EXPIRE once resolved; None while pending."""
