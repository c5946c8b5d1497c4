"""Promotional credits end with their date; paid ones never do.

The lots that end first are spent first. So by any moment there is due: what ended lots brought, less all promotional
credits that were ever captured, are held or have expired before; at most what is available.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.ids import UserId, transfer_id
from contracts.ledger import TransferOrigin
from db import ledger

DUE = """
    SELECT lots.user_id,
           least(available.balance, lots.credits - spent.credits - coalesce(held.balance, 0))::bigint AS due
      FROM (SELECT user_id, sum(amount) AS credits FROM transfers
             WHERE kind = 'grant' AND expires_at <= :now AND {whom} GROUP BY user_id) lots
      JOIN accounts available ON available.user_id = lots.user_id
           AND (available.kind, available.bucket) = ('available', 'promo')
      LEFT JOIN accounts held ON held.user_id = lots.user_id AND (held.kind, held.bucket) = ('held', 'promo')
      JOIN LATERAL (
           SELECT coalesce(sum(p.amount), 0) AS credits
             FROM transfers t JOIN postings p ON p.transfer_id = t.id JOIN accounts a ON a.id = p.account_id
            WHERE t.user_id = lots.user_id AND a.kind IN ('revenue', 'breakage') AND a.bucket = 'promo') spent ON true
     WHERE least(available.balance, lots.credits - spent.credits - coalesce(held.balance, 0)) > 0
     ORDER BY lots.user_id"""

DUE_OF_ALL = text(DUE.format(whom="true") + " LIMIT :limit")
DUE_OF_ONE = text(DUE.format(whom="user_id = :user_id"))


async def users_due(session: AsyncSession, now: datetime, limit: int = 100) -> list[UserId]:
    """Users with promotional credits whose time is over; after each has been seen to, ask again."""
    return [UserId(row.user_id) for row in await session.execute(DUE_OF_ALL, {"now": now, "limit": limit})]


async def expire_promotional(
    session: AsyncSession, user_id: UserId, now: datetime, origin: TransferOrigin
) -> int:
    """Take what has expired by `now`; the same moment again takes nothing. Returns the credits taken."""
    await ledger.lock_balance(session, user_id)
    expired = transfer_id(f"expiry/{user_id}/{now.isoformat()}", "expire")
    if await session.scalar(text("SELECT id FROM transfers WHERE id = :id"), {"id": expired}) is not None:
        return 0
    row = (await session.execute(DUE_OF_ONE, {"now": now, "user_id": user_id})).one_or_none()
    if row is None:
        return 0
    await ledger.expire_promo(session, expired, user_id, row.due, origin)
    return row.due
