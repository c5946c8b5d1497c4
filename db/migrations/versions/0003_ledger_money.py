"""Transfers of purchases, refunds, disputes, expiry and corrections (docs/adr/022); the ledger's rules in few passes,
holds and their resolutions in one call (docs/adr/026).

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

from db.migrations.sql import run_sql

revision = "0003"
down_revision = "0002"

# A CHECK is parsed anew by every statement that writes its table. Rows of accounts and transfers are judged once, at
# their insertion, because nothing but a balance can change: so their checks are one trigger each. The balance's own
# CHECK stays.

ACCOUNTS = """
ALTER TABLE accounts
    DROP CONSTRAINT accounts_kind_check, DROP CONSTRAINT accounts_unit_check, DROP CONSTRAINT accounts_bucket_check,
    DROP CONSTRAINT accounts_check, DROP CONSTRAINT accounts_check1, DROP CONSTRAINT accounts_check2,
    DROP CONSTRAINT accounts_check3, DROP CONSTRAINT accounts_check4,
    SET (fillfactor = 50);  -- room beside each row for the next balance, so that no index is written
DROP TRIGGER accounts_guard ON accounts;

-- The chart of accounts, whole. What is on its way back to a card (`refunds`), what a bank has frozen (`disputes`) and
-- what is owed (`debt`) belongs to a user: as balances that cannot be negative, none of them gives back more than was
-- put there.
CREATE OR REPLACE FUNCTION accounts_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (CASE
        WHEN NEW.user_id IS NOT NULL THEN NEW.balance = 0 AND NEW.unit = 'credit' AND NEW.provider IS NULL AND
            (NEW.kind IN ('available', 'held') AND NEW.bucket IN ('promo', 'paid')
             OR NEW.kind IN ('refunds', 'disputes', 'debt') AND NEW.bucket = 'paid')
        WHEN NEW.balance IS NOT NULL THEN false
        WHEN NEW.unit = 'credit' THEN NEW.provider IS NULL AND
            (NEW.kind = 'revenue' AND NEW.bucket IN ('promo', 'paid')
             OR NEW.kind IN ('promo', 'breakage') AND NEW.bucket = 'promo'
             OR NEW.kind IN ('issued', 'losses') AND NEW.bucket = 'paid')
        WHEN NEW.unit = 'krw' AND NEW.bucket IS NULL THEN
            NEW.kind IN ('issued', 'losses') AND NEW.provider IS NULL
            OR NEW.kind IN ('cash', 'disputes') AND NEW.provider IS NOT NULL
        END) IS NOT TRUE THEN
        RAISE EXCEPTION 'no account of the chart, or not at zero: %', NEW USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER accounts_guard BEFORE INSERT ON accounts FOR EACH ROW EXECUTE FUNCTION accounts_guard();
-- Depth 0: a statement of somebody's own, not the one of the trigger on postings. That one names no other column.
CREATE TRIGGER accounts_not_by_hand BEFORE UPDATE ON accounts
    WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION refuse_change();
CREATE TRIGGER accounts_keep_their_name
    BEFORE UPDATE OF id, kind, unit, bucket, user_id, provider, created_at ON accounts
    EXECUTE FUNCTION refuse_change();

INSERT INTO accounts (kind, unit, bucket) VALUES
    ('losses', 'credit', 'paid'), ('issued', 'krw', NULL), ('losses', 'krw', NULL);
"""

TRANSFERS = """
ALTER TABLE transfers
    ADD COLUMN purchase_id text COLLATE "C",
    -- When a promotional grant ends; spent or not is found by the credits that are left then.
    ADD COLUMN expires_at timestamptz,
    DROP CONSTRAINT transfers_kind_check, DROP CONSTRAINT transfers_unit_check,
    DROP CONSTRAINT transfers_amount_check, DROP CONSTRAINT transfers_actor_check,
    DROP CONSTRAINT transfers_step_check, DROP CONSTRAINT transfers_check, DROP CONSTRAINT transfers_check1,
    DROP CONSTRAINT transfers_check2, DROP CONSTRAINT transfers_check3,
    -- postings_apply sees that user and hold exist; neither a transfer nor a user who has accounts can be deleted.
    DROP CONSTRAINT transfers_user_id_fkey, DROP CONSTRAINT transfers_hold_id_fkey;
CREATE INDEX transfers_by_purchase ON transfers (purchase_id, seq) WHERE purchase_id IS NOT NULL;
-- A purchase is paid for once.
CREATE UNIQUE INDEX transfers_of_payment ON transfers (purchase_id) WHERE kind = 'purchase';
CREATE INDEX transfers_expiring ON transfers (expires_at) WHERE expires_at IS NOT NULL;

CREATE OR REPLACE FUNCTION transfers_stamp() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.amount > 0 AND NEW.actor <> '' AND NEW.step <> ''
        AND (NEW.user_id IS NOT NULL OR NEW.kind = 'correction')
        AND (NEW.expires_at IS NULL OR NEW.kind = 'grant')
        AND CASE
            WHEN NEW.kind IN ('hold', 'grant') THEN NEW.hold_id IS NULL
            WHEN NEW.kind IN ('capture', 'release') THEN NEW.hold_id IS NOT NULL
            WHEN NEW.kind = 'expire' THEN true
            WHEN NEW.kind IN ('purchase', 'refund', 'dispute') THEN NEW.hold_id IS NULL AND NEW.purchase_id IS NOT NULL
            WHEN NEW.kind = 'correction' THEN NEW.hold_id IS NULL AND NEW.reason <> ''
        END) IS NOT TRUE THEN
        RAISE EXCEPTION 'transfer % (%) lacks what its kind needs, or has what it must not', NEW.id, NEW.kind
            USING ERRCODE = 'check_violation';
    END IF;
    NEW.xact := pg_current_xact_id();
    NEW.created_at := clock_timestamp();
    RETURN NEW;
END $$;
"""

RULES = """
-- Which accounts a kind may touch, and in which direction.
CREATE FUNCTION transfer_has_shape(kind text, unit text, resolves boolean, shape text) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE kind
        WHEN 'hold' THEN unit = 'credit' AND shape = 'available- held+'
        WHEN 'capture' THEN shape IN ('held- revenue+', 'available+ held- revenue+')
        WHEN 'release' THEN shape = 'available+ held-'
        WHEN 'expire' THEN unit = 'credit' AND
            shape = CASE WHEN resolves THEN 'available+ held-' ELSE 'available- breakage+' END
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

-- What is wrong with a resolution that takes these credits out of held; NULL: nothing.
CREATE FUNCTION resolution_problem(t transfers, held_promo bigint, held_paid bigint) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    hold record;
BEGIN
    SELECT h.kind, h.user_id, h.unit, h.job_id,
           coalesce(sum(p.amount) FILTER (WHERE a.bucket = 'promo'), 0) AS promo,
           coalesce(sum(p.amount) FILTER (WHERE a.bucket = 'paid'), 0) AS paid
      INTO hold
      FROM transfers h LEFT JOIN postings p ON p.transfer_id = h.id AND p.amount > 0
           LEFT JOIN accounts a ON a.id = p.account_id
     WHERE h.id = t.hold_id GROUP BY h.id;
    IF hold.kind IS DISTINCT FROM 'hold' OR
        (hold.user_id, hold.unit, hold.job_id) IS DISTINCT FROM (t.user_id, t.unit, t.job_id) THEN
        RETURN 'it resolves what is not a hold of the same user and job';
    ELSIF (hold.promo, hold.paid) IS DISTINCT FROM (-held_promo, -held_paid) THEN
        RETURN 'it does not take exactly what the hold has put aside';
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION transit_problem(t transfers) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    -- One at a time for each user, so that two of them cannot both give back the same.
    PERFORM FROM accounts WHERE user_id = t.user_id ORDER BY id FOR NO KEY UPDATE;
    IF EXISTS (SELECT FROM transfers o JOIN postings p ON p.transfer_id = o.id
                 JOIN accounts a ON a.id = p.account_id AND a.kind IN ('refunds', 'disputes')
                WHERE o.purchase_id = t.purchase_id GROUP BY a.id HAVING sum(p.amount) < 0) THEN
        RETURN 'it takes more out of refunds or disputes than its purchase has there';
    END IF;
    RETURN NULL;
END $$;

-- All postings of a transfer come in one statement, of the transaction that wrote the transfer; so they can be
-- judged, and the balances moved, at the end of that statement, and nothing can be added later.
CREATE OR REPLACE FUNCTION postings_apply() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    t        transfers;
    legs     record;
    written  bigint;
    problem  text;
BEGIN
    UPDATE accounts a SET balance = a.balance + n.amount
      FROM (SELECT account_id, sum(amount) AS amount FROM added GROUP BY account_id ORDER BY account_id) n
     WHERE a.id = n.account_id AND a.user_id IS NOT NULL;

    FOR legs IN
        SELECT n.transfer_id, count(*) AS count, count(a.id) AS known, count(a.user_id) AS owned,
               coalesce(sum(n.amount) FILTER (WHERE a.bucket = 'promo'), 0) AS promo,
               coalesce(sum(n.amount) FILTER (WHERE a.bucket = 'paid'), 0) AS paid,
               coalesce(sum(n.amount) FILTER (WHERE a.unit = 'krw'), 0) AS krw,
               min(a.user_id) AS first_user, max(a.user_id) AS last_user,
               min(a.provider) IS NOT DISTINCT FROM max(a.provider) AS one_provider,
               -- What a transfer moves, in either unit, and what of it is earned.
               sum(n.amount) FILTER (WHERE n.amount > 0 AND a.unit = 'credit') AS credits,
               sum(n.amount) FILTER (WHERE n.amount > 0 AND a.unit = 'krw') AS won,
               sum(n.amount) FILTER (WHERE n.amount > 0 AND a.kind = 'revenue') AS earned,
               coalesce(sum(n.amount) FILTER (WHERE a.kind = 'held' AND a.bucket = 'promo'), 0)::bigint AS held_promo,
               coalesce(sum(n.amount) FILTER (WHERE a.kind = 'held' AND a.bucket = 'paid'), 0)::bigint AS held_paid,
               count(*) FILTER (WHERE a.kind = 'promo') AS from_promo,
               string_agg(DISTINCT (a.kind || CASE a.unit WHEN 'krw' THEN '.krw' ELSE '' END
                                    || CASE WHEN n.amount > 0 THEN '+' ELSE '-' END) COLLATE "C", ' ') AS shape
          FROM added n LEFT JOIN accounts a ON a.id = n.account_id GROUP BY n.transfer_id
    LOOP
        SELECT * INTO t FROM transfers WHERE id = legs.transfer_id;
        SELECT count(*) INTO written FROM postings WHERE transfer_id = legs.transfer_id;
        IF t.xact IS DISTINCT FROM pg_current_xact_id() THEN
            RAISE EXCEPTION 'postings are written by the transaction of their transfer'
                USING ERRCODE = 'integrity_constraint_violation';
        ELSIF legs.count <> written THEN
            RAISE EXCEPTION 'all postings of a transfer are written by one statement'
                USING ERRCODE = 'integrity_constraint_violation';
        ELSIF legs.known <> legs.count THEN
            RAISE EXCEPTION 'posting to an unknown account' USING ERRCODE = 'foreign_key_violation';
        ELSIF legs.promo <> 0 OR legs.paid <> 0 OR legs.krw <> 0 THEN
            problem := 'postings do not sum to zero per unit and bucket';
        ELSIF legs.owned > 0 AND (legs.first_user IS DISTINCT FROM t.user_id OR legs.last_user <> t.user_id) THEN
            problem := 'postings touch the accounts of another user';
        ELSIF legs.owned = 0 AND t.user_id IS NOT NULL
            AND NOT EXISTS (SELECT FROM accounts WHERE user_id = t.user_id) THEN
            problem := 'its user has no accounts';
        ELSIF t.amount IS DISTINCT FROM (CASE WHEN t.kind = 'capture' THEN legs.earned
                                              WHEN t.unit = 'credit' THEN legs.credits
                                              WHEN t.unit = 'krw' THEN legs.won END) THEN
            problem := 'its amount is not what its postings move';
        ELSIF (transfer_has_shape(t.kind, t.unit, t.hold_id IS NOT NULL, legs.shape)
               AND (legs.one_provider OR t.kind = 'correction')
               AND (t.expires_at IS NULL OR legs.from_promo > 0)) IS NOT TRUE THEN
            problem := 'postings are not those of its kind: ' || legs.shape;
        ELSIF t.hold_id IS NOT NULL THEN
            problem := resolution_problem(t, legs.held_promo, legs.held_paid);
        ELSIF t.kind IN ('refund', 'dispute') THEN
            problem := transit_problem(t);
        END IF;
        IF problem IS NOT NULL THEN
            RAISE EXCEPTION 'transfer % (%): %', t.id, t.kind, problem USING ERRCODE = 'check_violation';
        END IF;
    END LOOP;
    RETURN NULL;
END $$;
DROP FUNCTION check_transfer(uuid);
"""

CALLS = """
-- One round trip each. They only find the right postings, like db/ledger.py for all other kinds: what they write is
-- judged by the triggers above, as anybody's. `outcome`: written, or why nothing was written.

CREATE FUNCTION ledger_hold(
    new_id uuid, of_user text, asked bigint, from_paid bigint, of_job text, of_purchase text, by_actor text,
    at_step text, in_workflow text, in_run text, why text,
    OUT outcome text, OUT required bigint, OUT there bigint) LANGUAGE plpgsql AS $$
DECLARE
    a           record;
    promo       bigint := 0;
    paid        bigint := 0;
    promo_id    bigint;
    paid_id     bigint;
    held_promo  bigint;
    held_paid   bigint;
BEGIN
    FOR a IN SELECT id, kind, bucket, balance FROM accounts WHERE user_id = of_user ORDER BY id FOR NO KEY UPDATE LOOP
        IF a.kind = 'available' THEN
            IF a.bucket = 'promo' THEN promo_id := a.id; promo := a.balance;
            ELSE paid_id := a.id; paid := a.balance; END IF;
        ELSIF a.kind = 'held' THEN
            IF a.bucket = 'promo' THEN held_promo := a.id; ELSE held_paid := a.id; END IF;
        END IF;
    END LOOP;
    IF promo + paid < asked OR paid < from_paid THEN
        outcome := 'short';
        required := CASE WHEN promo + paid < asked THEN asked ELSE from_paid END;
        there := CASE WHEN promo + paid < asked THEN promo + paid ELSE paid END;
        RETURN;
    END IF;
    promo := least(asked - from_paid, promo);
    paid := asked - promo;
    IF promo > 0 AND held_promo IS NULL OR paid > 0 AND held_paid IS NULL THEN
        outcome := 'unopened';
        RETURN;
    END IF;
    INSERT INTO transfers (id, kind, unit, amount, user_id, job_id, purchase_id, actor, step, workflow_id, run_id,
                           reason)
    VALUES (new_id, 'hold', 'credit', asked, of_user, of_job, of_purchase, by_actor, at_step, in_workflow, in_run, why)
    ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        outcome := 'taken';
        RETURN;
    END IF;
    INSERT INTO postings (transfer_id, account_id, amount)
    SELECT new_id, leg.id, leg.amount
      FROM (VALUES (promo_id, -promo), (paid_id, -paid), (held_promo, promo), (held_paid, paid)) leg (id, amount)
     WHERE leg.amount <> 0;
    outcome := 'written';
END $$;

-- `as_kind`: capture, release or expire. `asked`: what a capture takes, NULL for all of it.
CREATE FUNCTION ledger_resolve(
    new_id uuid, of_hold uuid, as_kind text, asked bigint, of_job text, of_purchase text, by_actor text, at_step text,
    in_workflow text, in_run text, why text,
    OUT outcome text, OUT owner text, OUT held bigint, OUT moved bigint) LANGUAGE plpgsql AS $$
DECLARE
    a                record;
    promo            bigint := 0;
    paid             bigint := 0;
    promo_earned     bigint := 0;
    paid_earned      bigint := 0;
    promo_id         bigint;
    paid_id          bigint;
    held_promo       bigint;
    held_paid        bigint;
    revenue_promo    bigint;
    revenue_paid     bigint;
BEGIN
    -- What a hold consists of never changes, so it may be read before the lock; whether it is pending may not.
    SELECT user_id, amount INTO owner, held FROM transfers WHERE id = of_hold AND kind = 'hold';
    IF NOT FOUND THEN
        outcome := 'unknown';
        RETURN;
    END IF;
    moved := CASE as_kind WHEN 'capture' THEN coalesce(asked, held) ELSE held END;
    IF moved > held OR moved < 1 THEN
        outcome := 'amount';
        RETURN;
    END IF;
    FOR a IN SELECT o.id, o.kind, o.bucket, p.amount
               FROM accounts o LEFT JOIN postings p ON p.transfer_id = of_hold AND p.account_id = o.id
              WHERE o.user_id = owner ORDER BY o.id FOR NO KEY UPDATE OF o LOOP
        IF a.kind = 'available' THEN
            IF a.bucket = 'promo' THEN promo_id := a.id; ELSE paid_id := a.id; END IF;
        ELSIF a.kind = 'held' THEN
            IF a.bucket = 'promo' THEN held_promo := a.id; promo := coalesce(a.amount, 0);
            ELSE held_paid := a.id; paid := coalesce(a.amount, 0); END IF;
        END IF;
    END LOOP;
    IF as_kind = 'capture' THEN
        promo_earned := least(moved, promo);
        paid_earned := moved - promo_earned;
        SELECT max(id) FILTER (WHERE bucket = 'promo'), max(id) FILTER (WHERE bucket = 'paid')
          INTO revenue_promo, revenue_paid FROM accounts WHERE user_id IS NULL AND kind = 'revenue' AND unit = 'credit';
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
      FROM (VALUES (held_promo, -promo), (held_paid, -paid), (revenue_promo, promo_earned), (revenue_paid, paid_earned),
                   (promo_id, promo - promo_earned), (paid_id, paid - paid_earned)) leg (id, amount)
     WHERE leg.amount <> 0;
    outcome := 'written';
END $$;
"""


def upgrade() -> None:
    run_sql(ACCOUNTS)
    run_sql(TRANSFERS)
    run_sql(RULES)
    run_sql(CALLS)
