"""Purchases as rows: written, found and locked. What moves their money is in purchases, refunds and disputes.

Locks are taken in this order everywhere: the purchase, its job, the user's accounts.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.errors import Code, EchoError
from contracts.ids import JobId, PurchaseId, TransferId, UserId, purchase_workflow_id, transfer_id
from contracts.ledger import TransferOrigin
from db import jobs
from db.tables import Job
from db.tables_money import Purchase

TAKEN_BACK = text("""
    SELECT coalesce(sum(credits), 0)::bigint AS credits, coalesce(sum(amount_krw), 0)::bigint AS krw
      FROM (SELECT credits, amount_krw FROM refunds WHERE purchase_id = :purchase_id AND status <> 'FAILED'
             UNION ALL
            SELECT credits, amount_krw FROM disputes WHERE purchase_id = :purchase_id AND status <> 'WON') back""")


async def get(
    session: AsyncSession, purchase_id: PurchaseId, user_id: UserId | None = None
) -> Purchase | None:
    """None also for another user's purchase, when `user_id` is given."""
    query = select(Purchase).where(Purchase.id == purchase_id)
    if user_id is not None:
        query = query.where(Purchase.user_id == user_id)
    return await session.scalar(query.execution_options(populate_existing=True))


async def lock(session: AsyncSession, purchase_id: PurchaseId) -> Purchase:
    """The purchase, and nobody else changes it, its refunds or disputes until this transaction ends."""
    query = select(Purchase).where(Purchase.id == purchase_id).with_for_update(key_share=True)
    purchase = await session.scalar(query.execution_options(populate_existing=True))
    if purchase is None:
        raise EchoError(Code.NOT_FOUND, f"purchase {purchase_id}")
    return purchase


async def lock_charge_of(session: AsyncSession, job_id: JobId) -> Purchase | None:
    """The purchase that pays for the job, locked; to be called before the job is. None: paid from the balance."""
    # Which purchase it is never changes, so it may be read before any lock.
    purchase_id = await session.scalar(select(Job.purchase_id).where(Job.id == job_id))
    return None if purchase_id is None else await lock(session, purchase_id)


async def lock_job_of(session: AsyncSession, purchase: Purchase) -> Job | None:
    """The job that the (locked) purchase pays for, locked; None when it pays for none."""
    return None if purchase.job_id is None else await jobs.lock_job(session, purchase.job_id)


@dataclass(frozen=True)
class Part:
    """Of a purchase."""

    credits: int
    krw: int


async def taken_back(session: AsyncSession, purchase_id: PurchaseId) -> Part:
    """By refunds that have not failed and disputes that are not won."""
    row = (await session.execute(TAKEN_BACK, {"purchase_id": purchase_id})).one()
    return Part(row.credits, row.krw)


def krw_for(purchase: Purchase, taken: Part, credits: int) -> int:
    """Won that go back with `credits` more: rounded down over all parts together, so that parts never exceed what
    was paid and the last one makes it exact."""
    due = purchase.amount_krw * (taken.credits + credits) // purchase.credits
    return max(due - taken.krw, 0)


def credits_for(purchase: Purchase, taken: Part, krw: int) -> int:
    """Credits that go back with `krw` more: rounded up, so that no won is returned for a credit that stays."""
    due = -(-purchase.credits * (taken.krw + krw) // purchase.amount_krw)
    return min(max(due - taken.credits, 0), purchase.credits - taken.credits)


def key(purchase_id: PurchaseId, step: str) -> TransferId:
    # From the purchase, not from whoever calls: a started copy of the workflow must find the same transfers.
    return transfer_id(purchase_workflow_id(purchase_id), step)


def origin_of(purchase: Purchase, origin: TransferOrigin) -> TransferOrigin:
    """`origin`, naming the purchase and the job that it pays for: also in the transfers of support and the sweeper."""
    return origin.model_copy(update={"purchase_id": purchase.id, "job_id": purchase.job_id or ""})
