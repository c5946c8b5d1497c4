"""From rows to the purchase that its owner sees."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from api.links import Links
from api.payments import schemas
from contracts.declines import decline_of, decline_sentence, failure_sentence
from contracts.payments import PurchaseStatus, RefundStatus
from db import purchase_reads
from db import tables_money as tables


async def purchase_view(
    session: AsyncSession, purchase: tables.Purchase, links: Links, locale: str
) -> schemas.Purchase:
    return (await purchase_views(session, [purchase], links, locale))[0]


async def purchase_views(
    session: AsyncSession, purchases: Sequence[tables.Purchase], links: Links, locale: str
) -> tuple[schemas.Purchase, ...]:
    ids = [purchase.id for purchase in purchases if purchase.status is PurchaseStatus.PAID]
    refunded = await purchase_reads.refunds_of(session, ids)
    disputed = await purchase_reads.disputes_of(session, ids)
    return tuple(
        schemas.Purchase(
            **base_fields(purchase, refunded[purchase.id], locale),
            refunds=tuple(refund_view(row) for row in refunded[purchase.id]),
            disputes=tuple(dispute_view(row) for row in disputed[purchase.id]),
            payment_method=purchase.payment_method,
            status_url=links.payment(purchase.id),
            cancel_url=links.payment(purchase.id, "cancel"),
            receipt_url=links.payment(purchase.id, "receipt"),
        )
        for purchase in purchases
    )


def base_fields(purchase: tables.Purchase, refunded: Sequence[tables.Refund], locale: str) -> dict[str, Any]:
    """What owner and support both see, but for the refunds themselves: nothing of the card."""
    code, declined = purchase.failure_code, purchase.declined
    return {
        "id": purchase.id,
        "provider": purchase.provider,
        "status": purchase.status,
        "credits": purchase.credits,
        "amount_krw": purchase.amount_krw,
        "price_id": purchase.price_id,
        "job_id": purchase.job_id,
        "refund_to": purchase.refund_to,
        "refunded_krw": sum(row.amount_krw for row in refunded if row.status is not RefundStatus.FAILED),
        "failure": schemas.Failure(code=code, message=failure_sentence(code, declined, locale))
        if code
        else None,
        "created_at": purchase.created_at,
        "paid_at": purchase.paid_at,
    }


def declined_view(purchase: tables.Purchase, locale: str) -> schemas.Declined | None:
    code = purchase.declined
    return schemas.Declined(reason=decline_of(code), message=decline_sentence(code, locale)) if code else None


def refund_view(row: tables.Refund) -> schemas.Refund:
    return schemas.Refund(
        id=row.id,
        amount_krw=row.amount_krw,
        credits=row.credits,
        status=row.status,
        reason=row.reason,
        created_at=row.created_at,
        finished_at=row.finished_at,
    )


def dispute_view(row: tables.Dispute) -> schemas.Dispute:
    return schemas.Dispute(
        amount_krw=row.amount_krw,
        status=row.status,
        credits_frozen=row.credits_frozen,
        credits_owed=row.credits_owed,
        opened_at=row.opened_at,
        closed_at=row.closed_at,
    )
