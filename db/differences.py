"""Where the providers' statements, the purchases and the ledger disagree: one query for each kind of difference.

Everything that the books lack is given `SETTLING_S` to arrive, because providers tell us later than they act; what
the provider lacks is judged only up to `fetched_at`, the moment before its statement was fetched.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.finance import Difference, DifferenceKind
from contracts.payments import Provider
from db.books import check_books

SETTLING_S = 600
STUCK_S = 24 * 3600
EVENT_S = 3600

QUERIES: dict[DifferenceKind, str] = {
    DifferenceKind.PAYMENT_UNKNOWN: """
        SELECT m.entry_id AS subject, m.provider, NULL AS purchase_id, NULL AS job_id, m.amount_krw, 0 AS credits,
               m.occurred_at AS since, 'payment ' || m.payment_ref AS detail
          FROM matched_entries m WHERE m.kind = 'charge' AND m.purchase IS NULL AND m.occurred_at < :settled_by""",
    DifferenceKind.PAYMENT_NOT_BOOKED: """
        SELECT m.entry_id AS subject, m.provider, p.id AS purchase_id, p.job_id, m.amount_krw, p.credits,
               m.occurred_at AS since, 'the purchase is ' || p.status AS detail
          FROM matched_entries m JOIN purchases p ON p.id = m.purchase
         WHERE m.kind = 'charge' AND p.status <> 'PAID' AND m.occurred_at < :settled_by""",
    DifferenceKind.PAYMENT_MISSING: """
        SELECT p.id AS subject, p.provider, p.id AS purchase_id, p.job_id, p.amount_krw, p.credits,
               p.paid_at AS since, 'paid as ' || coalesce(p.provider_ref, '?') AS detail
          FROM purchases p WHERE p.status = 'PAID' AND p.paid_at < :fetched_at
           AND NOT EXISTS (SELECT FROM matched_entries m WHERE m.purchase = p.id AND m.kind = 'charge')""",
    DifferenceKind.AMOUNT_DIFFERS: """
        SELECT p.id AS subject, p.provider, p.id AS purchase_id, p.job_id,
               sum(m.amount_krw)::bigint - p.amount_krw AS amount_krw, 0 AS credits, min(m.occurred_at) AS since,
               'the provider took ' || sum(m.amount_krw) || ', the purchase says ' || p.amount_krw AS detail
          FROM matched_entries m JOIN purchases p ON p.id = m.purchase WHERE m.kind = 'charge'
         GROUP BY p.id HAVING sum(m.amount_krw) <> p.amount_krw
        UNION ALL
        SELECT r.id, m.provider, p.id, p.job_id, -sum(m.amount_krw)::bigint - due.krw, 0, max(m.occurred_at),
               'the provider refunded ' || -sum(m.amount_krw) || ', the refund says ' || due.krw || ': ' || r.status
          FROM matched_entries m JOIN purchases p ON p.id = m.purchase
          JOIN refunds r ON r.purchase_id = m.purchase AND (r.id = m.refund_id OR r.provider_ref = m.source_ref)
          -- What a bank sends back is an entry of its own.
          CROSS JOIN LATERAL (SELECT CASE r.status WHEN 'FAILED' THEN 0 ELSE r.amount_krw END AS krw) due
         WHERE m.kind IN ('refund', 'refund_failure')
         GROUP BY r.id, m.provider, p.id, due.krw
        HAVING -sum(m.amount_krw) <> due.krw AND max(m.occurred_at) < :settled_by""",
    DifferenceKind.REFUND_NOT_BOOKED: """
        SELECT m.entry_id AS subject, m.provider, m.purchase AS purchase_id, p.job_id, -m.amount_krw AS amount_krw,
               0 AS credits, m.occurred_at AS since, 'refund ' || m.source_ref AS detail
          FROM matched_entries m JOIN purchases p ON p.id = m.purchase
          LEFT JOIN refunds r ON r.purchase_id = m.purchase AND (r.id = m.refund_id OR r.provider_ref = m.source_ref)
         WHERE m.kind = 'refund' AND r.id IS NULL AND m.occurred_at < :settled_by""",
    DifferenceKind.REFUND_MISSING: """
        SELECT r.id AS subject, p.provider, p.id AS purchase_id, p.job_id, r.amount_krw, r.credits,
               r.finished_at AS since, 'refund ' || coalesce(r.provider_ref, '?') AS detail
          FROM refunds r JOIN purchases p ON p.id = r.purchase_id
         WHERE r.status = 'SUCCEEDED' AND r.finished_at < :fetched_at
           AND NOT EXISTS (SELECT FROM matched_entries m WHERE m.purchase = p.id AND m.kind = 'refund'
                           AND (m.refund_id = r.id OR m.source_ref = r.provider_ref))""",
    DifferenceKind.REFUND_STUCK: """
        SELECT r.id AS subject, p.provider, p.id AS purchase_id, p.job_id, r.amount_krw, r.credits,
               r.created_at AS since, 'refund is ' || r.status AS detail
          FROM refunds r JOIN purchases p ON p.id = r.purchase_id
         WHERE r.status IN ('REQUESTED', 'PENDING') AND r.created_at < :stuck_since""",
    DifferenceKind.REFUND_FAILED: """
        SELECT r.id AS subject, p.provider, p.id AS purchase_id, p.job_id, r.amount_krw, r.credits,
               r.finished_at AS since, r.failure AS detail
          FROM refunds r JOIN purchases p ON p.id = r.purchase_id
         WHERE r.status = 'FAILED' AND r.dismissed_at IS NULL""",
    DifferenceKind.DISPUTE_NOT_BOOKED: """
        SELECT m.entry_id AS subject, m.provider, m.purchase AS purchase_id, p.job_id, -m.amount_krw AS amount_krw,
               0 AS credits, m.occurred_at AS since, 'dispute ' || m.source_ref AS detail
          FROM matched_entries m JOIN purchases p ON p.id = m.purchase
          LEFT JOIN disputes d ON d.provider = m.provider AND d.provider_ref = m.source_ref
         WHERE m.kind = 'dispute' AND d.provider_ref IS NULL AND m.occurred_at < :settled_by
        UNION ALL
        SELECT m.entry_id, m.provider, m.purchase, p.job_id, -m.amount_krw, 0, m.occurred_at,
               'dispute ' || m.source_ref || ' was won, the books say ' || d.status
          FROM matched_entries m JOIN purchases p ON p.id = m.purchase
          JOIN disputes d ON d.provider = m.provider AND d.provider_ref = m.source_ref
         WHERE m.kind = 'dispute_reversal' AND d.status <> 'WON' AND m.occurred_at < :settled_by""",
    DifferenceKind.DISPUTE_MISSING: """
        SELECT d.provider_ref AS subject, d.provider, d.purchase_id, p.job_id, d.amount_krw,
               d.credits_frozen AS credits, d.opened_at AS since, 'dispute is ' || d.status AS detail
          FROM disputes d JOIN purchases p ON p.id = d.purchase_id
         WHERE d.opened_at < :fetched_at AND NOT EXISTS (
               SELECT FROM matched_entries m WHERE m.kind = 'dispute' AND m.source_ref = d.provider_ref)""",
    DifferenceKind.CASH_DIFFERS: """
        WITH booked AS (
            SELECT a.provider, coalesce(sum(p.amount), 0)::bigint AS krw
              FROM accounts a LEFT JOIN postings p ON p.account_id = a.id WHERE a.kind = 'cash' GROUP BY 1),
        told AS (
            SELECT provider, sum(krw)::bigint AS krw FROM (
                SELECT provider, amount_krw AS krw FROM purchases WHERE status = 'PAID'
                UNION ALL SELECT p.provider, -r.amount_krw FROM refunds r JOIN purchases p ON p.id = r.purchase_id
                           WHERE r.status = 'SUCCEEDED'
                UNION ALL SELECT provider, -amount_krw FROM disputes WHERE status IN ('OPEN', 'LOST')
                UNION ALL SELECT a.provider, po.amount FROM transfers t JOIN postings po ON po.transfer_id = t.id
                            JOIN accounts a ON a.id = po.account_id AND a.kind = 'cash' WHERE t.kind = 'correction'
            ) every GROUP BY provider)
        SELECT 'cash ' || provider AS subject, provider, NULL AS purchase_id, NULL AS job_id,
               coalesce(b.krw, 0) - coalesce(t.krw, 0) AS amount_krw, 0 AS credits, now() AS since,
               'the account says ' || coalesce(b.krw, 0) || ', purchases, refunds and disputes say '
               || coalesce(t.krw, 0) AS detail
          FROM booked b FULL JOIN told t USING (provider) WHERE coalesce(b.krw, 0) <> coalesce(t.krw, 0)""",
    DifferenceKind.PAYOUT_DIFFERS: """
        SELECT o.payout_ref AS subject, o.provider, NULL AS purchase_id, NULL AS job_id,
               o.amount_krw - sum(e.amount_krw - e.fee_krw)::bigint AS amount_krw, 0 AS credits,
               o.arrived_at AS since,
               'paid out ' || o.amount_krw || ', its entries say ' || sum(e.amount_krw - e.fee_krw) AS detail
          FROM provider_payouts o JOIN provider_entries e ON e.provider = o.provider
           AND e.payout_ref = o.payout_ref AND e.kind <> 'payout'
         GROUP BY o.provider, o.payout_ref HAVING o.amount_krw <> sum(e.amount_krw - e.fee_krw)""",
    DifferenceKind.EVENT_NOT_DELIVERED: """
        SELECT w.event_id AS subject, w.provider, w.purchase_id, NULL AS job_id, 0 AS amount_krw, 0 AS credits,
               w.received_at AS since, w.type AS detail
          FROM webhook_inbox w WHERE w.delivered_at IS NULL AND w.outcome IS NULL AND w.received_at < :event_since""",
}


CORRECTED = text("SELECT kind, subject FROM corrections WHERE status = 'APPROVED' AND kind IS NOT NULL")
"""What two people of finance have settled is no difference any more."""


async def find(session: AsyncSession, *, now: datetime, fetched_at: datetime) -> list[Difference]:
    """Every difference between statements, purchases and ledger at this moment, oldest first; whole won and credits.

    Use a `Database.read()` session: all queries must see one moment.
    """
    moments = {
        "fetched_at": fetched_at,
        "settled_by": _before(now, SETTLING_S),
        "stuck_since": _before(now, STUCK_S),
        "event_since": _before(now, EVENT_S),
    }
    found: list[Difference] = []
    for kind, query in QUERIES.items():
        named = {name: moment for name, moment in moments.items() if f":{name}" in query}
        found += [
            Difference(
                kind=kind,
                subject=row.subject,
                provider=None if row.provider is None else Provider(row.provider),
                purchase_id=row.purchase_id,
                job_id=row.job_id,
                amount_krw=row.amount_krw,
                credits=row.credits,
                since=row.since,
                detail=row.detail or "",
            )
            for row in await session.execute(text(query), named)
        ]
    found += [
        Difference(kind=DifferenceKind.BOOKS_VIOLATION, subject=violation, since=now, detail=violation)
        for violation in await check_books(session)
    ]
    corrected = {(row.kind, row.subject) for row in await session.execute(CORRECTED)}
    open_ = [difference for difference in found if (difference.kind, difference.subject) not in corrected]
    return sorted(open_, key=lambda difference: difference.since)


def _before(now: datetime, seconds: int) -> datetime:
    return now - timedelta(seconds=seconds)
