"""Transfers of purchases, refunds, disputes, expiry and corrections (docs/adr/022), judged in one pass.

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

from db.migrations.sql import run_sql

revision = "0003"
down_revision = "0002"

ACCOUNTS = """
-- The chart of accounts, whole. What is on its way back to a card (`refunds`), what a bank has frozen (`disputes`) and
-- what is owed (`debt`) belongs to a user: as balances that cannot be negative, none of them gives back more than was
-- put there.
ALTER TABLE accounts
    DROP CONSTRAINT accounts_kind_check, DROP CONSTRAINT accounts_check, DROP CONSTRAINT accounts_check3,
    DROP CONSTRAINT accounts_check4,
    ADD CONSTRAINT accounts_chart CHECK (coalesce(CASE
        WHEN user_id IS NOT NULL THEN unit = 'credit' AND provider IS NULL AND
            (kind IN ('available', 'held') OR kind IN ('refunds', 'disputes', 'debt') AND bucket = 'paid')
        WHEN unit = 'credit' THEN provider IS NULL AND
            (kind = 'revenue' OR kind IN ('promo', 'breakage') AND bucket = 'promo'
             OR kind IN ('issued', 'losses') AND bucket = 'paid')
        WHEN provider IS NULL THEN kind IN ('issued', 'losses')
        ELSE kind IN ('cash', 'disputes')
    END, false));
INSERT INTO accounts (kind, unit, bucket) VALUES
    ('losses', 'credit', 'paid'), ('issued', 'krw', NULL), ('losses', 'krw', NULL);
"""

TRANSFERS = """
ALTER TABLE transfers
    ADD COLUMN purchase_id text COLLATE "C",
    -- When a promotional grant ends; spent or not is found by the credits that are left then.
    ADD COLUMN expires_at timestamptz CHECK (expires_at IS NULL OR kind = 'grant'),
    DROP CONSTRAINT transfers_kind_check,
    ADD CONSTRAINT transfers_kind_check CHECK (kind IN ('grant', 'hold', 'capture', 'release', 'expire', 'purchase',
                                                        'refund', 'dispute', 'correction')),
    ADD CONSTRAINT transfers_name_their_purchase
        CHECK (kind NOT IN ('purchase', 'refund', 'dispute') OR purchase_id IS NOT NULL);
CREATE INDEX transfers_by_purchase ON transfers (purchase_id, seq) WHERE purchase_id IS NOT NULL;
-- A purchase is paid for once.
CREATE UNIQUE INDEX transfers_of_payment ON transfers (purchase_id) WHERE kind = 'purchase';
CREATE INDEX transfers_expiring ON transfers (expires_at) WHERE expires_at IS NOT NULL;
"""

RULES = """
DROP FUNCTION check_transfer(uuid);

-- `written`: how many postings the statement that is being judged has added.
CREATE FUNCTION check_transfer(checked_id uuid, written bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    t        transfers;
    hold     record;
    legs     record;
    problem  text;
BEGIN
    SELECT * INTO t FROM transfers WHERE id = checked_id;
    IF t.xact IS DISTINCT FROM pg_current_xact_id() THEN
        RAISE EXCEPTION 'postings are written by the transaction of their transfer'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;

    SELECT count(*) AS count,
           count(a.id) AS known,
           coalesce(sum(p.amount) FILTER (WHERE a.bucket = 'promo'), 0) AS promo,
           coalesce(sum(p.amount) FILTER (WHERE a.bucket = 'paid'), 0) AS paid,
           coalesce(sum(p.amount) FILTER (WHERE a.unit = 'krw'), 0) AS krw,
           bool_and(a.user_id IS NULL OR a.user_id = t.user_id) AS own,
           min(a.provider) IS NOT DISTINCT FROM max(a.provider) AS one_provider,
           sum(p.amount) FILTER (WHERE p.amount > 0 AND a.unit = t.unit
                                 AND (t.kind <> 'capture' OR a.kind = 'revenue')) AS moved,
           coalesce(sum(p.amount) FILTER (WHERE a.kind = 'held' AND a.bucket = 'promo'), 0) AS held_promo,
           coalesce(sum(p.amount) FILTER (WHERE a.kind = 'held' AND a.bucket = 'paid'), 0) AS held_paid,
           bool_or(a.bucket = 'paid') AS any_paid,
           bool_or(a.kind = 'held') AS any_held,
           -- Which accounts it touches, and in which direction.
           string_agg(DISTINCT (a.kind || CASE a.unit WHEN 'krw' THEN '.krw' ELSE '' END
                                || CASE WHEN p.amount > 0 THEN '+' ELSE '-' END) COLLATE "C", ' ') AS shape
      INTO legs
      FROM postings p LEFT JOIN accounts a ON a.id = p.account_id WHERE p.transfer_id = t.id;

    IF legs.count <> written THEN
        RAISE EXCEPTION 'all postings of a transfer are written by one statement'
            USING ERRCODE = 'integrity_constraint_violation';
    ELSIF legs.known <> legs.count THEN
        RAISE EXCEPTION 'posting to an unknown account' USING ERRCODE = 'foreign_key_violation';
    ELSIF legs.promo <> 0 OR legs.paid <> 0 OR legs.krw <> 0 THEN
        problem := 'postings do not sum to zero per unit and bucket';
    ELSIF legs.own IS NOT TRUE THEN
        problem := 'postings touch the accounts of another user';
    ELSIF legs.moved IS DISTINCT FROM t.amount THEN
        problem := 'its amount is not what its postings move';
    ELSIF (CASE t.kind
        WHEN 'grant' THEN t.unit = 'credit' AND legs.shape IN ('available+ promo-', 'available+ issued-')
            AND (t.expires_at IS NULL OR NOT legs.any_paid)
        WHEN 'hold' THEN t.unit = 'credit' AND legs.shape = 'available- held+'
        WHEN 'capture' THEN legs.shape IN ('held- revenue+', 'available+ held- revenue+')
        WHEN 'release' THEN legs.shape = 'available+ held-'
        WHEN 'expire' THEN t.unit = 'credit' AND
            legs.shape = CASE WHEN t.hold_id IS NULL THEN 'available- breakage+' ELSE 'available+ held-' END
        WHEN 'purchase' THEN t.unit = 'credit' AND legs.shape = 'available+ cash.krw+ issued- issued.krw-'
        WHEN 'refund' THEN t.unit = CASE WHEN legs.shape IN ('cash.krw- issued.krw+', 'cash.krw+ issued.krw-')
                                         THEN 'krw' ELSE 'credit' END AND legs.shape IN (
            'available- refunds+',                                              -- put aside
            'available+ refunds-',                                              -- the provider could not
            'cash.krw- issued+ issued.krw+ refunds-',                           -- paid back
            'cash.krw- debt+ issued+ issued.krw+ losses- refunds-',             -- ... in part spent credits
            'cash.krw- debt+ issued.krw+ losses-',                              -- ... all spent credits
            'cash.krw- issued.krw+',                                            -- ... less than a credit
            'available+ cash.krw+ issued- issued.krw-',                         -- each of these come back
            'available+ cash.krw+ debt- issued- issued.krw- losses+',
            'cash.krw+ debt- issued.krw- losses+',
            'cash.krw+ issued.krw-')
        WHEN 'dispute' THEN t.unit = CASE legs.shape WHEN 'available- disputes+' THEN 'credit' ELSE 'krw' END
            AND legs.shape IN (
            'available- cash.krw- disputes+ disputes.krw+', 'cash.krw- disputes.krw+',          -- opened
            'available- disputes+',                                             -- ... credits that came free later
            'available+ cash.krw+ disputes- disputes.krw-', 'cash.krw+ disputes.krw-',          -- won
            'disputes- disputes.krw- issued+ issued.krw+',                                      -- lost
            'debt+ disputes- disputes.krw- issued+ issued.krw+ losses-',
            'debt+ disputes.krw- issued.krw+ losses-', 'disputes.krw- issued.krw+')
        WHEN 'correction' THEN NOT legs.any_held
        END AND (legs.one_provider OR t.kind = 'correction')) IS NOT TRUE THEN
        problem := 'postings are not those of its kind: ' || legs.shape;
    ELSIF t.hold_id IS NOT NULL THEN
        SELECT h.kind, h.user_id, h.unit, h.job_id,
               coalesce(sum(p.amount) FILTER (WHERE a.bucket = 'promo'), 0) AS promo,
               coalesce(sum(p.amount) FILTER (WHERE a.bucket = 'paid'), 0) AS paid
          INTO hold
          FROM transfers h LEFT JOIN postings p ON p.transfer_id = h.id AND p.amount > 0
               LEFT JOIN accounts a ON a.id = p.account_id
         WHERE h.id = t.hold_id GROUP BY h.id;
        IF hold.kind <> 'hold' OR (hold.user_id, hold.unit, hold.job_id) IS DISTINCT FROM
                                  (t.user_id, t.unit, t.job_id) THEN
            problem := 'it resolves what is not a hold of the same user and job';
        ELSIF (hold.promo, hold.paid) IS DISTINCT FROM (-legs.held_promo, -legs.held_paid) THEN
            problem := 'it does not take exactly what the hold has put aside';
        END IF;
    ELSIF t.kind IN ('refund', 'dispute') THEN
        -- One at a time for each user, so that two of them cannot both give back the same.
        PERFORM FROM accounts WHERE user_id = t.user_id ORDER BY id FOR NO KEY UPDATE;
        IF EXISTS (SELECT FROM transfers o JOIN postings p ON p.transfer_id = o.id
                     JOIN accounts a ON a.id = p.account_id AND a.kind IN ('refunds', 'disputes')
                    WHERE o.purchase_id = t.purchase_id GROUP BY a.id HAVING sum(p.amount) < 0) THEN
            problem := 'it takes more out of refunds or disputes than its purchase has there';
        END IF;
    END IF;

    IF problem IS NOT NULL THEN
        RAISE EXCEPTION 'transfer % (%): %', t.id, t.kind, problem USING ERRCODE = 'check_violation';
    END IF;
END $$;

CREATE OR REPLACE FUNCTION postings_apply() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    p record;
BEGIN
    -- In the order of the accounts, like every other lock on them.
    FOR p IN SELECT n.account_id, sum(n.amount) AS amount FROM added n JOIN accounts a ON a.id = n.account_id
              WHERE a.user_id IS NOT NULL GROUP BY n.account_id ORDER BY n.account_id LOOP
        UPDATE accounts SET balance = balance + p.amount WHERE id = p.account_id;
    END LOOP;
    FOR p IN SELECT transfer_id, count(*) AS legs FROM added GROUP BY transfer_id LOOP
        PERFORM check_transfer(p.transfer_id, p.legs);
    END LOOP;
    RETURN NULL;
END $$;
"""


def upgrade() -> None:
    run_sql(ACCOUNTS)
    run_sql(TRANSFERS)
    run_sql(RULES)
