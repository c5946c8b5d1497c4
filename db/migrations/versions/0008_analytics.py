"""What analysts read: views without card or personal data, and a role that can read nothing else (docs/finance.md).

Revision ID: 0008
Revises: 0007
"""

from __future__ import annotations

from db.migrations.sql import run_sql

revision = "0008"
down_revision = "0007"

BOOKS = """
CREATE SCHEMA analytics;

CREATE VIEW analytics.transfers AS
    SELECT seq, id, created_at, kind, unit, amount, user_id, job_id, purchase_id, hold_id, actor, step, reason,
           expires_at
      FROM transfers;

CREATE VIEW analytics.postings AS
    SELECT p.transfer_id, a.kind AS account, a.unit, a.bucket, a.provider, a.user_id, p.amount
      FROM postings p JOIN accounts a ON a.id = p.account_id;

CREATE VIEW analytics.balances AS
    SELECT user_id, kind AS account, bucket, balance AS credits FROM accounts WHERE user_id IS NOT NULL;

CREATE VIEW analytics.jobs AS
    SELECT id, user_id, kind, status, failure_code, purchase_id, created_at, started_at, finished_at FROM jobs;

CREATE VIEW analytics.purchases AS
    SELECT id, user_id, provider, price_id, job_id, credits, amount_krw, status, failure_code, created_at, paid_at
      FROM purchases;

CREATE VIEW analytics.refunds AS
    SELECT r.id, r.purchase_id, p.user_id, p.provider, p.job_id, r.credits, r.amount_krw, r.reason, r.status,
           r.requested_by, r.created_at, r.finished_at
      FROM refunds r JOIN purchases p ON p.id = r.purchase_id;

CREATE VIEW analytics.disputes AS
    SELECT d.purchase_id, p.user_id, d.provider, d.amount_krw, d.credits_frozen, d.credits_owed, d.status,
           d.opened_at, d.closed_at
      FROM disputes d JOIN purchases p ON p.id = d.purchase_id;
"""

REVENUE = """
-- Paid credits are a liability until they are spent. A job that a card pays for spends its own charge; everything else
-- is spent first in, first out. A lot is one purchase, or one gift of paid credits (worth no won). What was refunded
-- or frozen is cut from its end (`kept`), its own job takes from its beginning (`own`), and `first` and `last` place
-- the rest in the line of all paid credits of its user. A charge stands there from the moment on when its job let go
-- of it, because nobody else could spend it before: what is reported for an old capture is not changed by a new one.
CREATE VIEW analytics.lots AS
    WITH cut AS (
        SELECT purchase_id, sum(credits) AS credits FROM (
            SELECT purchase_id, credits - credits_owed AS credits FROM refunds WHERE status <> 'FAILED'
            UNION ALL SELECT purchase_id, credits_frozen FROM disputes WHERE status <> 'WON') every
         GROUP BY purchase_id),
    charge AS (
        SELECT p.id AS purchase_id, j.finished_at IS NULL AS active, r.seq AS let_go,
               least(p.credits, coalesce(sum(o.amount) FILTER (WHERE a.kind = 'revenue' AND a.bucket = 'paid'), 0))
               AS own
          FROM purchases p JOIN jobs j ON j.id = p.job_id
          LEFT JOIN transfers r ON r.hold_id = j.hold_id
          LEFT JOIN postings o ON o.transfer_id = r.id LEFT JOIN accounts a ON a.id = o.account_id
         GROUP BY p.id, j.finished_at, r.seq),
    lot AS (
        SELECT t.user_id, coalesce(charge.let_go, t.seq) AS seq, t.id AS transfer_id, t.created_at, p.id AS purchase_id,
               sum(o.amount)::bigint AS credits, coalesce(p.amount_krw, 0) AS amount_krw,
               greatest(sum(o.amount) - coalesce(cut.credits, 0), 0)::bigint AS kept,
               coalesce(charge.own, 0)::bigint AS own, coalesce(charge.active, false) AS active
          FROM transfers t
          JOIN postings o ON o.transfer_id = t.id AND o.amount > 0
          JOIN accounts a ON a.id = o.account_id AND a.kind = 'available' AND a.bucket = 'paid'
          LEFT JOIN purchases p ON p.transfer_id = t.id
          LEFT JOIN cut ON cut.purchase_id = p.id
          LEFT JOIN charge ON charge.purchase_id = p.id
         WHERE t.kind IN ('purchase', 'grant', 'correction')
         GROUP BY t.id, p.id, cut.credits, charge.let_go, charge.own, charge.active),
    free AS (SELECT lot.*, CASE WHEN active THEN 0 ELSE greatest(kept - own, 0) END AS rest FROM lot)
    SELECT free.*, (sum(rest) OVER line - rest)::bigint AS first, (sum(rest) OVER line)::bigint AS last
      FROM free WINDOW line AS (PARTITION BY user_id ORDER BY seq);

CREATE VIEW analytics.captures AS
    WITH captured AS (
        SELECT t.user_id, t.seq, t.id AS transfer_id, t.created_at, t.job_id, t.amount AS credits,
               coalesce(sum(o.amount) FILTER (WHERE a.bucket = 'paid'), 0)::bigint AS paid_credits
          FROM transfers t JOIN postings o ON o.transfer_id = t.id
          JOIN accounts a ON a.id = o.account_id AND a.kind = 'revenue'
         WHERE t.kind = 'capture' GROUP BY t.id),
    split AS (
        SELECT c.*, j.kind AS job_kind, p.transfer_id AS charge, least(c.paid_credits, coalesce(p.credits, 0)) AS own
          FROM captured c LEFT JOIN jobs j ON j.id = c.job_id
          LEFT JOIN purchases p ON p.id = j.purchase_id AND p.status = 'PAID')
    SELECT split.*, (sum(paid_credits - own) OVER line - (paid_credits - own))::bigint AS first,
           (sum(paid_credits - own) OVER line)::bigint AS last
      FROM split WINDOW line AS (PARTITION BY user_id ORDER BY seq);

-- The won that `taken` credits from the beginning of a lot are worth: whole, and exact once the lot is used up.
CREATE FUNCTION analytics.worth(lot_krw bigint, lot_credits bigint, taken bigint) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
    'SELECT lot_krw * greatest(0, least(taken, lot_credits)) / lot_credits';

-- Captured credits, and the won for which they had been bought.
CREATE VIEW analytics.revenue AS
    SELECT c.user_id, c.seq, c.transfer_id, c.created_at, c.job_id, c.job_kind, c.credits, c.paid_credits,
           (coalesce(max(analytics.worth(charge.amount_krw, charge.credits, c.own)), 0)
            + coalesce(sum(
                analytics.worth(l.amount_krw, l.credits, l.own + least(greatest(c.last - l.first, 0), l.rest))
                - analytics.worth(l.amount_krw, l.credits, l.own + least(greatest(c.first - l.first, 0), l.rest))),
              0))::bigint AS krw
      FROM analytics.captures c
      LEFT JOIN purchases charge ON charge.transfer_id = c.charge
      LEFT JOIN analytics.lots l ON l.user_id = c.user_id AND l.first < c.last AND l.last > c.first
     GROUP BY c.user_id, c.seq, c.transfer_id, c.created_at, c.job_id, c.job_kind, c.credits, c.paid_credits;

-- What is owed to users: the unspent part of each lot.
CREATE VIEW analytics.liability AS
    WITH spent AS (SELECT user_id, max(last) AS credits FROM analytics.captures GROUP BY user_id),
    left_over AS (
        SELECT l.*, l.own + least(greatest(coalesce(s.credits, 0) - l.first, 0), l.rest) AS used
          FROM analytics.lots l LEFT JOIN spent s USING (user_id))
    SELECT user_id, transfer_id, purchase_id, created_at AS bought_at, (kept - used)::bigint AS credits,
           analytics.worth(amount_krw, credits, kept) - analytics.worth(amount_krw, credits, used) AS krw
      FROM left_over WHERE kept > used;

CREATE VIEW analytics.money_by_day AS
    SELECT day, provider, sum(received)::bigint AS received_krw, sum(refunded)::bigint AS refunded_krw,
           sum(disputed)::bigint AS disputed_krw
      FROM (
        SELECT date_trunc('day', paid_at, 'UTC')::date AS day, provider, amount_krw AS received, 0 AS refunded,
               0 AS disputed FROM purchases WHERE status = 'PAID'
        UNION ALL
        SELECT date_trunc('day', r.finished_at, 'UTC')::date, p.provider, 0, r.amount_krw, 0
          FROM refunds r JOIN purchases p ON p.id = r.purchase_id WHERE r.status = 'SUCCEEDED'
        UNION ALL
        SELECT date_trunc('day', opened_at, 'UTC')::date, provider, 0, 0, amount_krw FROM disputes
         WHERE status <> 'WON') every
     GROUP BY day, provider;

CREATE VIEW analytics.revenue_by_day AS
    SELECT date_trunc('day', created_at, 'UTC')::date AS day, coalesce(job_kind, '') AS job_kind, count(*) AS jobs,
           sum(credits)::bigint AS credits, sum(paid_credits)::bigint AS paid_credits, sum(krw)::bigint AS krw
      FROM analytics.revenue GROUP BY 1, 2;

CREATE VIEW analytics.reconciliations AS
    SELECT r.id, r.period_from, r.period_to, r.finished_at, count(d.id) AS differences,
           coalesce(sum(abs(d.amount_krw)), 0)::bigint AS krw
      FROM reconciliations r LEFT JOIN differences d ON d.reconciliation_id = r.id GROUP BY r.id;

CREATE VIEW analytics.differences AS
    SELECT reconciliation_id, kind, subject, provider, purchase_id, job_id, amount_krw, credits, since, detail
      FROM differences;
"""

ROLE = """
-- A group to grant to analysts' logins. A role belongs to the whole server, so it may be there already; and whoever
-- migrates may lack the right to make it: then an operator does (docs/finance.md).
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'echoshot_analyst') THEN
        CREATE ROLE echoshot_analyst NOLOGIN;
    END IF;
EXCEPTION
    WHEN insufficient_privilege THEN RAISE NOTICE 'role echoshot_analyst is left to an operator';
    WHEN duplicate_object OR unique_violation THEN NULL;
END $$;
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'echoshot_analyst') THEN
        GRANT USAGE ON SCHEMA analytics TO echoshot_analyst;
        GRANT SELECT ON ALL TABLES IN SCHEMA analytics TO echoshot_analyst;
        GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA analytics TO echoshot_analyst;
    END IF;
END $$;
"""


def upgrade() -> None:
    run_sql(BOOKS)
    run_sql(REVENUE)
    run_sql(ROLE)
