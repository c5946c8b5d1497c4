"""The ledger: accounts, transfers, postings, and the rules that no program can get round (docs/adr/020).

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

from db.migrations.sql import run_sql

revision = "0002"
down_revision = "0001"

TABLES = """
CREATE TABLE accounts (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind        text NOT NULL CHECK (kind IN ('available', 'held', 'cash', 'revenue', 'promo', 'issued',
                                              'refunds', 'disputes', 'breakage')),
    unit        text NOT NULL CHECK (unit IN ('credit', 'krw')),
    bucket      text CHECK (bucket IN ('promo', 'paid')),
    user_id     text COLLATE "C" REFERENCES users (id),
    provider    text,
    -- Kept for users only. A system account's balance is the sum of its postings: a row that every
    -- transfer of every user updates would make them all wait for one another.
    balance     bigint CHECK (balance >= 0),
    created_at  timestamptz NOT NULL DEFAULT now(),
    UNIQUE NULLS NOT DISTINCT (user_id, kind, unit, bucket, provider),
    CHECK ((kind IN ('available', 'held')) = (user_id IS NOT NULL)),
    CHECK ((user_id IS NOT NULL) = (balance IS NOT NULL)),
    CHECK ((unit = 'credit') = (bucket IS NOT NULL)),
    CHECK (provider IS NULL OR kind IN ('cash', 'refunds', 'disputes')),
    CHECK (kind <> 'cash' OR (unit = 'krw' AND provider IS NOT NULL))
);

CREATE TABLE transfers (
    id           uuid PRIMARY KEY,
    seq          bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    kind         text NOT NULL CHECK (kind IN ('grant', 'hold', 'capture', 'release', 'expire', 'purchase',
                                               'refund', 'correction')),
    unit         text NOT NULL CHECK (unit IN ('credit', 'krw')),
    amount       bigint NOT NULL CHECK (amount > 0),
    user_id      text COLLATE "C" REFERENCES users (id),
    -- The hold that this transfer resolves: UNIQUE makes the resolution the only one.
    hold_id      uuid UNIQUE REFERENCES transfers (id),
    job_id       text COLLATE "C" REFERENCES jobs (id),
    actor        text NOT NULL CHECK (actor <> ''),
    step         text NOT NULL CHECK (step <> ''),
    workflow_id  text NOT NULL,
    run_id       text NOT NULL,
    reason       text NOT NULL,
    -- The transaction that wrote the row, set by trigger. Postings must come from the same one; and rows older
    -- than every running transaction are those that a journal may be sealed over.
    xact         xid8 NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK (kind NOT IN ('capture', 'release') OR hold_id IS NOT NULL),
    CHECK (hold_id IS NULL OR kind IN ('capture', 'release', 'expire')),
    CHECK (user_id IS NOT NULL OR kind = 'correction'),
    CHECK (kind <> 'correction' OR reason <> '')
);
CREATE INDEX transfers_by_user ON transfers (user_id, seq);
CREATE INDEX transfers_by_job ON transfers (job_id) WHERE job_id IS NOT NULL;
CREATE INDEX captures_by_user ON transfers (user_id, created_at) WHERE kind = 'capture';
ALTER TABLE jobs ADD FOREIGN KEY (hold_id) REFERENCES transfers (id);

-- No foreign keys here: they would lock the one row of each system account in every transfer. Accounts and
-- transfers cannot be deleted, so the check that `postings_apply` makes at insertion holds for ever.
CREATE TABLE postings (
    transfer_id  uuid NOT NULL,
    account_id   bigint NOT NULL,
    amount       bigint NOT NULL CHECK (amount <> 0),
    PRIMARY KEY (transfer_id, account_id)
);
CREATE INDEX postings_by_account ON postings (account_id) INCLUDE (amount);

INSERT INTO accounts (kind, unit, bucket) VALUES
    ('promo', 'credit', 'promo'), ('issued', 'credit', 'paid'),
    ('revenue', 'credit', 'promo'), ('revenue', 'credit', 'paid'), ('breakage', 'credit', 'promo');
"""

IMMUTABLE = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% of % refused: its rows are written once', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'integrity_constraint_violation';
END $$;

CREATE TRIGGER transfers_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON transfers
    EXECUTE FUNCTION refuse_change();
CREATE TRIGGER postings_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON postings
    EXECUTE FUNCTION refuse_change();
CREATE TRIGGER saga_log_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON saga_log
    EXECUTE FUNCTION refuse_change();
CREATE TRIGGER accounts_kept BEFORE DELETE OR TRUNCATE ON accounts
    EXECUTE FUNCTION refuse_change();

-- Depth 2: the update comes from the trigger on postings, not from a statement.
CREATE FUNCTION accounts_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.balance <> 0 THEN
            RAISE EXCEPTION 'a new account starts at zero' USING ERRCODE = 'check_violation';
        END IF;
    ELSIF pg_trigger_depth() < 2 OR
        (NEW.id, NEW.kind, NEW.unit, NEW.bucket, NEW.user_id, NEW.provider, NEW.created_at) IS DISTINCT FROM
        (OLD.id, OLD.kind, OLD.unit, OLD.bucket, OLD.user_id, OLD.provider, OLD.created_at) THEN
        RAISE EXCEPTION 'a balance changes by postings only' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER accounts_guard BEFORE INSERT OR UPDATE ON accounts
    FOR EACH ROW EXECUTE FUNCTION accounts_guard();
"""

BALANCED = """
CREATE FUNCTION transfers_stamp() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.xact := pg_current_xact_id();
    NEW.created_at := clock_timestamp();
    RETURN NEW;
END $$;
CREATE TRIGGER transfers_stamp BEFORE INSERT ON transfers
    FOR EACH ROW EXECUTE FUNCTION transfers_stamp();

CREATE FUNCTION check_transfer(checked_id uuid) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    t     transfers;
    hold  transfers;
    legs  record;
    problem text;
BEGIN
    SELECT * INTO t FROM transfers WHERE id = checked_id;

    IF EXISTS (SELECT FROM postings p JOIN accounts a ON a.id = p.account_id WHERE p.transfer_id = t.id
               GROUP BY a.unit, a.bucket HAVING sum(p.amount) <> 0) THEN
        problem := 'postings do not sum to zero per unit and bucket';
    END IF;

    SELECT array_agg(DISTINCT a.kind) AS kinds,
           bool_and(a.user_id IS NULL OR a.user_id = t.user_id) AS own,
           bool_and(p.amount > 0) FILTER (WHERE a.kind = 'available') AS available_up,
           bool_and(p.amount < 0) FILTER (WHERE a.kind = 'available') AS available_down,
           bool_and(p.amount > 0) FILTER (WHERE a.kind = 'held') AS held_up,
           bool_and(p.amount > 0) FILTER (WHERE a.kind IN ('revenue', 'breakage')) AS earned_up,
           abs(coalesce(sum(p.amount) FILTER (WHERE a.kind = 'available'), 0)) AS available,
           abs(coalesce(sum(p.amount) FILTER (WHERE a.kind = 'held'), 0)) AS held,
           coalesce(sum(p.amount) FILTER (WHERE a.kind IN ('revenue', 'breakage')), 0) AS earned
      INTO legs
      FROM postings p JOIN accounts a ON a.id = p.account_id WHERE p.transfer_id = t.id;
    IF legs.own IS NOT TRUE THEN
        problem := 'postings touch the accounts of another user';
    END IF;

    -- What each kind may move, and in which direction. Kinds with two units are only required to balance.
    IF (CASE
        WHEN t.kind = 'grant' THEN
            legs.kinds <@ '{available,promo,issued}' AND legs.available_up AND legs.available = t.amount
        WHEN t.kind = 'hold' THEN
            legs.kinds <@ '{available,held}' AND legs.available_down AND legs.held_up AND legs.held = t.amount
        WHEN t.kind = 'capture' THEN
            legs.kinds <@ '{available,held,revenue}' AND coalesce(legs.available_up, true)
            AND legs.earned_up AND legs.earned = t.amount
        WHEN t.hold_id IS NOT NULL THEN
            legs.kinds <@ '{available,held}' AND legs.available_up AND legs.held = t.amount
        WHEN t.kind = 'expire' THEN
            legs.kinds <@ '{available,breakage}' AND legs.available_down AND legs.earned = t.amount
        ELSE NOT 'held' = ANY (legs.kinds)
    END) IS NOT TRUE THEN
        problem := 'postings are not those of its kind and amount';
    END IF;

    IF t.hold_id IS NOT NULL THEN
        SELECT * INTO hold FROM transfers WHERE id = t.hold_id;
        IF hold.kind <> 'hold' OR (hold.user_id, hold.unit, hold.job_id) IS DISTINCT FROM
                                  (t.user_id, t.unit, t.job_id) THEN
            problem := 'it resolves what is not a hold of the same user and job';
        ELSIF EXISTS (
            SELECT FROM
                (SELECT p.account_id, p.amount FROM postings p JOIN accounts a ON a.id = p.account_id
                  WHERE p.transfer_id = t.hold_id AND a.kind = 'held') h
                FULL JOIN
                (SELECT p.account_id, p.amount FROM postings p JOIN accounts a ON a.id = p.account_id
                  WHERE p.transfer_id = t.id AND a.kind = 'held') r USING (account_id)
            WHERE h.amount IS DISTINCT FROM -r.amount) THEN
            problem := 'it does not take exactly what the hold has put aside';
        END IF;
    END IF;

    IF problem IS NOT NULL THEN
        RAISE EXCEPTION 'transfer % (%): %', t.id, t.kind, problem USING ERRCODE = 'check_violation';
    END IF;
END $$;

-- All postings of a transfer come in one statement, of the transaction that wrote the transfer; so they can be
-- judged, and the balances moved, at the end of that statement, and nothing can be added later.
CREATE FUNCTION postings_apply() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    p record;
BEGIN
    FOR p IN SELECT transfer_id, count(*) AS legs FROM added GROUP BY transfer_id LOOP
        IF NOT EXISTS (SELECT FROM transfers WHERE id = p.transfer_id AND xact = pg_current_xact_id()) THEN
            RAISE EXCEPTION 'postings are written by the transaction of their transfer'
                USING ERRCODE = 'integrity_constraint_violation';
        END IF;
        IF (SELECT count(*) FROM postings WHERE transfer_id = p.transfer_id) <> p.legs THEN
            RAISE EXCEPTION 'all postings of a transfer are written by one statement'
                USING ERRCODE = 'integrity_constraint_violation';
        END IF;
    END LOOP;
    -- In the order of the accounts, like every other lock on them.
    FOR p IN SELECT account_id, sum(amount) AS amount FROM added GROUP BY account_id ORDER BY account_id LOOP
        UPDATE accounts SET balance = balance + p.amount WHERE id = p.account_id AND user_id IS NOT NULL;
        IF NOT FOUND AND NOT EXISTS (SELECT FROM accounts WHERE id = p.account_id) THEN
            RAISE EXCEPTION 'posting to an unknown account' USING ERRCODE = 'foreign_key_violation';
        END IF;
    END LOOP;
    PERFORM check_transfer(transfer_id) FROM (SELECT DISTINCT transfer_id FROM added) n;
    RETURN NULL;
END $$;
CREATE TRIGGER postings_apply AFTER INSERT ON postings REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION postings_apply();

CREATE FUNCTION transfers_have_postings() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM postings WHERE transfer_id = NEW.id) THEN
        RAISE EXCEPTION 'transfer % has no postings', NEW.id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER transfers_have_postings AFTER INSERT ON transfers
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION transfers_have_postings();
"""

JOBS = """
-- A job and its credits end together (docs/adr/021). Judged at commit, whichever of the two was written.
CREATE FUNCTION check_job_money(checked_id text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    j           jobs;
    resolution  text;
    problem     text;
BEGIN
    SELECT * INTO j FROM jobs WHERE id = checked_id;
    SELECT kind INTO resolution FROM transfers WHERE hold_id = j.hold_id;
    IF j.hold_id IS NULL THEN
        IF j.status NOT IN ('CREATED', 'FAILED', 'CANCELED', 'EXPIRED') THEN
            problem := 'it has no hold';
        END IF;
    ELSIF NOT EXISTS (SELECT FROM transfers WHERE id = j.hold_id AND kind = 'hold' AND job_id = j.id
                      AND user_id = j.user_id) THEN
        problem := 'its hold is not one of its own';
    ELSIF j.finished_at IS NULL AND resolution IS NOT NULL THEN
        problem := 'its hold is resolved by ' || resolution;
    ELSIF j.status = 'SUCCEEDED' AND resolution IS DISTINCT FROM 'capture' THEN
        problem := 'its hold is not captured';
    ELSIF j.status IN ('FAILED', 'CANCELED', 'EXPIRED')
        AND (resolution IS NULL OR resolution NOT IN ('release', 'expire')) THEN
        problem := 'its hold is not released';
    END IF;
    IF EXISTS (SELECT FROM transfers h WHERE h.job_id = j.id AND h.kind = 'hold'
               AND h.id IS DISTINCT FROM j.hold_id
               AND NOT EXISTS (SELECT FROM transfers r WHERE r.hold_id = h.id)) THEN
        problem := 'it has a pending hold beside its own';
    END IF;
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION 'job % is %, but %', j.id, j.status, problem USING ERRCODE = 'check_violation';
    END IF;
END $$;

CREATE FUNCTION jobs_money() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_TABLE_NAME = 'jobs' THEN
        PERFORM check_job_money(NEW.id);
    ELSE
        PERFORM check_job_money(NEW.job_id);
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER jobs_money AFTER INSERT OR UPDATE OF status, hold_id, finished_at ON jobs
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION jobs_money();
CREATE CONSTRAINT TRIGGER jobs_money AFTER INSERT ON transfers
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.job_id IS NOT NULL) EXECUTE FUNCTION jobs_money();
"""


def upgrade() -> None:
    run_sql(TABLES)
    run_sql(IMMUTABLE)
    run_sql(BALANCED)
    run_sql(JOBS)
