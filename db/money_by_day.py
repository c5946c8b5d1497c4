"""How much money came in and went out each day, for charts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession


@dataclass(frozen=True)
class Day:
    """One UTC day over all providers, in won."""

    day: date
    received_krw: int
    refunded_krw: int
    disputed_krw: int


async def in_period(session: AsyncSession, from_: datetime, to: datetime) -> list[Day]:
    """Every day of [from_, to], also those without movement, oldest first."""
    rows = await session.execute(
        text("""
            SELECT (d AT TIME ZONE 'UTC')::date AS day, coalesce(sum(m.received_krw), 0)::bigint AS received_krw,
                   coalesce(sum(m.refunded_krw), 0)::bigint AS refunded_krw,
                   coalesce(sum(m.disputed_krw), 0)::bigint AS disputed_krw
              FROM generate_series(date_trunc('day', cast(:from AS timestamptz), 'UTC'),
                                   cast(:to AS timestamptz), interval '1 day') d
              LEFT JOIN analytics.money_by_day m ON m.day = (d AT TIME ZONE 'UTC')::date
             GROUP BY 1 ORDER BY 1"""),
        {"from": from_, "to": to},
    )
    return [Day(row.day, row.received_krw, row.refunded_krw, row.disputed_krw) for row in rows]
