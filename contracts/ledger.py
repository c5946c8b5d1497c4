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
    DEBT = "debt"
    """Credits that were spent and whose payment a bank took back; never negative, never offset by itself."""
    # One for the whole system (cash: one per provider)
    CASH = "cash"
    REVENUE = "revenue"
    PROMO = "promo"
    ISSUED = "issued"
    """Counterpart of paid credits in circulation."""
    REFUNDS = "refunds"
    """One per user: credits on their way back to a card; empty when no refund is under way."""
    DISPUTES = "disputes"
    """One per user for credits that a bank has frozen, one per provider for the won."""
    LOSSES = "losses"
    """Counterpart of debts."""
    BREAKAGE = "breakage"
    """Promotional credits that nobody used in time."""


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
    DISPUTE = "dispute"
    CORRECTION = "correction"


class CreditEffect(StrEnum):
    """What a change of state did to the user's credits."""

    NONE = "none"
    HELD = "held"
    HOLD_ADJUSTED = "hold_adjusted"
    CAPTURED = "captured"
    RELEASED = "released"
    GRANTED = "granted"
    CHARGED = "charged"
    """A card paid for the job; the credits were granted and held in the same moment."""
    REFUNDED = "refunded"
    """The hold was released and the charge is on its way back to the card."""


class TransferOrigin(Contract):
    """Who and what caused a transfer: every row of the books can be followed to its saga."""

    actor: str
    """`user:<id>`, `system:<workflow type>`, `support:<id>`, `admin:<id>`."""
    step: str
    workflow_id: str = ""
    run_id: str = ""
    job_id: str = ""
    purchase_id: str = ""
    reason: str = ""


class Balance(Contract):
    """A user's credits; `available` can be spent, `held` is promised to running jobs."""

    available: int
    held: int
    available_promo: int
    available_paid: int
    held_promo: int
    held_paid: int
    debt: int = 0
    """Credits that were spent and whose payment a bank took back."""


class HoldState(Contract):
    """A hold as the ledger knows it."""

    hold_id: UUID
    amount: int
    resolved_by: TransferKind | None = None
    """CAPTURE, RELEASE or EXPIRE once resolved; None while pending."""
