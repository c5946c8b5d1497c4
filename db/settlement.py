"""Where a job's money and its state change together: one transaction each, of the caller (docs/adr/021).

The job row is locked first, then the ledger. Transfer ids come from the job's workflow id and the step, so whoever
repeats a step (a retry, a reset, the sweeper) finds the first result. A settled job is never touched again: the step
is told how it ended. The database refuses at commit any job whose state and hold disagree.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.errors import Code, EchoError
from contracts.ids import JobId, PurchaseId, TransferId, UserId, VideoId, job_workflow_id, transfer_id
from contracts.jobs import NEXT, EventType, JobStatus
from contracts.ledger import Balance, Bucket, CreditEffect, HoldState, TransferKind, TransferOrigin
from contracts.payments import RefundTo
from contracts.pricing import Quote
from contracts.settings import settings
from contracts.video_job import Complete, HoldOutcome, PipelineResult, Release, Settled
from db import charges, events, holds, jobs, ledger, progress, purchase_rows, results, saga_log, videos
from db.products import product_of
from db.tables import Job, User, Video
from db.tables_money import Refund


async def open_job(
    session: AsyncSession,
    *,
    user: User,
    kind: str,
    params: dict[str, Any],
    video: Video,
    quote: Quote,
    uploaded: bool,
    job_id: JobId | None = None,
    actor: str | None = None,
    purchase_id: PurchaseId | None = None,
) -> Job:
    """A new job with its price held; `uploaded` when the source is in store. CREDITS_SHORT leaves nothing behind
    once the caller lets the error roll the transaction back. With `purchase_id`, of a purchase written for this job
    in the same transaction, nothing is held until the card has paid."""
    status = JobStatus.INGESTED if uploaded else JobStatus.CREATED
    job = await jobs.insert_job(
        session,
        user_id=user.id,
        kind=kind,
        params=params,
        video=video,
        quote=quote,
        status=status,
        job_id=job_id,
        purchase_id=purchase_id,
    )
    await product_of(kind).opened(session, job)
    origin = TransferOrigin(
        actor=actor or f"user:{user.id}", step="hold", workflow_id=job_workflow_id(job.id), job_id=job.id
    )
    if not quote.credits:
        await events.append(session, job, EventType.STATUS)
        await saga_log.append(session, job.id, "hold", "done", origin, key="hold", detail="costs nothing")
        return job
    if purchase_id is not None:
        origin = origin.model_copy(update={"step": "charge"})
        await saga_log.append(session, job.id, "charge", "waiting", origin, key="charge", detail=purchase_id)
        await events.append(session, job, EventType.STATUS)
        return job
    held = await holds.hold(session, _key(job.id, "hold"), user.id, quote.credits, origin)
    job.hold_id = held.hold_id
    # Before the log, which looks at the job: so its row is written once.
    await events.append(session, job, EventType.STATUS, credit_effect=CreditEffect.HELD, credits=held.amount)
    await saga_log.append(
        session, job.id, "hold", "done", origin, key="hold",
        credit_effect=CreditEffect.HELD, credits=held.amount, transfer_id=held.hold_id,
    )  # fmt: skip
    return job


async def confirm_hold(session: AsyncSession, job_id: JobId, origin: TransferOrigin) -> HoldOutcome:
    """The workflow sees for itself that the credits are held; it holds nothing twice."""
    job = await jobs.lock_job(session, job_id)
    if job.status.settled:
        return HoldOutcome(status=job.status, held_credits=0)
    if not job.quote_credits:
        return HoldOutcome(status=job.status, held_credits=0)
    held = await _current_hold(session, job)
    await saga_log.append(
        session, job_id, "hold", "done", origin, key="hold/confirmed", transfer_id=held.hold_id
    )
    return HoldOutcome(status=job.status, held_credits=held.amount)


async def adjust_hold(
    session: AsyncSession, job_id: JobId, credits: int, origin: TransferOrigin
) -> HoldOutcome:
    """Hold the measured price instead of the quoted one. When the user is short, the old hold stands and
    `short_credits` says how much is missing; asking again after a grant may succeed."""
    job = await jobs.lock_job(session, job_id)
    if job.status.settled:
        return HoldOutcome(status=job.status, held_credits=0)
    if not job.quote_credits:
        if credits:
            raise EchoError(
                Code.JOB_STATE_CONFLICT, f"job {job_id} costs nothing, {credits} credits were asked"
            )
        return HoldOutcome(status=job.status, held_credits=0)
    old = await _current_hold(session, job)
    charge = None if job.purchase_id is None else await purchase_rows.get(session, job.purchase_id)
    charged = 0 if charge is None else charge.credits
    if charge is not None and charge.refund_to is RefundTo.CARD:
        # What is too much goes back to the card with the capture; in between nobody can spend it.
        credits = max(credits, charged)
    if old.amount == credits:
        return HoldOutcome(status=job.status, held_credits=old.amount)
    available = (await ledger.lock_balance(session, job.user_id)).available
    short = credits - old.amount - available
    if short > 0:
        await saga_log.append(
            session, job_id, "adjust_hold", "waiting", origin, key=f"adjust/{old.hold_id}/{credits}/short",
            detail=f"{credits} credits needed, {old.amount} held, {available} available",
        )  # fmt: skip
        return HoldOutcome(status=job.status, held_credits=old.amount, short_credits=short)
    # A hold is replaced at most once, so its id makes the keys of the two transfers that replace it.
    replaced_by = _key(job_id, f"hold/after/{old.hold_id}")
    origin = origin.model_copy(update={"job_id": job_id})
    await holds.release(session, _key(job_id, f"hold/undo/{old.hold_id}"), old.hold_id, origin)
    await holds.hold(session, replaced_by, job.user_id, credits, origin, from_paid=min(charged, credits))
    job.hold_id = replaced_by
    job.version += 1
    await saga_log.append(
        session, job_id, "adjust_hold", "done", origin, key=f"adjust/{old.hold_id}",
        credit_effect=CreditEffect.HOLD_ADJUSTED, credits=credits, transfer_id=replaced_by,
        detail=f"{old.amount} to {credits} credits",
    )  # fmt: skip
    await events.append(
        session, job, EventType.STATUS, credit_effect=CreditEffect.HOLD_ADJUSTED, credits=credits
    )
    return HoldOutcome(status=job.status, held_credits=credits)


async def complete_job(session: AsyncSession, complete: Complete, origin: TransferOrigin) -> Settled:
    """Capture the price and register the result: no result without capture, no capture without result."""
    charge = await purchase_rows.lock_charge_of(session, complete.job_id)
    job = await jobs.lock_job(session, complete.job_id)
    if job.status.settled:
        return await _how(session, job)
    if JobStatus.SUCCEEDED not in NEXT[job.status]:
        raise EchoError(Code.JOB_STATE_CONFLICT, f"job {job.id} is {job.status}, it cannot succeed")
    origin = origin.model_copy(update={"job_id": job.id})
    ended = Settled(status=JobStatus.SUCCEEDED, credit_effect=CreditEffect.NONE, credits=0)
    if job.quote_credits:
        captured = _key(job.id, "capture")
        held = await _current_hold(session, job)
        await holds.capture(session, captured, held.hold_id, complete.credits, origin)
        moved = {"credit_effect": CreditEffect.CAPTURED, "credits": complete.credits, "transfer_id": captured}
        ended = ended.model_copy(update=moved)
    video_id = await _publish(session, job, complete.outcome)
    await _log_end(session, job, ended, origin)
    if charge is not None:
        refund = await charges.refund_what_is_left(session, charge, ended.status, origin)
        ended = _with(ended, refund)
        if refund is not None:
            # Before the event that says that the job has ended: readers stop there.
            await events.append(
                session, job, EventType.STATUS, credit_effect=CreditEffect.REFUNDED, credits=refund.credits
            )
    return await _end(session, job, ended, result_key=complete.outcome.result.key, result_video_id=video_id)


async def _publish(session: AsyncSession, job: Job, outcome: PipelineResult) -> VideoId | None:
    """Whatever the kind has made; a video joins its owner's videos."""
    product, kept = product_of(job.kind), timedelta(days=settings().result_days)
    await results.add(session, job, outcome, None if product.kept_with_source else kept)
    await product.published(session, job, outcome.product)
    if outcome.info is None:
        return None
    video = await videos.add_result(
        session, job_id=job.id, user_id=job.user_id, filename=job.filename, outcome=outcome, kept=kept
    )
    return video.id


async def release_job(session: AsyncSession, release: Release, origin: TransferOrigin) -> Settled:
    """End a job without a result: its hold goes back to the user, or what a card has paid to the card. A job whose
    card has not paid yet has no hold, so nothing moves."""
    charge = await purchase_rows.lock_charge_of(session, release.job_id)
    job = await jobs.lock_job(session, release.job_id)
    if job.status.settled:
        return await _how(session, job)
    origin = origin.model_copy(update={"job_id": job.id, "reason": origin.reason or release.failure_code})
    ended = Settled(
        status=release.status,
        credit_effect=CreditEffect.NONE,
        credits=0,
        failure_code=release.failure_code,
    )
    if job.quote_credits and (charge is None or job.hold_id is not None):
        held = await _current_hold(session, job)
        released = _key(job.id, "release")
        expired = release.status is JobStatus.EXPIRED
        await holds.release(session, released, held.hold_id, origin, expired=expired)
        ended = ended.model_copy(
            update={"credit_effect": CreditEffect.RELEASED, "credits": held.amount, "transfer_id": released}
        )
    await product_of(job.kind).failed(session, job, release.failure_code, release.product)
    if release.status is JobStatus.FAILED:
        await progress.fail_running(session, job.id)
    await _log_end(session, job, ended, origin)
    if charge is not None:
        refund = await charges.refund_what_is_left(
            session, charge, ended.status, origin, asked=release.refund
        )
        ended = _with(ended, refund)
    return await _end(session, job, ended, detail=release.detail)


async def settled(session: AsyncSession, job_id: JobId) -> Settled | None:
    """How the job ended; None while it is active (and for no such job)."""
    job = await jobs.get_job(session, job_id)
    return await _how(session, job) if job is not None and job.status.settled else None


async def grant_credits(
    session: AsyncSession,
    *,
    user_id: UserId,
    credits: int,
    bucket: Bucket,
    key: str,
    actor: str,
    reason: str,
) -> Balance:
    """An administrator's gift; a promotional one ends after `promo_days`. `key` is the request's idempotency key: the
    same one grants once."""
    granted = transfer_id(f"grant/{actor}/{key}", "grant")
    origin = TransferOrigin(actor=actor, step="grant", reason=reason)
    expires_at = await _promotion_ends(session, granted) if bucket is Bucket.PROMO else None
    await ledger.grant(session, granted, user_id, credits, bucket, origin, expires_at=expires_at)
    return await ledger.balance(session, user_id)


async def _promotion_ends(session: AsyncSession, granted: TransferId) -> datetime:
    """A repeat finds the moment that its first run has set."""
    query = text("SELECT expires_at FROM transfers WHERE id = :id")
    written = (await session.execute(query, {"id": granted})).scalar_one_or_none()
    if written is not None:
        return written
    return (await session.execute(select(func.now()))).scalar_one() + timedelta(days=settings().promo_days)


def _key(job_id: JobId, step: str) -> TransferId:
    # From the job, not from whoever calls: a started copy of the workflow must find the same transfers.
    return transfer_id(job_workflow_id(job_id), step)


async def _current_hold(session: AsyncSession, job: Job) -> HoldState:
    held = None if job.hold_id is None else await holds.get_hold(session, job.hold_id)
    if held is None:
        raise EchoError(Code.JOB_STATE_CONFLICT, f"job {job.id} has no hold")
    return held


async def _log_end(session: AsyncSession, job: Job, ended: Settled, origin: TransferOrigin) -> None:
    succeeded = ended.status is JobStatus.SUCCEEDED
    step, outcome = ("capture", "done") if succeeded else ("release", "compensated")
    await saga_log.append(
        session, job.id, step, outcome, origin, key="settle", credit_effect=ended.credit_effect,
        credits=ended.credits, transfer_id=ended.transfer_id, detail=ended.failure_code or "",
    )  # fmt: skip


async def _end(
    session: AsyncSession,
    job: Job,
    ended: Settled,
    *,
    result_key: str | None = None,
    result_video_id: VideoId | None = None,
    detail: str = "",
) -> Settled:
    # All at once: the table's checks judge every UPDATE, and any query in between would write half of it.
    job.status, job.attention, job.finished_at = ended.status, None, func.now()
    job.failure_code, job.detail = ended.failure_code, detail
    job.result_key, job.result_video_id = result_key, result_video_id
    job.version += 1
    await events.append(
        session, job, EventType.STATUS, credit_effect=ended.credit_effect, credits=ended.credits
    )
    return ended


async def _how(session: AsyncSession, job: Job) -> Settled:
    resolution = None if job.hold_id is None else await holds.get_resolution(session, job.hold_id)
    ended = Settled(
        status=job.status, credit_effect=CreditEffect.NONE, credits=0, failure_code=job.failure_code
    )
    if resolution is not None:
        captured = resolution.kind is TransferKind.CAPTURE
        ended = ended.model_copy(
            update={
                "credit_effect": CreditEffect.CAPTURED if captured else CreditEffect.RELEASED,
                "credits": resolution.amount,
                "transfer_id": resolution.id,
            }
        )
    if job.purchase_id is None:
        return ended
    return _with(ended, await charges.refund_of_end(session, job.purchase_id))


def _with(ended: Settled, refund: Refund | None) -> Settled:
    """How a job ended, when part of its charge went back to the card with that."""
    if refund is None:
        return ended
    released = ended.credit_effect is CreditEffect.RELEASED
    effect = CreditEffect.REFUNDED if released else ended.credit_effect
    return ended.model_copy(update={"credit_effect": effect, "refund_krw": refund.amount_krw})
