"""The audit history of one saga: what every source of truth has written about one job and its money, on one line."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.errors import Code, EchoError
from contracts.finance import AuditEntry, SagaAudit
from contracts.ids import JobId, PurchaseId, job_workflow_id, purchase_workflow_id

HEAD = text("""
    SELECT j.id, j.user_id, j.kind, j.status, j.purchase_id, now() AS generated_at,
           coalesce((SELECT h.amount FROM transfers h WHERE h.job_id = j.id AND h.kind = 'hold'
                      ORDER BY h.seq LIMIT 1), p.credits, 0) AS quote_credits,
           coalesce((SELECT c.amount FROM transfers c WHERE c.job_id = j.id AND c.kind = 'capture'), 0) AS captured,
           coalesce(p.amount_krw, 0) AS paid_krw, p.status AS purchase_status,
           coalesce((SELECT sum(r.amount_krw) FROM refunds r WHERE r.purchase_id = p.id AND r.status = 'SUCCEEDED'),
                    0)::bigint AS refunded_krw
      FROM jobs j LEFT JOIN purchases p ON p.id = j.purchase_id WHERE j.id = :job""")

ENTRIES = text("""
    SELECT at, 'saga' AS source, step || ' ' || outcome AS what, actor, workflow_id, run_id, credits,
           0::bigint AS amount_krw, coalesce(transfer_id::text, '') AS refers_to,
           concat_ws(' ', nullif(credit_effect, 'none'), detail) AS detail, 1 AS rank, seq
      FROM saga_log WHERE job_id = :job
    UNION ALL
    SELECT t.created_at, 'ledger',
           concat_ws(' ', t.kind, (SELECT a.phase FROM analytics.transfers a WHERE a.id = t.id)), t.actor,
           t.workflow_id, t.run_id,
           CASE WHEN t.unit = 'credit' THEN t.amount ELSE 0 END,
           coalesce((SELECT sum(o.amount) FROM postings o JOIN accounts a ON a.id = o.account_id
                      WHERE o.transfer_id = t.id AND a.kind = 'cash'), 0)::bigint,
           t.id::text,
           (SELECT string_agg(concat_ws('/', a.kind, a.bucket, a.provider) || ' ' || o.amount, ', '
                              ORDER BY a.kind, a.bucket, a.provider)
              FROM postings o JOIN accounts a ON a.id = o.account_id WHERE o.transfer_id = t.id), 2, t.seq
      FROM transfers t WHERE t.job_id = :job OR t.purchase_id = :purchase
    UNION ALL
    SELECT p.created_at, 'provider', 'purchase created', 'user:' || p.user_id, '', '', p.credits, p.amount_krw,
           p.id, p.provider, 0, 0 FROM purchases p WHERE p.id = :purchase
    UNION ALL
    SELECT e.occurred_at, 'provider', e.kind, e.provider, '', '', 0, e.amount_krw, e.source_ref,
           concat_ws(' ', 'entry', e.entry_id, 'fee', e.fee_krw), 3, 0
      FROM matched_entries e WHERE e.purchase = :purchase
    UNION ALL
    SELECT r.created_at, 'provider', 'refund ' || r.reason, r.requested_by, '', '', r.credits, r.amount_krw,
           concat_ws(' ', r.id, r.provider_ref), concat_ws(' ', r.status, r.failure), 3, 0
      FROM refunds r WHERE r.purchase_id = :purchase
    UNION ALL
    SELECT d.opened_at, 'provider', 'dispute', d.provider, '', '', d.credits_frozen, d.amount_krw, d.provider_ref,
           d.status, 3, 0 FROM disputes d WHERE d.purchase_id = :purchase
    UNION ALL
    SELECT w.event_at, 'webhook', w.type, w.provider, '', '', 0, 0, w.event_id,
           concat_ws(' ', 'received', to_char(w.received_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
                     coalesce(w.outcome, 'not delivered')), 4, 0
      FROM webhook_inbox w JOIN purchases p ON p.id = :purchase
       AND (w.purchase_id = p.id OR (w.provider = p.provider AND w.object_ref = p.provider_ref))
    UNION ALL
    SELECT s.at, 'staff', s.action, s.role || ':' || s.user_id, '', '', 0, 0, s.object, s.request_id, 5, s.id
      FROM staff_log s WHERE s.object IN (:job, :purchase)
     ORDER BY at, rank, seq""")


async def saga_audit(session: AsyncSession, job_id: JobId) -> SagaAudit:
    """Oldest first. NOT_FOUND for no such job. Use a `Database.read()` session: one moment."""
    head = (await session.execute(HEAD, {"job": job_id})).one_or_none()
    if head is None:
        raise EchoError(Code.NOT_FOUND, f"no job {job_id}")
    # Without a purchase the job's own id stands in, which no purchase has; staff's lists have the empty one.
    rows = await session.execute(ENTRIES, {"job": job_id, "purchase": head.purchase_id or job_id})
    workflows = [job_workflow_id(job_id)]
    if head.purchase_id:
        workflows.append(purchase_workflow_id(PurchaseId(head.purchase_id)))
    return SagaAudit(
        job_id=head.id,
        user_id=head.user_id,
        kind=head.kind,
        status=head.status,
        quote_credits=head.quote_credits,
        captured_credits=head.captured,
        paid_krw=head.paid_krw if head.purchase_status == "PAID" else 0,
        refunded_krw=head.refunded_krw,
        workflow_ids=tuple(workflows),
        entries=tuple(
            AuditEntry(
                at=row.at,
                source=row.source,
                what=row.what,
                actor=row.actor,
                workflow_id=row.workflow_id,
                run_id=row.run_id,
                credits=row.credits,
                amount_krw=row.amount_krw,
                refers_to=row.refers_to,
                detail=row.detail or "",
            )
            for row in rows
        ),
        generated_at=head.generated_at,
    )
