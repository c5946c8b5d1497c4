"""Where a purchase meets the job that it pays for: held in the moment of payment, refunded when the job leaves it.

Each function expects the purchase and the job to be locked by the caller, in that order.
"""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.errors import Code, EchoError
from contracts.ids import JobId, PurchaseId, job_workflow_id, refund_id, transfer_id
from contracts.jobs import EventType, JobStatus
from contracts.ledger import CreditEffect, TransferOrigin
from contracts.payments import PurchaseStatus, RefundReason, RefundTo
from contracts.purchases import ChargeState, RefundRequest
from db import events, freezes, holds, jobs, lots, purchase_rows, refunds, saga_log
from db.purchase_rows import Part, credits_for, krw_for, taken_back
from db.tables_money import Purchase, Refund

JOB_KEY = "job"
"""Names the refund that the end of a job asks for."""

REASONS = {
    JobStatus.FAILED: RefundReason.JOB_FAILED,
    JobStatus.CANCELED: RefundReason.JOB_CANCELED,
    JobStatus.EXPIRED: RefundReason.JOB_EXPIRED,
    JobStatus.SUCCEEDED: RefundReason.JOB_CHEAPER,
}


async def use(session: AsyncSession, purchase: Purchase, origin: TransferOrigin) -> None:
    """The credits of a purchase, paid this moment, become the hold of its job; or go back when the job has ended."""
    job = await purchase_rows.lock_job_of(session, purchase)
    if job is None:
        return
    await saga_log.append(
        session, job.id, "charge", "done", origin, key="charge/paid",
        credit_effect=CreditEffect.CHARGED, credits=purchase.credits, transfer_id=purchase.transfer_id,
        detail=f"{purchase.amount_krw} won by {purchase.provider}",
    )  # fmt: skip
    await events.append(
        session, job, EventType.STATUS, credit_effect=CreditEffect.CHARGED, credits=purchase.credits
    )
    if job.finished_at is not None:
        await refund_after_the_end(session, purchase, JOB_KEY, origin)
        return
    hold_id = transfer_id(job_workflow_id(job.id), "hold")
    step = purchase_rows.origin_of(purchase, origin)
    await holds.hold(session, hold_id, job.user_id, purchase.credits, step, from_paid=purchase.credits)
    job.hold_id = hold_id
    job.version += 1
    await saga_log.append(
        session, job.id, "hold", "done", origin, key="hold",
        credit_effect=CreditEffect.HELD, credits=purchase.credits, transfer_id=hold_id,
    )  # fmt: skip
    await events.append(
        session, job, EventType.STATUS, credit_effect=CreditEffect.HELD, credits=purchase.credits
    )


async def refund_what_is_left(
    session: AsyncSession,
    purchase: Purchase,
    ended: JobStatus,
    origin: TransferOrigin,
    *,
    key: str = JOB_KEY,
    asked: RefundRequest | None = None,
) -> Refund | None:
    """What the job leaves of its charge goes back to the card, in the transaction that ends the job as `ended`.

    `asked` is support's word, which counts also when the customer chose to keep the credits. None: nothing goes back.
    """
    if purchase.status is not PurchaseStatus.PAID:
        return None
    await freezes.extend(session, purchase, origin)
    if purchase.refund_to is RefundTo.CREDITS and asked is None:
        return None
    credits = await lots.left_by_job(session, purchase)
    if credits == 0:
        return None
    taken = await taken_back(session, purchase.id)
    part = Part(credits, krw_for(purchase, taken, credits))
    if asked is not None and purchase.refund_to is RefundTo.CREDITS:
        part = _lesser(part, purchase, taken, asked)
    asked = asked or RefundRequest(reason=REASONS[ended])
    return await refunds.reserve(session, purchase, key, part, asked, origin)


async def refund_after_the_end(
    session: AsyncSession, purchase: Purchase, key: str, origin: TransferOrigin
) -> None:
    """For money that comes, or comes back, when the job has ended already."""
    job = await purchase_rows.lock_job_of(session, purchase)
    if job is None or job.finished_at is None:
        return
    refund = await refund_what_is_left(session, purchase, job.status, origin, key=key)
    if refund is not None:
        await events.append(
            session, job, EventType.STATUS, credit_effect=CreditEffect.REFUNDED, credits=refund.credits
        )


async def refund_of_end(session: AsyncSession, purchase_id: PurchaseId) -> Refund | None:
    """The refund that the end of the job asked for, whatever became of it since."""
    return await session.get(Refund, refund_id(purchase_id, JOB_KEY))


async def charge_state(session: AsyncSession, job_id: JobId) -> ChargeState:
    """What the job's saga waits for. NOT_FOUND for a job that is paid from the balance; JOB_SETTLED for one that has
    ended and waits no more, whatever a bank may take its time for."""
    purchase = await session.scalar(
        select(Purchase).where(Purchase.job_id == job_id).execution_options(populate_existing=True)
    )
    if purchase is None:
        raise EchoError(Code.NOT_FOUND, f"job {job_id} has no charge")
    job = await jobs.get_job(session, job_id)
    assert job is not None, "the purchase names it"
    if job.status.settled and not purchase.status.settled:
        raise EchoError(Code.JOB_SETTLED, f"job {job_id} is {job.status}")
    held = None if job.hold_id is None else await holds.get_hold(session, job.hold_id)
    return ChargeState(
        status=purchase.status,
        held_credits=held.amount if held is not None and held.resolved_by is None else 0,
        amount_krw=purchase.amount_krw,
        refund_to=purchase.refund_to,
        failure_code=purchase.failure_code,
    )


def _lesser(whole: Part, purchase: Purchase, taken: Part, asked: RefundRequest) -> Part:
    if asked.amount_krw is not None:
        part = Part(credits_for(purchase, taken, asked.amount_krw), asked.amount_krw)
    elif asked.credits is not None:
        part = Part(asked.credits, krw_for(purchase, taken, asked.credits))
    else:
        return whole
    fits = 0 < part.credits <= whole.credits and 0 < part.krw <= whole.krw
    return part if fits else whole
