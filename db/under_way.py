"""Payments that a reconciliation finds neither in agreement nor different: they are still on their way."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.finance import UnderWay, UnderWayPayment, UnderWayTotal
from db.differences import SETTLING_S

COMING = """
    WITH coming AS (
        SELECT p.id AS subject, p.provider, p.amount_krw, p.created_at AS since, 'not_paid' AS stage FROM purchases p
         WHERE p.status IN ('CREATED', 'AWAITING_PAYMENT')
           AND NOT EXISTS (SELECT FROM matched_entries m WHERE m.purchase = p.id AND m.kind = 'charge')
        UNION ALL
        SELECT p.id, p.provider, p.amount_krw, p.paid_at, 'not_in_statement' FROM purchases p
         WHERE p.status = 'PAID' AND p.paid_at >= :fetched_at
           AND NOT EXISTS (SELECT FROM matched_entries m WHERE m.purchase = p.id AND m.kind = 'charge')
        UNION ALL
        SELECT coalesce(p.id, m.entry_id), m.provider, m.amount_krw, m.occurred_at, 'not_booked'
          FROM matched_entries m LEFT JOIN purchases p ON p.id = m.purchase
         WHERE m.kind = 'charge' AND p.status IS DISTINCT FROM 'PAID' AND m.occurred_at >= :settled_by)
"""

# Both are our own words alone.
STAGES = text(f"""{COMING}
    SELECT stage, count(*) AS payments, sum(amount_krw)::bigint AS amount_krw
      FROM coming GROUP BY stage ORDER BY stage""")  # noqa: S608
OLDEST = text(f"{COMING} SELECT * FROM coming ORDER BY since, subject LIMIT 20")  # noqa: S608


async def find(session: AsyncSession, *, now: datetime, fetched_at: datetime) -> UnderWay:
    """How many, how many won, and the oldest of them. Use the session of `differences.find`: one moment."""
    moments = {"fetched_at": fetched_at, "settled_by": now - timedelta(seconds=SETTLING_S)}
    stages = (await session.execute(STAGES, moments)).mappings()
    oldest = (await session.execute(OLDEST, moments)).mappings()
    return UnderWay(
        stages=tuple(UnderWayTotal.model_validate(dict(row)) for row in stages),
        oldest=tuple(UnderWayPayment.model_validate(dict(row)) for row in oldest),
    )
