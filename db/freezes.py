"""What open disputes take out of a user's hands, as far as it is there.

A dispute that must leave room for a refund is extended when that refund fails, even if the bank has decided by then,
and an open one that found its credits held when the hold is released; so refunds and disputes of a purchase together
never take more than was paid, and what a bank has kept is nobody's credit.
"""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.ids import PurchaseId
from contracts.ledger import TransferOrigin
from contracts.payments import DisputeStatus
from db import ledger, purchase_rows, saga_log
from db.tables_money import Dispute, Purchase


async def extend(session: AsyncSession, purchase: Purchase, origin: TransferOrigin) -> None:
    """Room or credits have come free: disputes of the purchase take what they could not take before."""
    for dispute in await of_purchase(session, purchase.id):
        if dispute.status is DisputeStatus.OPEN:
            await freeze(session, purchase, dispute, origin)
        elif dispute.status is DisputeStatus.LOST:
            await _lose_more(session, purchase, dispute, origin)


async def freeze(session: AsyncSession, purchase: Purchase, dispute: Dispute, origin: TransferOrigin) -> None:
    """Take what is claimed and not booked yet, as far as refunds leave room and credits are available."""
    taken = await purchase_rows.taken_back(session, purchase.id)
    krw = min(dispute.claimed_krw - dispute.amount_krw, purchase.amount_krw - taken.krw)
    credits = dispute.credits + (purchase_rows.credits_for(purchase, taken, krw) if krw else 0)
    await purchase_rows.lock_job_of(session, purchase)
    available = (await ledger.lock_balance(session, purchase.user_id)).available_paid
    frozen = min(credits - dispute.credits_frozen, available)
    if krw == 0 and frozen == 0:
        return
    # What is booked so far names the move: a repeat finds the row moved on, and takes nothing.
    moved = purchase_rows.key(
        purchase.id, f"dispute/{dispute.provider_ref}/after/{dispute.amount_krw}/{dispute.credits_frozen}"
    )
    await ledger.open_dispute(
        session, moved, purchase.user_id, frozen, krw, purchase.provider, origin_of(purchase, dispute, origin)
    )
    dispute.amount_krw += krw
    dispute.credits, dispute.credits_frozen = credits, dispute.credits_frozen + frozen
    await session.flush()
    await log(session, purchase, dispute, origin, moved, frozen)


async def _lose_more(
    session: AsyncSession, purchase: Purchase, dispute: Dispute, origin: TransferOrigin
) -> None:
    """The bank had decided while a refund of the same money was on its way; that refund has failed."""
    taken = await purchase_rows.taken_back(session, purchase.id)
    krw = min(dispute.claimed_krw - dispute.amount_krw, purchase.amount_krw - taken.krw)
    if krw == 0:
        return
    credits = purchase_rows.credits_for(purchase, taken, krw)
    await purchase_rows.lock_job_of(session, purchase)
    frozen = min(credits, (await ledger.lock_balance(session, purchase.user_id)).available_paid)
    owed = credits - frozen
    step = f"dispute/{dispute.provider_ref}/after/{dispute.amount_krw}/{dispute.credits_frozen}"
    opened, lost = purchase_rows.key(purchase.id, step), purchase_rows.key(purchase.id, f"{step}/lost")
    named, user_id, provider = origin_of(purchase, dispute, origin), purchase.user_id, purchase.provider
    await ledger.open_dispute(session, opened, user_id, frozen, krw, provider, named)
    await ledger.lose_dispute(session, lost, user_id, frozen, owed, krw, provider, named)
    # All at once: the table's checks judge every UPDATE.
    dispute.amount_krw += krw
    dispute.credits += credits
    dispute.credits_frozen += frozen
    dispute.credits_owed += owed
    await session.flush()
    for moved in (opened, lost):
        await log(session, purchase, dispute, origin, moved, frozen)


async def of_purchase(session: AsyncSession, purchase_id: PurchaseId) -> list[Dispute]:
    """Oldest first."""
    query = select(Dispute).where(Dispute.purchase_id == purchase_id)
    query = query.order_by(Dispute.opened_at, Dispute.provider_ref)
    return list((await session.scalars(query.execution_options(populate_existing=True))).all())


def origin_of(purchase: Purchase, dispute: Dispute, origin: TransferOrigin) -> TransferOrigin:
    named = purchase_rows.origin_of(purchase, origin)
    return named.model_copy(update={"reason": dispute.reason})


async def log(
    session: AsyncSession,
    purchase: Purchase,
    dispute: Dispute,
    origin: TransferOrigin,
    transfer_id: UUID | None,
    credits: int,
) -> None:
    """In the saga log of the job that the purchase pays for, if it pays for one."""
    purchase.version += 1
    if purchase.job_id is None:
        return
    await saga_log.append(
        session, purchase.job_id, "dispute", "done", origin,
        key=f"dispute/{dispute.provider_ref}/{dispute.status}/{transfer_id}",
        credits=credits, transfer_id=transfer_id,
        detail=f"{dispute.status}: {dispute.amount_krw} won, {credits} credits frozen, {dispute.credits_owed} owed",
    )  # fmt: skip
