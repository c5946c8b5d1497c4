"""Disputes: a bank takes a payment back until it has decided. What is booked is the state as looked up at the
provider, so a closing word that comes before the opening one, or alone, ends in the same books.

Opening freezes the user's available paid credits, up to the disputed ones (db/freezes.py); what was spent already
becomes a debt only when the dispute is lost.
"""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.errors import Code, EchoError
from contracts.ids import PurchaseId
from contracts.ledger import TransferOrigin
from contracts.payments import DisputeState, DisputeStatus, PurchaseStatus
from db import charges, freezes, ledger, purchase_rows
from db.tables_money import Dispute, Purchase


async def record(
    session: AsyncSession, purchase_id: PurchaseId, state: DisputeState, origin: TransferOrigin
) -> None:
    """Bring the books to the provider's state of one dispute. PAYMENT_STATE_CONFLICT: the purchase is not paid."""
    purchase = await purchase_rows.lock(session, purchase_id)
    if purchase.status is not PurchaseStatus.PAID:
        raise EchoError(Code.PAYMENT_STATE_CONFLICT, f"purchase {purchase.id} is {purchase.status}")
    dispute = await _find_or_add(session, purchase, state)
    if dispute.status is not DisputeStatus.OPEN:
        return
    if state.status is DisputeStatus.WON:
        await _win(session, purchase, dispute, origin)
        return
    await freezes.freeze(session, purchase, dispute, origin)
    if state.status is DisputeStatus.LOST:
        await _lose(session, purchase, dispute, origin)


# The steps below are in calling order.


async def _find_or_add(session: AsyncSession, purchase: Purchase, state: DisputeState) -> Dispute:
    query = select(Dispute).where(
        Dispute.provider == purchase.provider, Dispute.provider_ref == state.provider_ref
    )
    dispute = await session.scalar(query.execution_options(populate_existing=True))
    if dispute is None:
        dispute = Dispute(
            provider=purchase.provider,
            provider_ref=state.provider_ref,
            purchase_id=purchase.id,
            claimed_krw=state.amount_krw,
            amount_krw=0,
            credits=0,
            credits_frozen=0,
            credits_owed=0,
            status=DisputeStatus.OPEN,
            reason=state.reason,
        )
        session.add(dispute)
        await session.flush()
    elif dispute.purchase_id != purchase.id:
        raise EchoError(
            Code.PAYMENT_STATE_CONFLICT, f"dispute {state.provider_ref} is of {dispute.purchase_id}"
        )
    return dispute


async def _win(session: AsyncSession, purchase: Purchase, dispute: Dispute, origin: TransferOrigin) -> None:
    moved = purchase_rows.key(purchase.id, f"dispute/{dispute.provider_ref}/won")
    if dispute.amount_krw:
        await purchase_rows.lock_job_of(session, purchase)
        await ledger.win_dispute(
            session,
            moved,
            purchase.user_id,
            dispute.credits_frozen,
            dispute.amount_krw,
            purchase.provider,
            freezes.origin_of(purchase, dispute, origin),
        )
    await _close(session, dispute, DisputeStatus.WON, 0)
    await freezes.log(
        session, purchase, dispute, origin, moved if dispute.amount_krw else None, dispute.credits_frozen
    )
    # A job that failed meanwhile had nothing to refund: its charge was the bank's.
    await charges.refund_after_the_end(session, purchase, f"job/after/{dispute.provider_ref}", origin)


async def _lose(session: AsyncSession, purchase: Purchase, dispute: Dispute, origin: TransferOrigin) -> None:
    moved = purchase_rows.key(purchase.id, f"dispute/{dispute.provider_ref}/lost")
    owed = dispute.credits - dispute.credits_frozen
    if dispute.amount_krw:
        await ledger.lose_dispute(
            session,
            moved,
            purchase.user_id,
            dispute.credits_frozen,
            owed,
            dispute.amount_krw,
            purchase.provider,
            freezes.origin_of(purchase, dispute, origin),
        )
    await _close(session, dispute, DisputeStatus.LOST, owed)
    await freezes.log(
        session, purchase, dispute, origin, moved if dispute.amount_krw else None, dispute.credits_frozen
    )


async def _close(session: AsyncSession, dispute: Dispute, status: DisputeStatus, owed: int) -> None:
    now = (await session.execute(select(func.now()))).scalar_one()
    dispute.status, dispute.credits_owed, dispute.closed_at = status, owed, now
    await session.flush()
