"""What people are shown of purchases, many at a time: one query each, however long the page."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.ids import JobId, PurchaseId
from contracts.payments import Provider
from db.tables_money import Dispute, Price, Purchase, Refund


async def refunds_of(
    session: AsyncSession, purchase_ids: Collection[PurchaseId]
) -> Mapping[PurchaseId, Sequence[Refund]]:
    """Oldest first; empty for a purchase without any."""
    found: defaultdict[PurchaseId, list[Refund]] = defaultdict(list)
    if purchase_ids:
        query = select(Refund).where(Refund.purchase_id.in_(purchase_ids)).order_by(Refund.seq)
        for refund in await session.scalars(query):
            found[refund.purchase_id].append(refund)
    return found


async def disputes_of(
    session: AsyncSession, purchase_ids: Collection[PurchaseId]
) -> Mapping[PurchaseId, Sequence[Dispute]]:
    """Oldest first; empty for a purchase without any."""
    found: defaultdict[PurchaseId, list[Dispute]] = defaultdict(list)
    if purchase_ids:
        query = select(Dispute).where(Dispute.purchase_id.in_(purchase_ids))
        for dispute in await session.scalars(query.order_by(Dispute.opened_at, Dispute.provider_ref)):
            found[dispute.purchase_id].append(dispute)
    return found


async def charges_of(session: AsyncSession, job_ids: Collection[JobId]) -> dict[JobId, Purchase]:
    """The purchases that pay for these jobs; those paid from the balance have none."""
    query = select(Purchase).where(Purchase.job_id.in_(job_ids))
    return {purchase.job_id: purchase for purchase in await session.scalars(query) if purchase.job_id}


async def by_provider_ref(session: AsyncSession, provider: Provider, provider_ref: str) -> Purchase | None:
    query = select(Purchase).where(Purchase.provider == provider, Purchase.provider_ref == provider_ref)
    return await session.scalar(query)


async def price(session: AsyncSession, price_id: str) -> Price | None:
    """On sale or not: old purchases keep theirs."""
    return await session.get(Price, price_id)
