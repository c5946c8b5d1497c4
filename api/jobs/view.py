"""From rows to the job that its owner sees."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncSession

from api.jobs import schemas
from api.links import Links
from api.payments.view import declined_view, refund_view
from api.problems import locale_of
from contracts.declines import failure_sentence
from contracts.ids import PurchaseId, refund_id
from contracts.jobs import JobStatus, Stage, StageState
from contracts.kinds import KINDS
from contracts.ledger import CreditEffect
from contracts.payments import RefundStatus
from db import events, purchase_reads
from db.charges import JOB_KEY
from db.progress import eta_s
from db.statements import hold_amounts
from db.tables import Job
from db.tables_money import Purchase, Refund


def current_locale(request: Request) -> str:
    return locale_of(request)


CurrentLocale = Annotated[str, Depends(current_locale)]


async def job_view(session: AsyncSession, job: Job, links: Links, locale: str) -> schemas.Job:
    return (await job_views(session, [job], links, locale))[0]


async def job_views(
    session: AsyncSession, jobs: Sequence[Job], links: Links, locale: str
) -> tuple[schemas.Job, ...]:
    stages = await events.stages_of(session, [job.id for job in jobs])
    holds = [job.hold_id for job in jobs if job.hold_id]
    amounts = await hold_amounts(session, holds) if holds else {}
    charged = [job.id for job in jobs if job.purchase_id]
    charges = await purchase_reads.charges_of(session, charged) if charged else {}
    refunds = await purchase_reads.refunds_of(session, [charge.id for charge in charges.values()])
    return tuple(
        _view(
            job,
            stages.get(job.id) or _undeclared(job.kind),
            amounts.get(job.hold_id, 0) if job.hold_id else 0,
            charges.get(job.id),
            refunds[charges[job.id].id] if job.id in charges else (),
            links,
            locale,
        )
        for job in jobs
    )


def _view(
    job: Job,
    stages: tuple[Stage, ...],
    credits: int,
    purchase: Purchase | None,
    refunds: Sequence[Refund],
    links: Links,
    locale: str,
) -> schemas.Job:
    charge = None if purchase is None else _charge(purchase, refunds, links, locale)
    failure = None
    if job.failure_code:
        message = failure_sentence(job.failure_code, purchase.declined if purchase else None, locale)
        failure = schemas.Failure(code=job.failure_code, message=message)
    return schemas.Job(
        id=job.id,
        kind=job.kind,
        params=job.params,
        status=job.status,
        stages=stages,
        eta_s=None if job.status.settled else eta_s(stages, job.started_at, datetime.now(UTC)),
        quote=job.quote,
        credit_effect=_credit_effect(job, charge),
        credits=credits,
        credits_held=0 if job.status.settled else credits,
        charge=charge,
        attention=job.attention,
        failure=failure,
        source_video_id=job.video_id,
        result_video_id=job.result_video_id,
        created_at=job.created_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
        status_url=links.job(job.id),
        events_url=links.job(job.id, "events"),
        cancel_url=links.job(job.id, "cancel"),
        result_url=links.job(job.id, "result"),
        saga_url=links.job(job.id, "saga"),
        ingested_url=links.job(job.id, "ingested"),
    )


def _charge(purchase: Purchase, refunds: Sequence[Refund], links: Links, locale: str) -> schemas.Charge:
    """Nothing of the card: support may see the jobs of others."""
    return schemas.Charge(
        purchase_id=purchase.id,
        status=purchase.status,
        amount_krw=purchase.amount_krw,
        refund_to=purchase.refund_to,
        refunds=tuple(refund_view(row) for row in refunds),
        payment_url=links.payment(purchase.id),
        declined=declined_view(purchase, locale),
    )


def _credit_effect(job: Job, charge: schemas.Charge | None) -> CreditEffect:
    if job.status is JobStatus.SUCCEEDED:
        return CreditEffect.NONE if job.hold_id is None else CreditEffect.CAPTURED
    sent_back = charge is not None and any(
        refund.id == refund_id(PurchaseId(charge.purchase_id), JOB_KEY)
        and refund.status is not RefundStatus.FAILED
        for refund in charge.refunds
    )
    if sent_back:
        return CreditEffect.REFUNDED
    if job.hold_id is None:
        return CreditEffect.NONE
    return CreditEffect.RELEASED if job.status.settled else CreditEffect.HELD


def _undeclared(kind: str) -> tuple[Stage, ...]:
    """Before the workflow has declared them: every stage of the kind, waiting."""
    return tuple(Stage(name=name, state=StageState.WAITING, percent=0) for name in KINDS[kind].stages)
