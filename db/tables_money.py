"""Rows of purchases and what becomes of them. Who may change what, and when, is enforced by migration 0004."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.schema import FetchedValue

from contracts.ids import JobId, PurchaseId, RefundId, UserId
from contracts.payments import DisputeStatus, Provider, PurchaseStatus, RefundReason, RefundStatus, RefundTo
from db.columns import Word
from db.tables import Base


class Price(Base):
    __tablename__ = "price_list"

    id: Mapped[str] = mapped_column(primary_key=True)
    package: Mapped[str]
    credits: Mapped[int]
    krw: Mapped[int]
    valid_from: Mapped[datetime]
    valid_to: Mapped[datetime | None]


class Purchase(Base):
    __tablename__ = "purchases"

    id: Mapped[PurchaseId] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(server_default=FetchedValue())
    """Rises with time, as the ids do not."""
    user_id: Mapped[UserId]
    provider: Mapped[Provider] = mapped_column(Word(Provider))
    price_id: Mapped[str | None]
    """None: a job's charge."""
    credits: Mapped[int]
    amount_krw: Mapped[int]
    status: Mapped[PurchaseStatus] = mapped_column(Word(PurchaseStatus))
    job_id: Mapped[JobId | None]
    """The job that it pays for."""
    payment_method: Mapped[str | None]
    """The provider's name of a saved method, never a card's number."""
    refund_to: Mapped[RefundTo] = mapped_column(Word(RefundTo))
    provider_ref: Mapped[str | None]
    failure_code: Mapped[str | None]
    declined: Mapped[str | None]
    """The provider's code of the latest try: for support, never for the customer."""
    transfer_id: Mapped[UUID | None]
    version: Mapped[int] = mapped_column(default=1)
    """Rises with every change that the owner can see: the ETag."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    paid_at: Mapped[datetime | None]


class Refund(Base):
    __tablename__ = "refunds"

    id: Mapped[RefundId] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(server_default=FetchedValue())
    purchase_id: Mapped[PurchaseId]
    credits: Mapped[int]
    credits_owed: Mapped[int] = mapped_column(default=0)
    """Of `credits`, those that the user had spent already."""
    amount_krw: Mapped[int]
    reason: Mapped[RefundReason] = mapped_column(Word(RefundReason))
    status: Mapped[RefundStatus] = mapped_column(Word(RefundStatus))
    requested_by: Mapped[str]
    note: Mapped[str] = mapped_column(default="")
    provider_ref: Mapped[str | None]
    reserve_transfer_id: Mapped[UUID | None]
    settle_transfer_id: Mapped[UUID | None]
    return_transfer_id: Mapped[UUID | None]
    failure: Mapped[str] = mapped_column(default="")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    finished_at: Mapped[datetime | None]
    dismissed_at: Mapped[datetime | None]
    """When support had seen that it failed."""

    @property
    def credits_taken(self) -> int:
        return self.credits - self.credits_owed


class Dispute(Base):
    __tablename__ = "disputes"

    provider: Mapped[Provider] = mapped_column(Word(Provider), primary_key=True)
    provider_ref: Mapped[str] = mapped_column(primary_key=True)
    purchase_id: Mapped[PurchaseId]
    claimed_krw: Mapped[int]
    """What the bank asks for."""
    amount_krw: Mapped[int] = mapped_column(default=0)
    """What of it is booked: at most what was paid and is not refunded."""
    credits: Mapped[int] = mapped_column(default=0)
    credits_frozen: Mapped[int] = mapped_column(default=0)
    credits_owed: Mapped[int] = mapped_column(default=0)
    """Of a lost one: credits that were spent, now the user's debt."""
    status: Mapped[DisputeStatus] = mapped_column(Word(DisputeStatus))
    reason: Mapped[str] = mapped_column(default="")
    opened_at: Mapped[datetime] = mapped_column(server_default=func.now())
    closed_at: Mapped[datetime | None]


class Customer(Base):
    __tablename__ = "customers"

    user_id: Mapped[UserId] = mapped_column(primary_key=True)
    provider: Mapped[Provider] = mapped_column(Word(Provider), primary_key=True)
    customer_ref: Mapped[str]


class WebhookEvent(Base):
    __tablename__ = "webhook_inbox"

    provider: Mapped[Provider] = mapped_column(Word(Provider), primary_key=True)
    event_id: Mapped[str] = mapped_column(primary_key=True)
    type: Mapped[str]
    object_ref: Mapped[str]
    purchase_id: Mapped[PurchaseId | None]
    payload: Mapped[dict[str, Any]]
    event_at: Mapped[datetime]
    received_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    delivered_at: Mapped[datetime | None]
    outcome: Mapped[str | None]
