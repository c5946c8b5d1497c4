"""What each transfer of a refund or a dispute has done, so that a refund's two steps do not read like two refunds.

Revision ID: 0013
Revises: 0012
"""

from __future__ import annotations

from db.migrations.sql import run_sql

revision = "0013"
down_revision = "0012"

PHASES = """
-- Told by the accounts that it moved, not by a column: the books and the sealed journal stay as they are. Of a refund:
-- reserved (credits put aside), paid_out (the money left), returned (it could not be paid: the credits are back) or
-- undone (it came back after it was paid). Of a dispute: opened, frozen (credits that came free later), won or lost.
-- Asked for only when it is selected, and only of these two kinds.
CREATE OR REPLACE VIEW analytics.transfers AS
    SELECT t.seq, t.id, t.created_at, t.kind, t.unit, t.amount, t.user_id, t.job_id, t.purchase_id, t.hold_id, t.actor,
           t.step, t.reason, t.expires_at,
           CASE t.kind
               WHEN 'refund' THEN (
                   SELECT CASE WHEN bool_or(a.kind = 'cash' AND p.amount < 0) THEN 'paid_out'
                               WHEN bool_or(a.kind = 'cash') THEN 'undone'
                               WHEN bool_or(a.kind = 'refunds' AND p.amount > 0) THEN 'reserved'
                               ELSE 'returned' END
                     FROM postings p JOIN accounts a ON a.id = p.account_id WHERE p.transfer_id = t.id)
               WHEN 'dispute' THEN (
                   SELECT CASE WHEN bool_or(a.kind = 'cash' AND p.amount < 0) THEN 'opened'
                               WHEN bool_or(a.kind = 'cash') THEN 'won'
                               WHEN bool_or(a.kind = 'issued') THEN 'lost'
                               ELSE 'frozen' END
                     FROM postings p JOIN accounts a ON a.id = p.account_id WHERE p.transfer_id = t.id)
           END AS phase
      FROM transfers t;
"""


def upgrade() -> None:
    run_sql(PHASES)
