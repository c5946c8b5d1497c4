"""Bodies of `/v1/payments`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field, StringConstraints

from api.shapes import Body, NoCard, PageQuery, PurchaseIdText, View
from contracts.declines import Decline
from contracts.ids import PurchaseId, RefundId
from contracts.payments import (
    Checkout,
    DisputeStatus,
    Provider,
    PurchaseStatus,
    RefundReason,
    RefundStatus,
    RefundTo,
)

PackageName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,40}$")]
PaymentMethod = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:-]{1,255}$"), NoCard]
"""A saved card in the provider's words: Stripe's `pm_...`, PortOne's billing key. Never a card number."""


class TokenRequest(Body):
    """A package of credits to buy."""

    package: PackageName = Field(examples=["100"])
    """Of the price list in `GET /v1/pricing`."""
    provider: Provider | None = None
    """By default the platform's own choice."""
    payment_method: PaymentMethod | None = None
    """A saved card, which is charged at once. Without it the customer pays in the app, with the `checkout`."""


class Failure(View):
    """Why a purchase ended unpaid."""

    code: str
    message: str
    """A sentence for the user, in Korean or English."""


class Declined(View):
    """Why the bank did not let the card pay."""

    reason: Decline
    """Suspected fraud and lost cards are `refused`, like whatever the bank does not explain."""
    message: str
    """A sentence for the user, in Korean or English, with what to do next."""


class Refund(View):
    """Money on its way back."""

    id: RefundId
    amount_krw: int
    credits: int
    status: RefundStatus
    reason: RefundReason
    created_at: datetime
    finished_at: datetime | None


class Dispute(View):
    """A payment that a bank takes back, or means to."""

    amount_krw: int
    """Of the purchase; what was refunded before is not in dispute."""
    status: DisputeStatus
    credits_frozen: int
    """Taken out of the balance: for good once lost, back once won."""
    credits_owed: int
    """Of a lost one: credits that were spent before, now a debt."""
    opened_at: datetime
    closed_at: datetime | None


class PurchaseBase(View):
    """What everybody who may see a purchase sees of it."""

    id: PurchaseId
    provider: Provider
    status: PurchaseStatus
    credits: int
    amount_krw: int
    price_id: str | None
    """Of the price list at the time; null for a job's own charge."""
    job_id: str | None
    """The job that the purchase pays for."""
    refund_to: RefundTo
    """Where the money of a job goes that ends without a result."""
    refunded_krw: int
    """Refunds that have not failed."""
    failure: Failure | None
    created_at: datetime
    paid_at: datetime | None


class Purchase(PurchaseBase):
    """A purchase as its owner sees it."""

    refunds: tuple[Refund, ...]
    """Oldest first."""
    disputes: tuple[Dispute, ...]
    """Oldest first."""
    payment_method: str | None
    status_url: str
    cancel_url: str
    receipt_url: str


class PurchaseCheckout(View):
    """A purchase and, while it is not paid, what the app's payment SDK needs."""

    purchase: Purchase
    checkout: Checkout | None
    """Null once the purchase is settled, and while the payment service is away: then ask `status_url` again."""
    action_required: bool
    """The bank asks the customer for authentication: let the SDK handle it with `checkout`."""
    declined: Declined | None
    """Why the latest card was declined; while the purchase is not settled, another may be tried."""


class PurchasePage(View):
    data: tuple[Purchase, ...]
    has_more: bool


class PurchaseQuery(PageQuery[PurchaseIdText]):
    """A page of purchases."""
