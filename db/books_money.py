"""The audit of purchases, refunds and disputes: each row followed to its transfers, and each transfer to its row.

Like db/books.py, it trusts none of the triggers that should make every finding impossible.
"""

from __future__ import annotations

MOVED = """
    SELECT t.purchase_id,
           coalesce(sum(p.amount) FILTER (WHERE a.kind = 'cash'), 0) AS cash,
           coalesce(sum(p.amount) FILTER (WHERE a.kind = 'available'), 0) AS available,
           coalesce(sum(p.amount) FILTER (WHERE a.kind = 'refunds'), 0) AS refunding,
           coalesce(sum(p.amount) FILTER (WHERE a.kind = 'disputes' AND a.unit = 'credit'), 0) AS frozen,
           coalesce(sum(p.amount) FILTER (WHERE a.kind = 'disputes' AND a.unit = 'krw'), 0) AS disputed,
           coalesce(sum(p.amount) FILTER (WHERE a.kind = 'debt'), 0) AS owed
      FROM transfers t JOIN postings p ON p.transfer_id = t.id JOIN accounts a ON a.id = p.account_id
     WHERE t.kind IN ('purchase', 'refund', 'dispute') GROUP BY t.purchase_id"""
"""By purchase, what its transfers have moved."""

BACK = """
    SELECT purchase_id, credits, amount_krw AS krw FROM refunds WHERE status <> 'FAILED'
     UNION ALL SELECT purchase_id, credits, amount_krw FROM disputes WHERE status <> 'WON'"""
"""What was or will be taken back."""

SPENT_BY_JOB = """
    SELECT c.job_id, sum(p.amount) AS credits
      FROM transfers c JOIN postings p ON p.transfer_id = c.id
      JOIN accounts a ON a.id = p.account_id AND a.kind = 'revenue' AND a.bucket = 'paid'
     WHERE c.kind = 'capture' GROUP BY c.job_id"""

CHECKS = {
    "credits without payment: a transfer of a purchase that is not paid, or by another than its own": """
        SELECT t.id || ' of ' || t.purchase_id FROM transfers t LEFT JOIN purchases p ON p.id = t.purchase_id
         WHERE t.kind IN ('purchase', 'refund', 'dispute')
           AND (p.status IS DISTINCT FROM 'PAID' OR t.user_id <> p.user_id
                OR (t.kind = 'purchase' AND (t.id <> p.transfer_id OR t.amount <> p.credits)))""",
    "payment without credits: a paid purchase without its transfer": """
        SELECT p.id FROM purchases p LEFT JOIN transfers t ON t.id = p.transfer_id AND t.kind = 'purchase'
           AND t.purchase_id = p.id
         WHERE p.status = 'PAID' AND t.id IS NULL""",
    "a purchase whose rows and transfers disagree": f"""
        SELECT p.id || ' cash ' || coalesce(m.cash, 0) || ', rows say ' || should.cash
          FROM purchases p
          LEFT JOIN ({MOVED}) m ON m.purchase_id = p.id
          CROSS JOIN LATERAL (
            SELECT count(*) FILTER (WHERE status IN ('REQUESTED', 'PENDING')) AS open,
                   coalesce(sum(amount_krw) FILTER (WHERE status = 'SUCCEEDED'), 0) AS paid_back,
                   coalesce(sum(credits - credits_owed) FILTER (WHERE status <> 'FAILED'), 0) AS taken,
                   coalesce(sum(credits - credits_owed)
                            FILTER (WHERE status IN ('REQUESTED', 'PENDING')), 0) AS under_way,
                   coalesce(sum(credits_owed) FILTER (WHERE status = 'SUCCEEDED'), 0) AS owed
              FROM refunds WHERE purchase_id = p.id) r
          CROSS JOIN LATERAL (
            SELECT coalesce(sum(amount_krw) FILTER (WHERE status <> 'WON'), 0) AS taken_krw,
                   coalesce(sum(amount_krw) FILTER (WHERE status = 'OPEN'), 0) AS open_krw,
                   coalesce(sum(credits_frozen) FILTER (WHERE status <> 'WON'), 0) AS taken,
                   coalesce(sum(credits_frozen) FILTER (WHERE status = 'OPEN'), 0) AS frozen,
                   coalesce(sum(credits_owed), 0) AS owed
              FROM disputes WHERE purchase_id = p.id) d
          CROSS JOIN LATERAL (
            SELECT p.amount_krw - r.paid_back - d.taken_krw AS cash, p.credits - r.taken - d.taken AS available) should
         WHERE p.status = 'PAID'
           AND (m.cash, m.available, m.refunding, m.frozen, m.disputed, m.owed) IS DISTINCT FROM
               (should.cash, should.available, r.under_way, d.frozen, d.open_krw, r.owed + d.owed)""",
    "more taken back than was paid": f"""
        SELECT p.id || ': ' || sum(b.krw) || ' won, ' || sum(b.credits) || ' credits'
          FROM purchases p JOIN ({BACK}) b ON b.purchase_id = p.id
         GROUP BY p.id HAVING sum(b.krw) > p.amount_krw OR sum(b.credits) > p.credits""",
    "a refund without its transfers, or with those of another state": """
        SELECT r.id || ' is ' || r.status FROM refunds r
          LEFT JOIN transfers reserve ON reserve.id = r.reserve_transfer_id AND reserve.purchase_id = r.purchase_id
          LEFT JOIN transfers done ON done.id = r.settle_transfer_id AND done.purchase_id = r.purchase_id
          LEFT JOIN transfers back ON back.id = r.return_transfer_id AND back.purchase_id = r.purchase_id
         WHERE (reserve.id IS NULL) <> (r.credits = r.credits_owed)
            OR (r.status = 'SUCCEEDED' AND done.id IS NULL)
            OR (r.status IN ('REQUESTED', 'PENDING') AND coalesce(done.id, back.id) IS NOT NULL)
            OR (r.status = 'FAILED' AND back.id IS NULL AND coalesce(reserve.id, done.id) IS NOT NULL)""",
    "a transfer of kind refund that no refund names": """
        SELECT t.id::text FROM transfers t WHERE t.kind = 'refund' AND NOT EXISTS (
            SELECT FROM refunds r WHERE t.id IN (r.reserve_transfer_id, r.settle_transfer_id, r.return_transfer_id))""",
    "a purchase that names a job that names another purchase, or none": """
        SELECT coalesce(p.id, j.id) FROM (SELECT * FROM purchases WHERE job_id IS NOT NULL) p
          FULL JOIN (SELECT * FROM jobs WHERE purchase_id IS NOT NULL) j ON j.id = p.job_id AND j.purchase_id = p.id
         WHERE p.id IS NULL OR j.id IS NULL OR p.user_id <> j.user_id""",
    "payment without credit or refund: what an ended job left of its charge is not on its way to the card": f"""
        SELECT j.id || ' of ' || p.id FROM jobs j JOIN purchases p ON p.id = j.purchase_id
          LEFT JOIN ({SPENT_BY_JOB}) s ON s.job_id = j.id
         WHERE j.finished_at IS NOT NULL AND p.status = 'PAID' AND p.refund_to = 'card'
           AND p.credits - coalesce(s.credits, 0)
               > (SELECT coalesce(sum(credits), 0) FROM refunds WHERE purchase_id = p.id)
                 + (SELECT coalesce(sum(credits), 0) FROM disputes WHERE purchase_id = p.id AND status <> 'WON')""",
    "a paid job at work that holds nothing, or an unpaid one that holds something": """
        SELECT j.id || ' of ' || p.id FROM jobs j JOIN purchases p ON p.id = j.purchase_id
         WHERE (p.status = 'PAID' AND j.finished_at IS NULL AND j.hold_id IS NULL)
            OR (p.status <> 'PAID' AND j.hold_id IS NOT NULL)""",
    "a transfer of a charge without its line in the saga log": """
        SELECT t.id || ' (' || t.kind || ') of ' || p.job_id FROM transfers t JOIN purchases p ON p.id = t.purchase_id
         WHERE t.kind IN ('purchase', 'refund', 'dispute') AND p.job_id IS NOT NULL
           AND NOT EXISTS (SELECT FROM saga_log s WHERE s.job_id = p.job_id AND s.transfer_id = t.id)""",
    "two prices of one package at one time": """
        SELECT a.id || ' and ' || b.id FROM price_list a JOIN price_list b ON a.package = b.package AND a.id < b.id
         WHERE tstzrange(a.valid_from, a.valid_to) && tstzrange(b.valid_from, b.valid_to)""",
}
"""What must not exist, and the query that finds it."""
