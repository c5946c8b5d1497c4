"""The payments port: what every provider of card payments is asked and answers. Amounts are whole won."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Literal

from contracts.base import Contract
from contracts.ids import PurchaseId, RefundId, UserId
from contracts.text import Told


class Provider(StrEnum):
    STRIPE = "stripe"
    PORTONE = "portone"


class PurchaseStatus(StrEnum):
    CREATED = "CREATED"
    """Written down; the provider may not know of it yet."""
    AWAITING_PAYMENT = "AWAITING_PAYMENT"
    """The customer pays, or the bank asks for authentication."""
    PAID = "PAID"
    """Credits granted. Refunds and disputes are rows of their own."""
    FAILED = "FAILED"
    """Declined for good, only of a payment without the customer at hand (a job's charge)."""
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"

    @property
    def settled(self) -> bool:
        return self not in (PurchaseStatus.CREATED, PurchaseStatus.AWAITING_PAYMENT)


class RefundTo(StrEnum):
    """Where the money of a job paid by card goes when the job fails: the customer's choice."""

    CARD = "card"
    CREDITS = "credits"


class RefundReason(StrEnum):
    JOB_FAILED = "job_failed"
    JOB_CANCELED = "job_canceled"
    JOB_EXPIRED = "job_expired"
    JOB_CHEAPER = "job_cheaper"
    """The measured price was lower than the charge."""
    REQUESTED_BY_CUSTOMER = "requested_by_customer"
    DUPLICATE = "duplicate"
    FRAUDULENT = "fraudulent"
    SERVICE_FAULT = "service_fault"
    GOODWILL = "goodwill"
    PROVIDER_DASHBOARD = "provider_dashboard"
    """Started at the provider, not here."""


class RefundStatus(StrEnum):
    REQUESTED = "REQUESTED"
    """Credits put aside; the provider may not know of it yet."""
    PENDING = "PENDING"
    """Accepted by the provider, not yet with the bank."""
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    """Credits given back."""

    @property
    def settled(self) -> bool:
        return self in (RefundStatus.SUCCEEDED, RefundStatus.FAILED)


class DisputeStatus(StrEnum):
    OPEN = "OPEN"
    WON = "WON"
    LOST = "LOST"


# What the port is asked.


class PaymentOrder(Contract):
    """One payment. Its id at the provider or its idempotency key is derived from `purchase_id` alone."""

    purchase_id: PurchaseId
    user_id: UserId
    amount_krw: int
    description: str
    customer_ref: str | None = None
    """The provider's name of the customer, once known."""
    payment_method: str | None = None
    """A saved method: confirm at once. None: the customer chooses in the app."""
    first_try: bool = False
    """So young that its key answers for whatever was sent for it before: no look is needed first (docs/adr/028)."""


class RefundOrder(Contract):
    """One refund; the idempotency key is derived from `refund_id` alone."""

    refund_id: RefundId
    purchase_id: PurchaseId
    provider_ref: str
    amount_krw: int
    refunded_krw_before: int
    """Sum of the purchase's earlier refunds, for providers that check it."""
    reason: RefundReason


# What the port answers. A declined card is an answer; only an outage or a refusal of the request is an error.


class PaymentState(Contract):
    """A payment as the provider says it is now."""

    provider_ref: Told
    status: Literal["open", "action_required", "processing", "succeeded", "canceled", "failed"]
    """`open`: the customer may still pay or try another card; `failed`: no second try is possible."""
    amount_krw: int
    received_krw: int = 0
    refunded_krw: int = 0
    declined: Told | None = None
    """Of the latest try: the provider's decline code."""
    client_secret: str | None = None
    """For the app, which completes the payment. Never stored by us."""
    customer_ref: Told | None = None


class Checkout(Contract):
    """What the app's payment SDK needs."""

    provider: Provider
    provider_ref: Told
    publishable_key: str | None = None
    client_secret: str | None = None
    customer_ref: Told | None = None
    customer_session_client_secret: str | None = None
    store_id: str | None = None
    channel_key: str | None = None
    payment_id: str | None = None
    """PortOne: the `paymentId` to pay under."""
    order_name: str | None = None


class RefundState(Contract):
    """A refund as the provider says it is now."""

    provider_ref: Told
    refund_id: RefundId | None
    """None: started in the provider's dashboard."""
    amount_krw: int
    status: Literal["pending", "succeeded", "failed"]
    failure: Told = ""
    created_at: datetime | None = None


class DisputeState(Contract):
    provider_ref: Told
    payment_ref: Told
    amount_krw: int
    status: DisputeStatus
    reason: Told = ""
    created_at: datetime | None = None


class ProviderEvent(Contract):
    """What a verified webhook says. It is only a hint: the object is always looked up."""

    provider: Provider
    event_id: Told
    type: Told
    occurred_at: datetime
    object_ref: Told
    """The payment that the event is about, in the provider's words ('' when it is about none, such as a payout)."""
    purchase_id: PurchaseId | None
    """From the payment's metadata, if it is one of ours."""


class BalanceEntry(Contract):
    """A movement of the provider's balance, for reconciliation."""

    provider: Provider
    entry_id: Told
    kind: Literal[
        "charge", "refund", "refund_failure", "dispute", "dispute_reversal", "payout", "fee", "other"
    ]
    amount_krw: int
    """Gross, signed as the balance moves."""
    fee_krw: int
    created_at: datetime
    payment_ref: Told = ""
    source_ref: Told = ""
    """Charge, refund, dispute or payout."""
    purchase_id: PurchaseId | None = None
    refund_id: RefundId | None = None
    payout_ref: Told | None = None


class Payout(Contract):
    provider: Provider
    payout_ref: Told
    amount_krw: int
    status: Told
    arrived_at: datetime
