"""Audits the books: every balance recomputed from the journal, every hold followed to its job.

The triggers should make each of these impossible; this is the check that does not trust them, run after every money
test, by `python -m db check`, and by finance.
"""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from db import books_money

LEDGER = {
    "a transfer without postings": """
        SELECT t.id::text FROM transfers t WHERE NOT EXISTS (SELECT FROM postings p WHERE p.transfer_id = t.id)""",
    "a posting without transfer or account": """
        SELECT p.transfer_id || '/' || p.account_id FROM postings p
          LEFT JOIN transfers t ON t.id = p.transfer_id LEFT JOIN accounts a ON a.id = p.account_id
         WHERE t.id IS NULL OR a.id IS NULL""",
    "a transfer that does not sum to zero": """
        SELECT p.transfer_id || ' ' || a.unit || ' ' || coalesce(a.bucket, '') || ' ' || sum(p.amount)
          FROM postings p JOIN accounts a ON a.id = p.account_id
         GROUP BY p.transfer_id, a.unit, a.bucket HAVING sum(p.amount) <> 0""",
    "a balance that is not the sum of its postings": """
        SELECT a.id || ' says ' || a.balance || ', postings say ' || coalesce(sum(p.amount), 0)
          FROM accounts a LEFT JOIN postings p ON p.account_id = a.id WHERE a.user_id IS NOT NULL
         GROUP BY a.id HAVING a.balance <> coalesce(sum(p.amount), 0)""",
    "a negative balance": "SELECT id::text FROM accounts WHERE balance < 0",
    "held credits that are not those of the pending holds": """
        SELECT coalesce(held.user_id, pending.user_id) || ' holds ' || coalesce(held.amount, 0)
               || ', pending are ' || coalesce(pending.amount, 0)
          FROM (SELECT user_id, sum(balance) AS amount FROM accounts WHERE kind = 'held' GROUP BY 1) held
          FULL JOIN (SELECT h.user_id, sum(h.amount) AS amount FROM transfers h
                      WHERE h.kind = 'hold' AND NOT EXISTS (SELECT FROM transfers r WHERE r.hold_id = h.id)
                      GROUP BY 1) pending USING (user_id)
         WHERE coalesce(held.amount, 0) <> coalesce(pending.amount, 0)""",
    "a hold resolved twice": """
        SELECT hold_id::text FROM transfers WHERE hold_id IS NOT NULL GROUP BY hold_id HAVING count(*) > 1""",
    "a resolution of something else than a hold, or of another user's": """
        SELECT r.id::text FROM transfers r LEFT JOIN transfers h ON h.id = r.hold_id AND h.kind = 'hold'
           AND h.user_id = r.user_id AND h.job_id IS NOT DISTINCT FROM r.job_id
         WHERE r.hold_id IS NOT NULL AND h.id IS NULL""",
    "a repeated payment of one purchase": """
        SELECT purchase_id FROM transfers WHERE kind = 'purchase' GROUP BY purchase_id HAVING count(*) > 1""",
    "more taken out of refunds or disputes than a purchase had there": """
        SELECT t.purchase_id || ' ' || a.kind || ' ' || a.unit || ' ' || sum(p.amount)
          FROM transfers t JOIN postings p ON p.transfer_id = t.id JOIN accounts a ON a.id = p.account_id
         WHERE a.kind IN ('refunds', 'disputes') AND t.purchase_id IS NOT NULL
         GROUP BY t.purchase_id, a.kind, a.unit, a.id HAVING sum(p.amount) < 0""",
    "debts that are not the losses": """
        SELECT 'debts are ' || debt || ', losses ' || loss
          FROM (SELECT coalesce(sum(p.amount) FILTER (WHERE a.kind = 'debt'), 0) AS debt,
                       -coalesce(sum(p.amount) FILTER (WHERE a.kind = 'losses' AND a.unit = 'credit'), 0) AS loss
                  FROM transfers t JOIN postings p ON p.transfer_id = t.id JOIN accounts a ON a.id = p.account_id
                 WHERE t.kind <> 'correction') sums
         WHERE debt <> loss""",
}
"""Of the ledger's own tables."""

JOBS = {
    "a pending hold whose job has ended or holds by another": """
        SELECT h.id || ' of ' || h.job_id FROM transfers h LEFT JOIN jobs j ON j.hold_id = h.id
         WHERE h.kind = 'hold' AND h.job_id IS NOT NULL
           AND NOT EXISTS (SELECT FROM transfers r WHERE r.hold_id = h.id)
           AND (j.id IS DISTINCT FROM h.job_id OR j.finished_at IS NOT NULL)""",
    "a job whose state and hold disagree": """
        SELECT j.id || ' is ' || j.status || ', its hold ' || coalesce(r.kind, 'pending')
          FROM jobs j LEFT JOIN transfers r ON r.hold_id = j.hold_id
         WHERE CASE WHEN j.hold_id IS NULL THEN j.quote_credits > 0 AND (j.status IN ('QUEUED', 'RUNNING', 'SUCCEEDED')
                         OR (j.status = 'INGESTED' AND j.purchase_id IS NULL))
                    WHEN j.finished_at IS NULL THEN r.kind IS NOT NULL
                    WHEN j.status = 'SUCCEEDED' THEN r.kind IS DISTINCT FROM 'capture'
                    ELSE r.kind IS NULL OR r.kind NOT IN ('release', 'expire') END""",
    "a succeeded job without its result, or a result without capture": """
        SELECT coalesce(r.job_id, j.id) FROM results r
          FULL JOIN (SELECT * FROM jobs WHERE status = 'SUCCEEDED') j ON j.result_key = r.key AND j.id = r.job_id
         WHERE r.job_id IS NULL OR j.id IS NULL
         UNION ALL
        SELECT v.id FROM videos v LEFT JOIN jobs j ON j.result_video_id = v.id AND j.id = v.job_id
         WHERE v.role = 'result' AND j.id IS NULL""",
    "clips whose prices are not what their job took": """
        SELECT c.job_id FROM clips c JOIN jobs j ON j.id = c.job_id AND j.finished_at IS NOT NULL
          LEFT JOIN transfers t ON t.hold_id = j.hold_id AND t.kind = 'capture'
         GROUP BY c.job_id, t.amount
        HAVING coalesce(sum(c.credits) FILTER (WHERE c.made IS NOT NULL), 0) <> coalesce(t.amount, 0)
            OR bool_or(c.state = 'pending')""",
    "a settled job without its line in the saga log": """
        SELECT j.id FROM jobs j LEFT JOIN transfers r ON r.hold_id = j.hold_id
         WHERE j.finished_at IS NOT NULL AND r.id IS NOT NULL
           AND NOT EXISTS (SELECT FROM saga_log s WHERE s.job_id = j.id AND s.transfer_id = r.id
                           AND s.credits = r.amount)""",
    "a job whose events have a gap": """
        SELECT j.id FROM jobs j LEFT JOIN job_events e ON e.job_id = j.id
         GROUP BY j.id HAVING count(e.seq) <> j.event_seq OR coalesce(max(e.seq), 0) <> j.event_seq""",
    "usage that is not the sum of the captures": """
        SELECT user_id || ' ' || day || ' ' || kind
          FROM usage_by_day u FULL JOIN (
               SELECT user_id, (created_at AT TIME ZONE 'UTC')::date AS day, coalesce(job_kind, '') AS kind,
                      sum(credits) AS credits, count(*) AS jobs, sum(paid_credits - own) AS from_line
                 FROM analytics.captures GROUP BY 1, 2, 3) c USING (user_id, day, kind)
         WHERE (u.credits, u.jobs, u.from_line) IS DISTINCT FROM (c.credits, c.jobs, c.from_line)""",
}
"""Of jobs, their holds and what they have used."""

CHECKS = {**LEDGER, **JOBS, **books_money.CHECKS}
"""What must not exist, and the query that finds it."""


async def check_books(session: AsyncSession) -> list[str]:
    """One sentence for each violation; empty: the books are coherent. Use a `Database.read()` session: one moment."""
    found: list[str] = []
    for violation, query in CHECKS.items():
        found += [f"{violation}: {row}" for row in (await session.scalars(text(query))).all()]
    return found
