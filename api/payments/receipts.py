"""The receipt of a purchase: what was paid, for what, and what came back since."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncSession

from api.payments.schemas import Dispute
from api.payments.view import dispute_view
from api.shapes import View
from contracts.errors import Code, EchoError
from contracts.ids import PurchaseId, purchase_workflow_id
from contracts.payments import Provider, PurchaseStatus, RefundReason, RefundStatus
from contracts.settings import Settings
from contracts.signing import sign, signing_key
from db import purchase_reads
from db import tables_money as tables


class ReceiptRefund(View):
    id: str
    amount_krw: int
    credits: int
    reason: RefundReason
    finished_at: datetime | None


class Receipt(View):
    """Whole won and credits. With `signature`, a detached JWS (Ed25519) over the canonical JSON of all others."""

    type: Literal["echoshot.receipt"] = "echoshot.receipt"
    purchase_id: PurchaseId
    user_id: str
    job_id: str | None
    credits: int
    amount_krw: int
    provider: Provider
    provider_ref: str | None
    """The payment's name at the provider, as on its own receipt."""
    paid_at: datetime
    transfer_id: str
    """Of the purchase, in the journal."""
    workflow_id: str
    refunds: tuple[ReceiptRefund, ...]
    """Those that have reached the card."""
    refunded_krw: int
    disputes: tuple[Dispute, ...]
    """Payments that a bank takes back, open and closed."""
    issued_at: datetime
    signature: str | None = Field(default=None, examples=["eyJhbGciOiJFZERTQSJ9..MEUC"])


async def receipt_of(session: AsyncSession, purchase: tables.Purchase, settings: Settings) -> Receipt:
    """PAYMENT_STATE_CONFLICT for a purchase that was not paid."""
    if purchase.status is not PurchaseStatus.PAID:
        raise EchoError(
            Code.PAYMENT_STATE_CONFLICT, f"no receipt of {purchase.id}", {"state": purchase.status}
        )
    assert purchase.paid_at
    done = [
        row
        for row in (await purchase_reads.refunds_of(session, [purchase.id]))[purchase.id]
        if row.status is RefundStatus.SUCCEEDED
    ]
    disputed = await purchase_reads.disputes_of(session, [purchase.id])
    receipt = Receipt(
        purchase_id=purchase.id,
        user_id=purchase.user_id,
        job_id=purchase.job_id,
        credits=purchase.credits,
        amount_krw=purchase.amount_krw,
        provider=purchase.provider,
        provider_ref=purchase.provider_ref,
        paid_at=purchase.paid_at,
        transfer_id=str(purchase.transfer_id),
        workflow_id=purchase_workflow_id(purchase.id),
        refunds=tuple(
            ReceiptRefund(
                id=row.id,
                amount_krw=row.amount_krw,
                credits=row.credits,
                reason=row.reason,
                finished_at=row.finished_at,
            )
            for row in done
        ),
        refunded_krw=sum(row.amount_krw for row in done),
        disputes=tuple(dispute_view(row) for row in disputed[purchase.id]),
        issued_at=datetime.now(UTC),
    )
    key = signing_key(settings.signing_key.get_secret_value())
    if key is None:
        return receipt
    document = receipt.model_dump(mode="json", exclude={"signature"})
    return receipt.model_copy(update={"signature": sign(document, key)})
