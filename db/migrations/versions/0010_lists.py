"""What long lists are read from: credits spent by day, kept with each capture, and indexes for finance (docs/adr/031).

Revision ID: 0010
Revises: 0008
"""

from __future__ import annotations

from db.migrations.sql import run_sql

revision = "0010"
down_revision = "0008"

USAGE = """
-- What was captured of a user on a UTC day for a kind of job. `from_line` of it was taken from the line of all paid
-- credits (analytics.lots): paid credits, less those that the job's own charge had bought. No CHECKs: each is parsed
-- anew by every statement that writes the table (docs/adr/026), and what is added here is judged as a transfer.
CREATE TABLE usage_by_day (
    user_id    text COLLATE "C" NOT NULL,
    day        date NOT NULL,
    kind       text NOT NULL,
    credits    bigint NOT NULL,
    jobs       bigint NOT NULL,
    from_line  bigint NOT NULL,
    PRIMARY KEY (user_id, day, kind)
) WITH (fillfactor = 50);  -- room beside each row for the next sum, so that no index is written

-- At commit, when the postings are there. The row is one user's, whose accounts the capture has locked already: so
-- nobody waits for it who would not wait anyway.
CREATE FUNCTION usage_count() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM postings WHERE transfer_id = NEW.id) THEN
        -- Somebody has made this constraint immediate: what is promotional cannot be told yet.
        RAISE EXCEPTION 'transfer % has no postings', NEW.id USING ERRCODE = 'check_violation';
    END IF;
    INSERT INTO usage_by_day AS u (user_id, day, kind, credits, jobs, from_line)
    SELECT NEW.user_id, (NEW.created_at AT TIME ZONE 'UTC')::date, coalesce(j.kind, ''), NEW.amount, 1,
           greatest(NEW.amount - coalesce(promo.amount, 0) - coalesce(charge.credits, 0), 0)
      FROM (VALUES (1)) one
      LEFT JOIN postings promo ON promo.transfer_id = NEW.id AND promo.account_id =
                (SELECT id FROM accounts WHERE user_id IS NULL AND kind = 'revenue' AND bucket = 'promo')
      LEFT JOIN jobs j ON j.id = NEW.job_id
      LEFT JOIN purchases charge ON charge.id = j.purchase_id AND charge.status = 'PAID'
        ON CONFLICT (user_id, day, kind) DO UPDATE
       SET credits = u.credits + EXCLUDED.credits, jobs = u.jobs + 1, from_line = u.from_line + EXCLUDED.from_line;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER usage_count AFTER INSERT ON transfers
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.kind = 'capture') EXECUTE FUNCTION usage_count();
"""

# The trigger has locked `transfers` against writers until this migration is committed, so no capture is missed.
FILL = """
INSERT INTO usage_by_day (user_id, day, kind, credits, jobs, from_line)
SELECT user_id, (created_at AT TIME ZONE 'UTC')::date, coalesce(job_kind, ''), sum(credits), count(*),
       sum(paid_credits - own)
  FROM analytics.captures GROUP BY 1, 2, 3
"""

KEPT = """
CREATE TRIGGER usage_not_by_hand BEFORE INSERT OR UPDATE ON usage_by_day
    WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION refuse_change();
CREATE TRIGGER usage_kept BEFORE DELETE OR TRUNCATE ON usage_by_day EXECUTE FUNCTION refuse_change();
"""

INDEXES = """
-- For finance. Holds and captures, which are nearly all transfers, are found at once from the end of the books; of the
-- other kinds there may be few, or none.
CREATE INDEX transfers_uncommon ON transfers (kind, seq) WHERE kind NOT IN ('hold', 'capture');
CREATE INDEX transfers_by_time ON transfers (created_at, seq);
"""

REPORTS = """
-- A capture's amount is what it earns (postings_apply), so what it earns of paid credits is what is not promotional.
CREATE OR REPLACE VIEW analytics.captures AS
    WITH split AS (
        SELECT t.user_id, t.seq, t.id AS transfer_id, t.created_at, t.job_id, t.amount AS credits,
               t.amount - coalesce(o.amount, 0) AS paid_credits, j.kind AS job_kind, p.transfer_id AS charge,
               least(t.amount - coalesce(o.amount, 0), coalesce(p.credits, 0)) AS own
          FROM transfers t
          LEFT JOIN postings o ON o.transfer_id = t.id
               AND o.account_id = (SELECT id FROM accounts WHERE kind = 'revenue' AND bucket = 'promo')
          LEFT JOIN jobs j ON j.id = t.job_id
          LEFT JOIN purchases p ON p.id = j.purchase_id AND p.status = 'PAID'
         WHERE t.kind = 'capture')
    SELECT split.*, (sum(paid_credits - own) OVER line - (paid_credits - own))::bigint AS first,
           (sum(paid_credits - own) OVER line)::bigint AS last
      FROM split WINDOW line AS (PARTITION BY user_id ORDER BY seq);

-- Captured credits, and the won for which they had been bought: what the line of paid credits is worth up to the end of
-- a capture, less what it is worth up to its beginning, which is the end of the user's capture before. Lots and
-- captures are walked once, side by side in the order of the line; `lot` is the last one that began before.
CREATE OR REPLACE VIEW analytics.revenue AS
    WITH priced AS (
        SELECT l.*, analytics.worth(amount_krw, credits, own) AS worth_own,
               analytics.worth(amount_krw, credits, own + rest)
               - analytics.worth(amount_krw, credits, own) AS worth_rest
          FROM analytics.lots l),
    line AS (
        SELECT captures.*, NULL::bigint[] AS lot FROM analytics.captures
         UNION ALL
        SELECT user_id, seq, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, first,
               ARRAY[row_number() OVER line, first, rest, own, credits, amount_krw,
                     (sum(worth_rest) OVER line - worth_rest - worth_own)::bigint]
          FROM priced WINDOW line AS (PARTITION BY user_id ORDER BY seq)),
    walked AS (
        SELECT line.*, max(lot) OVER (PARTITION BY user_id ORDER BY last, lot NULLS FIRST, seq) AS l FROM line),
    valued AS (
        SELECT w.*, coalesce(l[7] + analytics.worth(l[6], l[5], l[4] + least(last - l[2], l[3])), 0) AS worth_last
          FROM walked w WHERE lot IS NULL)
    SELECT c.user_id, c.seq, c.transfer_id, c.created_at, c.job_id, c.job_kind, c.credits, c.paid_credits,
           (coalesce(analytics.worth(charge.amount_krw, charge.credits, c.own), 0) + c.worth_last
            - lag(c.worth_last, 1, 0::bigint) OVER (PARTITION BY c.user_id ORDER BY c.last, c.lot NULLS FIRST, c.seq)
           )::bigint AS krw
      FROM valued c LEFT JOIN purchases charge ON charge.transfer_id = c.charge;

-- What is owed to users: the unspent part of each lot.
CREATE OR REPLACE VIEW analytics.liability AS
    WITH spent AS (SELECT user_id, sum(from_line)::bigint AS credits FROM usage_by_day GROUP BY user_id),
    left_over AS (
        SELECT l.*, l.own + least(greatest(coalesce(s.credits, 0) - l.first, 0), l.rest) AS used
          FROM analytics.lots l LEFT JOIN spent s USING (user_id))
    SELECT user_id, transfer_id, purchase_id, created_at AS bought_at, (kept - used)::bigint AS credits,
           analytics.worth(amount_krw, credits, kept) - analytics.worth(amount_krw, credits, used) AS krw
      FROM left_over WHERE kept > used;
"""


def upgrade() -> None:
    run_sql(USAGE)
    run_sql(INDEXES)
    run_sql(REPORTS)
    run_sql(FILL)
    run_sql(KEPT)
