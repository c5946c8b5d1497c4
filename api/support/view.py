"""From rows to what support sees of a purchase: nothing of the card, no name that its provider gave it."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from api.links import workflow_ui_url
from api.payments.view import base_fields, dispute_view, refund_view
from api.support import schemas
from contracts.ids import purchase_workflow_id
from contracts.payments import RefundStatus
from contracts.settings import Settings
from db import freezes, inbox, purchase_reads, refunds
from db.tables_money import Purchase, Refund


async def support_view(
    session: AsyncSession, purchase: Purchase, settings: Settings, locale: str
) -> schemas.SupportPurchase:
    rows = (await purchase_reads.refunds_of(session, [purchase.id]))[purchase.id]
    part = await refunds.refundable(session, purchase.id)
    workflow_id = purchase_workflow_id(purchase.id)
    return schemas.SupportPurchase(
        **base_fields(purchase, rows, locale),
        refunds=tuple(_refund(row) for row in rows),
        user_id=purchase.user_id,
        declined=purchase.declined,
        refundable=schemas.Refundable(credits=part.credits, amount_krw=part.krw),
        disputes=tuple(
            schemas.SupportDispute(**dict(dispute_view(dispute)), reason=dispute.reason)
            for dispute in await freezes.of_purchase(session, purchase.id)
        ),
        events=tuple(
            schemas.Event(type=event.type, received_at=event.received_at, outcome=event.outcome)
            for event in await inbox.of_purchase(session, purchase)
        ),
        workflow_id=workflow_id,
        workflow_url=workflow_ui_url(settings, workflow_id),
    )


def support_line(purchase: Purchase, refunded: Sequence[Refund], locale: str) -> schemas.SupportLine:
    return schemas.SupportLine(
        **base_fields(purchase, refunded, locale),
        refunds=tuple(refund_view(row) for row in refunded),
        user_id=purchase.user_id,
    )


def _refund(row: Refund) -> schemas.SupportRefund:
    return schemas.SupportRefund(
        **dict(refund_view(row)),
        requested_by=row.requested_by,
        note=row.note,
        failed=row.status is RefundStatus.FAILED and row.dismissed_at is None,
    )
