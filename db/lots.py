"""What of a purchase can go back to the card: what is neither spent, held, refunded nor disputed.

A user's paid credits are spent first in, first out over all lots: purchases, paid grants, corrections in the user's
favour. So what is available now belongs to the newest lots. A job that a card pays for spends its own charge first,
wherever that stands in the row.
"""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.payments import PurchaseStatus
from db import ledger
from db.purchase_rows import Part, krw_for, taken_back
from db.tables_money import Purchase

# Of a lot, what its own refunds, disputes and job have left of it; and the sum of all newer lots.
LOTS = text("""
    WITH spent_by_own_job AS (
        SELECT p.id, coalesce(sum(q.amount), 0) AS credits
          FROM purchases p
          JOIN jobs j ON j.id = p.job_id
          LEFT JOIN transfers c ON c.hold_id = j.hold_id AND c.kind = 'capture'
          LEFT JOIN postings q ON q.transfer_id = c.id
               AND q.account_id = (SELECT id FROM accounts WHERE kind = 'revenue' AND bucket = 'paid')
         WHERE p.user_id = :user_id
         GROUP BY p.id
    ), lots AS (
        SELECT t.seq, NULL AS purchase_id, sum(q.amount) AS credits
          FROM transfers t JOIN postings q ON q.transfer_id = t.id JOIN accounts a ON a.id = q.account_id
         WHERE t.kind IN ('grant', 'correction') AND a.user_id = :user_id AND a.kind = 'available'
           AND a.bucket = 'paid'
         GROUP BY t.seq HAVING sum(q.amount) > 0
        UNION ALL
        SELECT t.seq, p.id,
               CASE WHEN j.finished_at IS NULL AND j.id IS NOT NULL THEN 0
                    ELSE greatest(0, p.credits - least(p.credits, coalesce(own.credits, 0))
                         - (SELECT coalesce(sum(r.credits - r.credits_owed), 0) FROM refunds r
                             WHERE r.purchase_id = p.id AND r.status <> 'FAILED')
                         - (SELECT coalesce(sum(d.credits_frozen), 0) FROM disputes d
                             WHERE d.purchase_id = p.id AND d.status <> 'WON'))
                END
          FROM purchases p
          JOIN transfers t ON t.id = p.transfer_id
          LEFT JOIN jobs j ON j.id = p.job_id
          LEFT JOIN spent_by_own_job own ON own.id = p.id
         WHERE p.user_id = :user_id
    )
    SELECT mine.credits::bigint AS credits,
           (SELECT coalesce(sum(credits), 0) FROM lots WHERE seq > mine.seq)::bigint AS newer
      FROM lots mine WHERE mine.purchase_id = :purchase_id""")


async def unspent(session: AsyncSession, purchase: Purchase) -> Part:
    """Of a locked purchase; locks the user's accounts, so the answer holds until this transaction ends."""
    if purchase.status is not PurchaseStatus.PAID:
        return Part(0, 0)
    available = (await ledger.lock_balance(session, purchase.user_id)).available_paid
    lot = (await session.execute(LOTS, {"user_id": purchase.user_id, "purchase_id": purchase.id})).one()
    taken = await taken_back(session, purchase.id)
    credits = min(lot.credits, max(0, available - lot.newer), purchase.credits - taken.credits)
    return Part(credits, krw_for(purchase, taken, credits))


async def left_by_job(session: AsyncSession, purchase: Purchase) -> int:
    """Credits of a charge that its ended job did not take, that have not gone back and that are there: all of them when
    the job ends, because it held them until this very transaction. Later, when a dispute is won, the user may have
    spent what an earlier refund could not bring to the card."""
    taken_by_job = await session.scalar(
        text("""SELECT paid_postings(c.id, 'revenue') FROM jobs j
                  JOIN transfers c ON c.hold_id = j.hold_id AND c.kind = 'capture' WHERE j.id = :job_id"""),
        {"job_id": purchase.job_id},
    )
    taken = await taken_back(session, purchase.id)
    available = (await ledger.lock_balance(session, purchase.user_id)).available_paid
    return max(0, min(purchase.credits - (taken_by_job or 0) - taken.credits, available))
