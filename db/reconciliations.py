"""Reports of reconciliation, kept as they were found: what differed then, and how much money moved."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.errors import Code, EchoError
from contracts.finance import Difference, ProviderTotals, Reconciled, UnderWay
from contracts.jobs import JobStatus
from contracts.ledger import TransferOrigin
from db.pages import Page, Rows, cut

INSERT = text("""
    INSERT INTO reconciliations (id, period_from, period_to, requested_by, workflow_id, run_id, totals)
    VALUES (:id, :from, :to, :requested_by, :workflow_id, :run_id, cast(:totals AS jsonb))
    ON CONFLICT (id) DO NOTHING RETURNING id""")

INSERT_DIFFERENCE = text("""
    INSERT INTO differences (reconciliation_id, kind, subject, provider, purchase_id, job_id, amount_krw, credits,
                             since, detail)
    VALUES (:reconciliation_id, :kind, :subject, :provider, :purchase_id, :job_id, :amount_krw, :credits, :since,
            :detail)""")

DIFFERENCES = text("SELECT * FROM differences WHERE reconciliation_id = :id ORDER BY since, id")


async def record(session: AsyncSession, found: Reconciled, requested_by: str, origin: TransferOrigin) -> bool:
    """False when this very reconciliation is there already: a step that ran twice leaves one report, the first."""
    totals = {
        "providers": [provider.model_dump(mode="json") for provider in found.providers],
        "jobs_compared": found.jobs_compared,
        "under_way": None if found.under_way is None else found.under_way.model_dump(mode="json"),
    }
    written = await session.execute(
        INSERT,
        {
            "id": found.reconciliation_id,
            "from": found.period_from,
            "to": found.period_to,
            "requested_by": requested_by,
            "workflow_id": origin.workflow_id,
            "run_id": origin.run_id,
            "totals": json.dumps(totals),
        },
    )
    if written.first() is None:
        return False
    if found.differences:
        rows = [
            {**difference.model_dump(), "reconciliation_id": found.reconciliation_id}
            for difference in found.differences
        ]
        await session.execute(INSERT_DIFFERENCE, rows)
    return True


async def get(session: AsyncSession, reconciliation_id: str) -> Reconciled:
    """NOT_FOUND also while it is still under way."""
    query = text("SELECT * FROM reconciliations WHERE id = :id")
    row = (await session.execute(query, {"id": reconciliation_id})).one_or_none()
    if row is None:
        raise EchoError(Code.NOT_FOUND, f"no finished reconciliation {reconciliation_id}")
    differences = await session.execute(DIFFERENCES, {"id": reconciliation_id})
    return _reconciled(row, tuple(_difference(found) for found in differences))


async def page_of(session: AsyncSession, page: Page) -> Rows[Reconciled]:
    """Newest first, with their differences."""
    forward = page.ending_before is None
    beyond, order = ("<", "DESC") if forward else (">", "ASC")
    rows = await session.execute(
        text(f"""
            SELECT * FROM reconciliations WHERE cast(:cursor AS text) IS NULL OR id {beyond} :cursor
             ORDER BY id {order} LIMIT :limit"""),  # noqa: S608 - two words of our own
        {"cursor": page.starting_after or page.ending_before, "limit": page.limit + 1},
    )
    return cut([await get(session, row.id) for row in rows], page)


async def jobs_since(
    session: AsyncSession, since: datetime
) -> list[tuple[str, JobStatus, datetime | None, datetime]]:
    """Jobs that are active or ended after `since`: id, status, end, beginning; for comparison with Temporal."""
    rows = await session.execute(
        text("""SELECT id, status, finished_at, created_at FROM jobs
                 WHERE finished_at IS NULL OR finished_at >= :since ORDER BY id"""),
        {"since": since},
    )
    return [(row.id, JobStatus(row.status), row.finished_at, row.created_at) for row in rows]


def _reconciled(row: Row[Any], differences: tuple[Difference, ...]) -> Reconciled:
    return Reconciled(
        reconciliation_id=row.id,
        period_from=row.period_from,
        period_to=row.period_to,
        providers=tuple(ProviderTotals.model_validate(provider) for provider in row.totals["providers"]),
        jobs_compared=row.totals["jobs_compared"],
        differences=differences,
        under_way=UnderWay.model_validate(under_way) if (under_way := row.totals.get("under_way")) else None,
    )


def _difference(row: Row[Any]) -> Difference:
    return Difference(
        kind=row.kind,
        subject=row.subject,
        since=row.since,
        amount_krw=row.amount_krw,
        credits=row.credits,
        provider=row.provider,
        purchase_id=row.purchase_id,
        job_id=row.job_id,
        detail=row.detail,
    )
