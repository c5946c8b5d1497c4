"""The ledger's rules in fewer statements: the same refusals, for less work (docs/adr/026).

Revision ID: 0011
Revises: 0010
"""

from __future__ import annotations

from db.migrations.sql import run_sql

revision = "0011"
down_revision = "0010"

# What a statement costs here is its start, not its rows. So: one query for each question, none asked twice.

RULES = """
-- One statement writes the postings of one transfer, all of them, in the transaction that wrote the transfer; so they
-- can be judged, and the balances moved, at the end of that statement, and nothing can be added later.
CREATE OR REPLACE FUNCTION postings_apply() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    t        record;
    legs     record;
    problem  text;
BEGIN
    SELECT o.id, o.kind, o.unit, o.amount, o.user_id, o.hold_id, o.xact,
           (SELECT count(*) FROM added) AS added,
           NOT EXISTS (SELECT FROM added WHERE transfer_id <> n.transfer_id) AS alone,
           h.kind = 'hold' AND h.user_id = o.user_id AND h.unit = o.unit AND h.job_id IS NOT DISTINCT FROM o.job_id
           AS resolves
      INTO t
      FROM (SELECT transfer_id FROM added LIMIT 1) n LEFT JOIN transfers o ON o.id = n.transfer_id
      LEFT JOIN transfers h ON h.id = o.hold_id;
    IF NOT FOUND THEN
        RETURN NULL;  -- the statement wrote nothing
    ELSIF t.xact IS DISTINCT FROM pg_current_xact_id() THEN
        RAISE EXCEPTION 'postings are written by the transaction of their transfer'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;

    UPDATE accounts a SET balance = a.balance + p.amount FROM postings p
     WHERE p.transfer_id = t.id AND a.id = p.account_id AND a.user_id IS NOT NULL;

    -- A resolution is added up together with its hold: nothing may be left in `held`. (coalesce: a plan for NULL would
    -- look cheaper than the one for all, and be made anew each time.)
    SELECT count(*) FILTER (WHERE p.transfer_id = t.id) AS written,
           coalesce(sum(p.amount) FILTER (WHERE a.bucket = 'promo'), 0) AS promo,
           coalesce(sum(p.amount) FILTER (WHERE a.bucket = 'paid'), 0) AS paid,
           coalesce(sum(p.amount) FILTER (WHERE a.kind = 'held' AND a.bucket = 'promo'), 0) AS held_promo,
           coalesce(sum(p.amount) FILTER (WHERE a.kind = 'held' AND a.bucket = 'paid'), 0) AS held_paid,
           bool_and(coalesce(CASE
               WHEN p.transfer_id <> t.id THEN true
               WHEN a.kind = 'revenue' THEN t.kind = 'capture' AND p.amount > 0
               WHEN a.user_id <> t.user_id THEN false
               WHEN a.kind = 'available' THEN (t.kind = 'hold') = (p.amount < 0)
               WHEN a.kind = 'held' THEN (t.kind = 'hold') = (p.amount > 0)
               END, false)) AS fit,
           sum(p.amount) FILTER (WHERE p.transfer_id = t.id AND p.amount > 0
                                   AND (t.kind <> 'capture' OR a.kind = 'revenue')) AS moved
      INTO legs
      FROM postings p LEFT JOIN accounts a ON a.id = p.account_id
     WHERE p.transfer_id IN (t.id, coalesce(t.hold_id, t.id));
    IF legs.written <> t.added OR NOT t.alone THEN
        RAISE EXCEPTION 'all postings of a transfer, and no other, are written by one statement'
            USING ERRCODE = 'integrity_constraint_violation';
    ELSIF legs.promo <> 0 OR legs.paid <> 0 THEN
        problem := 'postings do not sum to zero per unit and bucket';
    ELSIF t.kind <> 'hold' AND t.hold_id IS NULL THEN
        problem := money_problem(t.id);
    ELSIF NOT legs.fit OR t.unit <> 'credit' THEN
        problem := 'postings are not those of its kind';
    ELSIF legs.moved IS DISTINCT FROM t.amount THEN
        problem := 'its amount is not what its postings move';
    ELSIF t.hold_id IS NULL THEN
        RETURN NULL;
    ELSIF t.resolves IS NOT TRUE THEN
        problem := 'it resolves what is not a hold of the same user and job';
    ELSIF legs.held_promo <> 0 OR legs.held_paid <> 0 THEN
        problem := 'it does not take exactly what the hold has put aside';
    END IF;
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION 'transfer % (%): %', t.id, t.kind, problem USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;

-- What is wrong with a transfer of another kind; NULL: nothing. As in 0003.
CREATE FUNCTION money_problem(checked uuid) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    t     transfers;
    legs  record;
BEGIN
    SELECT * INTO t FROM transfers WHERE id = checked;
    SELECT count(*) AS count, count(a.id) AS known, count(a.user_id) AS owned,
           coalesce(sum(p.amount) FILTER (WHERE a.bucket = 'promo'), 0) AS promo,
           coalesce(sum(p.amount) FILTER (WHERE a.bucket = 'paid'), 0) AS paid,
           coalesce(sum(p.amount) FILTER (WHERE a.unit = 'krw'), 0) AS krw,
           min(a.user_id) AS first_user, max(a.user_id) AS last_user,
           min(a.provider) IS NOT DISTINCT FROM max(a.provider) AS one_provider,
           sum(p.amount) FILTER (WHERE p.amount > 0 AND a.unit = 'credit') AS credits,
           sum(p.amount) FILTER (WHERE p.amount > 0 AND a.unit = 'krw') AS won,
           count(*) FILTER (WHERE a.kind = 'promo') AS from_promo,
           string_agg(DISTINCT (a.kind || CASE a.unit WHEN 'krw' THEN '.krw' ELSE '' END
                                || CASE WHEN p.amount > 0 THEN '+' ELSE '-' END) COLLATE "C", ' ') AS shape
      INTO legs
      FROM postings p LEFT JOIN accounts a ON a.id = p.account_id WHERE p.transfer_id = checked;
    IF legs.known <> legs.count THEN
        RETURN 'posting to an unknown account';
    ELSIF legs.promo <> 0 OR legs.paid <> 0 OR legs.krw <> 0 THEN
        RETURN 'postings do not sum to zero per unit and bucket';
    ELSIF legs.owned > 0 AND (legs.first_user IS DISTINCT FROM t.user_id OR legs.last_user <> t.user_id) THEN
        RETURN 'postings touch the accounts of another user';
    ELSIF legs.owned = 0 AND t.user_id IS NOT NULL
        AND NOT EXISTS (SELECT FROM accounts WHERE user_id = t.user_id) THEN
        RETURN 'its user has no accounts';
    ELSIF t.amount IS DISTINCT FROM (CASE t.unit WHEN 'credit' THEN legs.credits WHEN 'krw' THEN legs.won END) THEN
        RETURN 'its amount is not what its postings move';
    ELSIF (transfer_has_shape(t.kind, t.unit, legs.shape)
           AND (legs.one_provider OR t.kind = 'correction')
           AND (t.expires_at IS NULL OR legs.from_promo > 0)) IS NOT TRUE THEN
        RETURN 'postings are not those of its kind: ' || legs.shape;
    ELSIF t.kind IN ('refund', 'dispute') THEN
        RETURN transit_problem(t);
    END IF;
    RETURN NULL;
END $$;

DROP FUNCTION resolution_problem(transfers, bigint, bigint);
"""

SHAPES = """
-- Which accounts a kind may touch, and in which direction. Holds and their resolutions: postings_apply.
CREATE FUNCTION transfer_has_shape(kind text, unit text, shape text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE kind
        WHEN 'expire' THEN unit = 'credit' AND shape = 'available- breakage+'
        WHEN 'grant' THEN unit = 'credit' AND shape IN ('available+ promo-', 'available+ issued-')
        WHEN 'purchase' THEN unit = 'credit' AND shape = 'available+ cash.krw+ issued- issued.krw-'
        WHEN 'refund' THEN
            CASE unit WHEN 'credit' THEN shape IN (
                'available- refunds+',                                          -- put aside
                'available+ refunds-',                                          -- the provider could not
                'cash.krw- issued+ issued.krw+ refunds-',                       -- paid back
                'cash.krw- debt+ issued+ issued.krw+ losses- refunds-',         -- ... in part for spent credits
                'cash.krw- debt+ issued.krw+ losses-',                          -- ... all for spent credits
                'available+ cash.krw+ issued- issued.krw-',                     -- each of these come back
                'available+ cash.krw+ debt- issued- issued.krw- losses+',
                'cash.krw+ debt- issued.krw- losses+')
            ELSE shape IN ('cash.krw- issued.krw+', 'cash.krw+ issued.krw-')    -- less than a credit; come back
            END
        WHEN 'dispute' THEN
            CASE unit WHEN 'krw' THEN shape IN (
                'available- cash.krw- disputes+ disputes.krw+', 'cash.krw- disputes.krw+',      -- opened
                'available+ cash.krw+ disputes- disputes.krw-', 'cash.krw+ disputes.krw-',      -- won
                'disputes- disputes.krw- issued+ issued.krw+', 'disputes.krw- issued.krw+',     -- lost
                'debt+ disputes- disputes.krw- issued+ issued.krw+ losses-',
                'debt+ disputes.krw- issued.krw+ losses-')
            ELSE shape = 'available- disputes+'                                 -- credits that came free later
            END
        WHEN 'correction' THEN shape NOT LIKE '%held%'
    END
$$;
DROP FUNCTION transfer_has_shape(text, text, boolean, text);
"""

AT_COMMIT = """
-- All that is asked of a transfer when its transaction ends. One trigger: each has its price, and so has each WHEN.
CREATE FUNCTION transfers_at_commit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM postings WHERE transfer_id = NEW.id) THEN
        RAISE EXCEPTION 'transfer % has no postings', NEW.id USING ERRCODE = 'check_violation';
    END IF;
    -- Sealing looks back a day for transfers that committed after later ones (0005).
    IF NEW.created_at < clock_timestamp() - interval '1 hour' THEN
        RAISE EXCEPTION 'transfer % comes too late: its transaction was open for more than an hour', NEW.id
            USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.kind = 'correction' AND NOT EXISTS (SELECT FROM corrections WHERE transfer_id = NEW.id) THEN
        RAISE EXCEPTION 'correction % has not been approved by a second person', NEW.id
            USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.job_id IS NOT NULL THEN
        PERFORM check_job_money(NEW.job_id);
    END IF;
    IF NEW.purchase_id IS NOT NULL AND NEW.kind IN ('purchase', 'refund', 'dispute') THEN
        PERFORM check_purchase(NEW.purchase_id);
    END IF;
    RETURN NULL;
END $$;
DROP TRIGGER transfers_have_postings ON transfers;
DROP TRIGGER correction_is_approved ON transfers;
DROP TRIGGER jobs_money ON transfers;
DROP TRIGGER purchases_money ON transfers;
CREATE CONSTRAINT TRIGGER transfers_at_commit AFTER INSERT ON transfers
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION transfers_at_commit();
DROP FUNCTION transfers_have_postings();
DROP FUNCTION correction_is_approved();

CREATE OR REPLACE FUNCTION jobs_money() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM check_job_money(NEW.id);
    RETURN NULL;
END $$;
"""

INDEXES = """
-- Still the only resolution of its hold; half of all transfers, the holds themselves, need no entry.
CREATE UNIQUE INDEX transfers_of_hold ON transfers (hold_id) WHERE hold_id IS NOT NULL;
ALTER TABLE transfers DROP CONSTRAINT transfers_hold_id_key;
"""

CALLS = """
-- As in 0003, with fewer statements.
CREATE OR REPLACE FUNCTION ledger_resolve(
    new_id uuid, of_hold uuid, as_kind text, asked bigint, of_job text, of_purchase text, by_actor text, at_step text,
    in_workflow text, in_run text, why text,
    OUT outcome text, OUT owner text, OUT held bigint, OUT moved bigint) LANGUAGE plpgsql AS $$
DECLARE
    a             record;
    promo         bigint := 0;
    paid          bigint := 0;
    promo_earned  bigint := 0;
    paid_earned   bigint := 0;
    promo_id      bigint;
    paid_id       bigint;
    held_promo    bigint;
    held_paid     bigint;
BEGIN
    -- All accounts of the user, in the order of their ids, as whoever else changes one locks them (docs/adr/020).
    -- What a hold consists of never changes, so it may be read with the lock; whether it is pending may not.
    FOR a IN SELECT h.user_id, h.amount AS total, o.id, o.kind, o.bucket, p.amount
               FROM transfers h JOIN accounts o ON o.user_id = h.user_id
               LEFT JOIN postings p ON p.transfer_id = h.id AND p.account_id = o.id
              WHERE h.id = of_hold AND h.kind = 'hold' ORDER BY o.id FOR NO KEY UPDATE OF o LOOP
        owner := a.user_id;
        held := a.total;
        IF a.kind = 'held' AND a.amount IS NOT NULL THEN
            IF a.bucket = 'promo' THEN held_promo := a.id; promo := a.amount;
            ELSE held_paid := a.id; paid := a.amount; END IF;
        ELSIF a.kind = 'available' THEN
            IF a.bucket = 'promo' THEN promo_id := a.id; ELSE paid_id := a.id; END IF;
        END IF;
    END LOOP;
    IF held IS NULL THEN
        outcome := 'unknown';
        RETURN;
    END IF;
    moved := CASE as_kind WHEN 'capture' THEN coalesce(asked, held) ELSE held END;
    IF moved > held OR moved < 1 THEN
        outcome := 'amount';
        RETURN;
    END IF;
    IF as_kind = 'capture' THEN
        promo_earned := least(moved, promo);
        paid_earned := moved - promo_earned;
    END IF;
    INSERT INTO transfers (id, kind, unit, amount, user_id, hold_id, job_id, purchase_id, actor, step, workflow_id,
                           run_id, reason)
    VALUES (new_id, as_kind, 'credit', moved, owner, of_hold, of_job, of_purchase, by_actor, at_step, in_workflow,
            in_run, why)
    ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        outcome := 'taken';
        RETURN;
    END IF;
    INSERT INTO postings (transfer_id, account_id, amount)
    SELECT new_id, leg.id, leg.amount
      FROM (VALUES (held_promo, -promo), (held_paid, -paid), (promo_id, promo - promo_earned),
                   (paid_id, paid - paid_earned),
                   ((SELECT id FROM accounts WHERE user_id IS NULL AND kind = 'revenue' AND bucket = 'promo'),
                    promo_earned),
                   ((SELECT id FROM accounts WHERE user_id IS NULL AND kind = 'revenue' AND bucket = 'paid'),
                    paid_earned)) leg (id, amount)
     WHERE leg.amount <> 0;
    outcome := 'written';
END $$;
"""

EVENTS = """
-- Whoever writes an event tells those who wait for it, at commit, without a statement of its own.
CREATE FUNCTION job_events_notify() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('job_events', NEW.job_id);
    RETURN NULL;
END $$;
CREATE TRIGGER job_events_notify AFTER INSERT ON job_events
    FOR EACH ROW EXECUTE FUNCTION job_events_notify();
"""

SETTINGS = """
-- A connection keeps the plans that it made when a table was small or its statistics were old. Whatever it knew then,
-- these functions touch a few rows by their keys: never a whole table, be it read, hashed or merged. And a temporary
-- table must not pass for one of ours: by default it comes first.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY '{ledger_hold, ledger_resolve, postings_apply, transfers_at_commit, usage_count}'::text[] LOOP
        EXECUTE format('ALTER FUNCTION %I SET enable_seqscan = off', name);
        EXECUTE format('ALTER FUNCTION %I SET enable_hashjoin = off', name);
        EXECUTE format('ALTER FUNCTION %I SET enable_mergejoin = off', name);
    END LOOP;
    FOREACH name IN ARRAY '{postings_apply, transfers_at_commit, usage_count, jobs_money, purchases_money}'::text[] LOOP
        EXECUTE format('ALTER FUNCTION %I SET search_path = public, pg_temp', name);
    END LOOP;
END $$;
"""


def upgrade() -> None:
    run_sql(SHAPES)
    run_sql(RULES)
    run_sql(AT_COMMIT)
    run_sql(INDEXES)
    run_sql(CALLS)
    run_sql(EVENTS)
    run_sql(SETTINGS)
