"""The saga log: one line a step, written once, never changed (a trigger refuses), read by support and finance."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.ids import JobId
from contracts.jobs import SagaStep
from contracts.ledger import CreditEffect, TransferOrigin
from db.jobs import lock_job
from db.tables import SagaLogRow

Outcome = Literal["done", "failed", "compensated", "waiting"]


async def append(
    session: AsyncSession,
    job_id: JobId,
    step: str,
    outcome: Outcome,
    origin: TransferOrigin,
    *,
    key: str,
    credit_effect: CreditEffect = CreditEffect.NONE,
    credits: int = 0,
    transfer_id: UUID | None = None,
    detail: str = "",
) -> bool:
    """Write the line unless the job has one with this `key`: a step that runs again writes once."""
    await lock_job(session, job_id)  # two steps at once must not take the same number
    next_seq = select(func.coalesce(func.max(SagaLogRow.seq), 0) + 1).where(SagaLogRow.job_id == job_id)
    written = await session.execute(
        insert(SagaLogRow)
        .values(
            job_id=job_id,
            seq=next_seq.scalar_subquery(),
            key=key,
            step=step,
            outcome=outcome,
            actor=origin.actor,
            workflow_id=origin.workflow_id,
            run_id=origin.run_id,
            credit_effect=credit_effect,
            credits=credits,
            transfer_id=transfer_id,
            detail=detail,
        )
        .on_conflict_do_nothing(index_elements=[SagaLogRow.job_id, SagaLogRow.key])
        .returning(SagaLogRow.seq)
    )
    return written.first() is not None


async def list_steps(session: AsyncSession, job_id: JobId) -> list[SagaStep]:
    query = select(SagaLogRow).where(SagaLogRow.job_id == job_id).order_by(SagaLogRow.seq)
    return [
        SagaStep(
            seq=row.seq,
            at=row.at,
            step=row.step,
            outcome=row.outcome,
            actor=row.actor,
            workflow_id=row.workflow_id,
            run_id=row.run_id,
            credit_effect=row.credit_effect,
            credits=row.credits,
            transfer_id=None if row.transfer_id is None else str(row.transfer_id),
            detail=row.detail,
        )
        for row in await session.scalars(query)
    ]
