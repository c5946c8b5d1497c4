"""What a user reads about their credits: every transfer, newest first, and what was spent on what."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.errors import Code, EchoError
from contracts.ids import UserId
from contracts.ledger import TransferKind
from db.pages import Page, Rows, cut


@dataclass(frozen=True)
class Entry:
    """A transfer, as the change that it made to the user's two sums."""

    id: UUID
    """Also the cursor of the list."""
    at: datetime
    kind: TransferKind
    amount: int
    """Credits that it moved. A dispute is about won: here stand the credits frozen, given back, taken or owed."""
    available_change: int
    held_change: int
    job_id: str | None
    reason: str


async def history(session: AsyncSession, user_id: UserId, page: Page) -> Rows[Entry]:
    forward = page.ending_before is None
    cursor = page.starting_after or page.ending_before
    from_seq = None if cursor is None else await _seq(session, user_id, cursor)
    beyond, order = ("<", "DESC") if forward else (">", "ASC")
    rows = await session.execute(
        text(f"""
            SELECT t.id, t.created_at AS at, t.kind, t.job_id, t.reason,
                   CASE t.unit WHEN 'credit' THEN t.amount ELSE change.moved END AS amount,
                   change.available, change.held
              FROM transfers t
             CROSS JOIN LATERAL (
                   SELECT coalesce(sum(p.amount) FILTER (WHERE a.kind = 'available'), 0)::bigint AS available,
                          coalesce(sum(p.amount) FILTER (WHERE a.kind = 'held'), 0)::bigint AS held,
                          coalesce(sum(p.amount) FILTER (WHERE a.unit = 'credit' AND p.amount > 0), 0)::bigint AS moved
                     FROM postings p JOIN accounts a ON a.id = p.account_id WHERE p.transfer_id = t.id) change
             WHERE t.user_id = :user_id AND (cast(:from_seq AS bigint) IS NULL OR t.seq {beyond} :from_seq)
             ORDER BY t.seq {order} LIMIT :limit"""),  # noqa: S608 - two words of our own
        {"user_id": user_id, "from_seq": from_seq, "limit": page.limit + 1},
    )
    entries = [
        Entry(
            id=r.id,
            at=r.at,
            kind=TransferKind(r.kind),
            amount=r.amount,
            available_change=r.available,
            held_change=r.held,
            job_id=r.job_id,
            reason=r.reason,
        )
        for r in rows
    ]
    return cut(entries, page)


@dataclass(frozen=True)
class Usage:
    """Credits captured in one period for one kind of job."""

    period: date
    """First day, in UTC."""
    kind: str
    credits: int
    jobs: int


_WHOLE = "date_trunc('day', cast(:from AS timestamptz) + interval '23:59:59.999999', 'UTC')"
"""The beginning of the first whole day."""
_PART = "date_trunc('day', cast(:to AS timestamptz), 'UTC')"
"""The end of the last whole day."""
# Written out in each condition: the planner looks into expressions of parameters, and not into what it would join.
USAGE = text(f"""
    WITH used AS (
        SELECT day, kind, credits, jobs FROM usage_by_day
         WHERE user_id = :user_id AND day >= ({_WHOLE} AT TIME ZONE 'UTC')::date
           AND day < ({_PART} AT TIME ZONE 'UTC')::date
         UNION ALL
        SELECT (t.created_at AT TIME ZONE 'UTC')::date, coalesce(j.kind, ''), t.amount, 1
          FROM transfers t LEFT JOIN jobs j ON j.id = t.job_id
         WHERE t.kind = 'capture' AND t.user_id = :user_id
           AND t.created_at >= :from AND t.created_at < least({_WHOLE}, :to)
         UNION ALL
        SELECT (t.created_at AT TIME ZONE 'UTC')::date, coalesce(j.kind, ''), t.amount, 1
          FROM transfers t LEFT JOIN jobs j ON j.id = t.job_id
         WHERE t.kind = 'capture' AND t.user_id = :user_id
           AND t.created_at >= greatest({_WHOLE}, {_PART}) AND t.created_at < :to)
    SELECT date_trunc(:by, day::timestamp) AS period, kind, sum(credits)::bigint AS credits, sum(jobs)::bigint AS jobs
      FROM used GROUP BY 1, 2 ORDER BY 1, 2""")  # noqa: S608 - words of our own


async def usage(
    session: AsyncSession,
    user_id: UserId,
    from_: datetime,
    to: datetime,
    by: Literal["day", "month"] = "month",
) -> list[Usage]:
    """Captures in [from_, to), oldest period first. Whole days are read from `usage_by_day`, the captures themselves
    only of the two days that the period begins and ends within: so a year costs no more than its days."""
    rows = await session.execute(USAGE, {"by": by, "user_id": user_id, "from": from_, "to": to})
    return [Usage(r.period.date(), r.kind, r.credits, r.jobs) for r in rows]


async def hold_amounts(session: AsyncSession, hold_ids: Collection[UUID]) -> dict[UUID, int]:
    """Of many holds in one query: what each holds, and of a resolved one what was captured or released."""
    rows = await session.execute(
        text("""
            SELECT h.id, coalesce(r.amount, h.amount) AS amount
              FROM transfers h LEFT JOIN transfers r ON r.hold_id = h.id
             WHERE h.id = ANY(:ids) AND h.kind = 'hold'"""),
        {"ids": list(hold_ids)},
    )
    return {row.id: row.amount for row in rows}


async def _seq(session: AsyncSession, user_id: UserId, cursor: str) -> int:
    try:
        transfer_id = UUID(cursor)
    except ValueError:
        raise EchoError(Code.CURSOR_INVALID, "expected a transfer's id") from None
    seq = await session.scalar(
        text("SELECT seq FROM transfers WHERE id = :id AND user_id = :user_id"),
        {"id": transfer_id, "user_id": user_id},
    )
    if seq is None:
        raise EchoError(Code.CURSOR_INVALID, "no such transfer in this list")
    return seq
