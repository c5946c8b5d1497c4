"""Price list, purchases, refunds, disputes, webhooks, customers (docs/adr/020, 021).

Revision ID: 0004
Revises: 0003
"""

from __future__ import annotations

from db.migrations.sql import run_sql

revision = "0004"
down_revision = "0003"

PRICES = """
CREATE TABLE price_list (
    id          text COLLATE "C" PRIMARY KEY,
    package     text NOT NULL CHECK (package = credits::text),
    credits     bigint NOT NULL CHECK (credits > 0),
    krw         bigint NOT NULL CHECK (krw > 0),
    valid_from  timestamptz NOT NULL,
    valid_to    timestamptz CHECK (valid_to > valid_from),
    UNIQUE (id, credits, krw),
    -- One price a package at any moment. A package is its number of credits, as a range of one: ranges have the
    -- operators that an exclusion needs, and no extension is asked of the server.
    EXCLUDE USING gist (int8range(credits, credits, '[]') WITH &&, tstzrange(valid_from, valid_to) WITH &&)
);

CREATE FUNCTION price_list_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF to_jsonb(NEW) - 'valid_to' <> to_jsonb(OLD) - 'valid_to' THEN
        RAISE EXCEPTION 'price % is on old receipts: end it and add another', OLD.id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER price_list_guard BEFORE UPDATE ON price_list
    FOR EACH ROW EXECUTE FUNCTION price_list_guard();
CREATE TRIGGER price_list_kept BEFORE DELETE OR TRUNCATE ON price_list EXECUTE FUNCTION refuse_change();

INSERT INTO price_list (id, package, credits, krw, valid_from) VALUES
    ('credits-100/1', '100', 100, 10000, '2026-01-01+09'),
    ('credits-500/1', '500', 500, 40000, '2026-01-01+09'),
    ('credits-1000/1', '1000', 1000, 70000, '2026-01-01+09');
"""

TABLES = """
CREATE TABLE purchases (
    id              text COLLATE "C" PRIMARY KEY CHECK (id ~ '^pur_[0-9a-f]{32}$'),
    -- Ids come from the request's key and do not sort by time; lists follow this number.
    seq             bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    user_id         text COLLATE "C" NOT NULL REFERENCES users (id),
    provider        text NOT NULL CHECK (provider IN ('stripe', 'portone')),
    price_id        text COLLATE "C",
    credits         bigint NOT NULL CHECK (credits > 0),
    amount_krw      bigint NOT NULL CHECK (amount_krw > 0),
    status          text NOT NULL CHECK (status IN
        ('CREATED', 'AWAITING_PAYMENT', 'PAID', 'FAILED', 'CANCELED', 'EXPIRED')),
    -- Written before the job, in one transaction.
    job_id          text COLLATE "C" UNIQUE REFERENCES jobs (id) DEFERRABLE INITIALLY DEFERRED,
    payment_method  text,
    refund_to       text NOT NULL CHECK (refund_to IN ('card', 'credits')),
    provider_ref    text CHECK (provider_ref <> ''),
    failure_code    text,
    transfer_id     uuid UNIQUE REFERENCES transfers (id),
    version         bigint NOT NULL DEFAULT 1,
    created_at      timestamptz NOT NULL DEFAULT now(),
    paid_at         timestamptz,
    UNIQUE (provider, provider_ref),
    FOREIGN KEY (price_id, credits, amount_krw) REFERENCES price_list (id, credits, krw),
    CHECK ((price_id IS NULL) = (job_id IS NOT NULL)),
    CHECK ((status = 'PAID') = (transfer_id IS NOT NULL) AND (status = 'PAID') = (paid_at IS NOT NULL)),
    CHECK (status <> 'PAID' OR provider_ref IS NOT NULL),
    CHECK ((status IN ('FAILED', 'CANCELED', 'EXPIRED')) = (failure_code IS NOT NULL))
);
CREATE INDEX purchases_by_user ON purchases (user_id, seq);
CREATE INDEX purchases_unsettled ON purchases (id) WHERE status IN ('CREATED', 'AWAITING_PAYMENT');
ALTER TABLE transfers ADD FOREIGN KEY (purchase_id) REFERENCES purchases (id);

ALTER TABLE jobs ADD COLUMN purchase_id text COLLATE "C" UNIQUE REFERENCES purchases (id);
CREATE TRIGGER jobs_keep_their_purchase BEFORE UPDATE ON jobs
    FOR EACH ROW WHEN (OLD.purchase_id IS DISTINCT FROM NEW.purchase_id) EXECUTE FUNCTION refuse_change();

CREATE TABLE refunds (
    id                   text COLLATE "C" PRIMARY KEY CHECK (id ~ '^ref_[0-9a-f]{32}$'),
    seq                  bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    purchase_id          text COLLATE "C" NOT NULL REFERENCES purchases (id),
    -- None for the last few won of a purchase whose earlier parts were rounded up to whole credits.
    credits              bigint NOT NULL CHECK (credits >= 0),
    -- Of `credits`, those that the user had spent already: a refund started at the provider asks nobody here.
    credits_owed         bigint NOT NULL DEFAULT 0 CHECK (credits_owed BETWEEN 0 AND credits),
    amount_krw           bigint NOT NULL CHECK (amount_krw > 0),
    reason               text NOT NULL,
    status               text NOT NULL CHECK (status IN ('REQUESTED', 'PENDING', 'SUCCEEDED', 'FAILED')),
    requested_by         text NOT NULL CHECK (requested_by <> ''),
    note                 text NOT NULL DEFAULT '',
    provider_ref         text,
    reserve_transfer_id  uuid UNIQUE REFERENCES transfers (id),
    settle_transfer_id   uuid UNIQUE REFERENCES transfers (id),
    return_transfer_id   uuid UNIQUE REFERENCES transfers (id),
    failure              text NOT NULL DEFAULT '',
    created_at           timestamptz NOT NULL DEFAULT now(),
    finished_at          timestamptz,
    dismissed_at         timestamptz,
    UNIQUE (purchase_id, provider_ref),
    CHECK ((reserve_transfer_id IS NULL) = (credits = credits_owed)),
    CHECK (status IN ('SUCCEEDED', 'FAILED') OR settle_transfer_id IS NULL),
    CHECK (status <> 'SUCCEEDED' OR settle_transfer_id IS NOT NULL),
    CHECK (return_transfer_id IS NULL OR status = 'FAILED'),
    CHECK (status <> 'FAILED' OR return_transfer_id IS NOT NULL
           OR coalesce(reserve_transfer_id, settle_transfer_id) IS NULL),
    CHECK (status NOT IN ('PENDING', 'SUCCEEDED') OR provider_ref IS NOT NULL),
    CHECK ((status IN ('SUCCEEDED', 'FAILED')) = (finished_at IS NOT NULL)),
    CHECK (dismissed_at IS NULL OR status = 'FAILED')
);
CREATE INDEX refunds_by_purchase ON refunds (purchase_id, seq);
CREATE INDEX refunds_open ON refunds (purchase_id) WHERE status IN ('REQUESTED', 'PENDING');

CREATE TABLE disputes (
    provider        text NOT NULL,
    provider_ref    text NOT NULL CHECK (provider_ref <> ''),
    purchase_id     text COLLATE "C" NOT NULL REFERENCES purchases (id),
    -- What the bank asks for, and what of it is booked: never more than was paid and is not refunded.
    claimed_krw     bigint NOT NULL CHECK (claimed_krw > 0),
    amount_krw      bigint NOT NULL DEFAULT 0 CHECK (amount_krw BETWEEN 0 AND claimed_krw),
    credits         bigint NOT NULL DEFAULT 0 CHECK (credits >= 0),
    credits_frozen  bigint NOT NULL DEFAULT 0 CHECK (credits_frozen BETWEEN 0 AND credits),
    credits_owed    bigint NOT NULL DEFAULT 0 CHECK (credits_owed >= 0),
    status          text NOT NULL CHECK (status IN ('OPEN', 'WON', 'LOST')),
    reason          text NOT NULL DEFAULT '',
    opened_at       timestamptz NOT NULL DEFAULT now(),
    closed_at       timestamptz,
    PRIMARY KEY (provider, provider_ref),
    CHECK (credits_owed = CASE WHEN status = 'LOST' THEN credits - credits_frozen ELSE 0 END),
    CHECK ((status = 'OPEN') = (closed_at IS NULL))
);
CREATE INDEX disputes_by_purchase ON disputes (purchase_id);
CREATE INDEX disputes_open ON disputes (purchase_id) WHERE status = 'OPEN';

CREATE TABLE customers (
    user_id       text COLLATE "C" NOT NULL REFERENCES users (id),
    provider      text NOT NULL,
    customer_ref  text NOT NULL CHECK (customer_ref <> ''),
    PRIMARY KEY (user_id, provider),
    UNIQUE (provider, customer_ref)
);

CREATE TABLE webhook_inbox (
    provider      text NOT NULL,
    event_id      text NOT NULL,
    type          text NOT NULL,
    object_ref    text NOT NULL,
    -- As the event says, so not a key: the object may be another system's, or ours and not known yet.
    purchase_id   text COLLATE "C",
    payload       jsonb NOT NULL,
    event_at      timestamptz NOT NULL,
    received_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    delivered_at  timestamptz,
    outcome       text,
    PRIMARY KEY (provider, event_id),
    CHECK ((delivered_at IS NULL) = (outcome IS NULL))
);
CREATE INDEX webhook_inbox_undelivered ON webhook_inbox (received_at) WHERE delivered_at IS NULL;
CREATE INDEX webhook_inbox_by_purchase ON webhook_inbox (purchase_id, received_at);
CREATE INDEX webhook_inbox_by_object ON webhook_inbox (provider, object_ref);
"""

GUARDS = """
-- Statuses move forward only, what a row is about never changes, and what was once filled in stays.
CREATE FUNCTION purchases_guard() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    moving text[] := '{status,provider_ref,failure_code,transfer_id,version,paid_at}';
BEGIN
    IF to_jsonb(NEW) - moving <> to_jsonb(OLD) - moving
        OR NEW.provider_ref IS DISTINCT FROM coalesce(OLD.provider_ref, NEW.provider_ref)
        OR (OLD.status = 'PAID' AND (NEW.transfer_id, NEW.paid_at) IS DISTINCT FROM (OLD.transfer_id, OLD.paid_at))
    THEN
        RAISE EXCEPTION 'purchase %: what it is about cannot change', OLD.id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    -- Money may still arrive after a purchase was closed; nothing follows after it has arrived.
    IF NEW.status <> OLD.status AND NOT (CASE OLD.status
        WHEN 'CREATED' THEN true
        WHEN 'AWAITING_PAYMENT' THEN NEW.status <> 'CREATED'
        ELSE OLD.status <> 'PAID' AND NEW.status = 'PAID'
    END) THEN
        RAISE EXCEPTION 'purchase % cannot go from % to %', OLD.id, OLD.status, NEW.status
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER purchases_guard BEFORE UPDATE ON purchases
    FOR EACH ROW EXECUTE FUNCTION purchases_guard();
CREATE TRIGGER purchases_kept BEFORE DELETE OR TRUNCATE ON purchases EXECUTE FUNCTION refuse_change();

CREATE FUNCTION refunds_guard() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    moving text[] := '{status,provider_ref,settle_transfer_id,return_transfer_id,failure,finished_at,dismissed_at}';
BEGIN
    IF to_jsonb(NEW) - moving <> to_jsonb(OLD) - moving
        OR NEW.provider_ref IS DISTINCT FROM coalesce(OLD.provider_ref, NEW.provider_ref)
        OR NEW.settle_transfer_id IS DISTINCT FROM coalesce(OLD.settle_transfer_id, NEW.settle_transfer_id)
        OR NEW.return_transfer_id IS DISTINCT FROM coalesce(OLD.return_transfer_id, NEW.return_transfer_id)
    THEN
        RAISE EXCEPTION 'refund %: what it is about cannot change', OLD.id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    -- SUCCEEDED to FAILED: a bank may send the money of a finished refund back.
    IF NEW.status <> OLD.status AND NOT (CASE OLD.status
        WHEN 'REQUESTED' THEN true
        WHEN 'PENDING' THEN NEW.status <> 'REQUESTED'
        ELSE OLD.status = 'SUCCEEDED' AND NEW.status = 'FAILED'
    END) THEN
        RAISE EXCEPTION 'refund % cannot go from % to %', OLD.id, OLD.status, NEW.status
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER refunds_guard BEFORE UPDATE ON refunds FOR EACH ROW EXECUTE FUNCTION refunds_guard();
CREATE TRIGGER refunds_kept BEFORE DELETE OR TRUNCATE ON refunds EXECUTE FUNCTION refuse_change();

CREATE FUNCTION disputes_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.provider, NEW.provider_ref, NEW.purchase_id, NEW.claimed_krw, NEW.opened_at) IS DISTINCT FROM
       (OLD.provider, OLD.provider_ref, OLD.purchase_id, OLD.claimed_krw, OLD.opened_at) THEN
        RAISE EXCEPTION 'dispute %: what it is about cannot change', OLD.provider_ref
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.status <> OLD.status AND OLD.status <> 'OPEN' THEN
        RAISE EXCEPTION 'dispute % is %', OLD.provider_ref, OLD.status USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER disputes_guard BEFORE UPDATE ON disputes FOR EACH ROW EXECUTE FUNCTION disputes_guard();
CREATE TRIGGER disputes_kept BEFORE DELETE OR TRUNCATE ON disputes EXECUTE FUNCTION refuse_change();
"""

MONEY = """
-- What the rows of a purchase say and what its transfers moved is the same. Judged at commit, whichever was written.
CREATE FUNCTION check_purchase(checked_id text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    p        purchases;
    r        record;
    d        record;
    moved    record;
    problem  text;
BEGIN
    SELECT * INTO p FROM purchases WHERE id = checked_id;

    SELECT count(*) AS rows,
           count(reserve_transfer_id) + count(settle_transfer_id) + count(return_transfer_id) AS transfers,
           coalesce(sum(amount_krw) FILTER (WHERE status <> 'FAILED'), 0) AS krw,
           coalesce(sum(credits) FILTER (WHERE status <> 'FAILED'), 0) AS credits,
           coalesce(sum(amount_krw) FILTER (WHERE status = 'SUCCEEDED'), 0) AS done_krw,
           coalesce(sum(credits - credits_owed) FILTER (WHERE status <> 'FAILED'), 0) AS taken,
           coalesce(sum(credits - credits_owed) FILTER (WHERE status IN ('REQUESTED', 'PENDING')), 0) AS under_way,
           coalesce(sum(credits_owed) FILTER (WHERE status = 'SUCCEEDED'), 0) AS owed
      INTO r FROM refunds WHERE purchase_id = p.id;

    SELECT count(*) AS rows, coalesce(bool_and(provider = p.provider), true) AS same_provider,
           coalesce(sum(amount_krw) FILTER (WHERE status <> 'WON'), 0) AS krw,
           coalesce(sum(credits) FILTER (WHERE status <> 'WON'), 0) AS credits,
           coalesce(sum(credits_frozen) FILTER (WHERE status <> 'WON'), 0) AS taken,
           coalesce(sum(amount_krw) FILTER (WHERE status = 'OPEN'), 0) AS open_krw,
           coalesce(sum(credits_frozen) FILTER (WHERE status = 'OPEN'), 0) AS frozen,
           coalesce(sum(credits_owed), 0) AS owed
      INTO d FROM disputes WHERE purchase_id = p.id;

    SELECT count(DISTINCT t.id) FILTER (WHERE t.kind = 'purchase') AS purchases,
           count(DISTINCT t.id) FILTER (WHERE t.kind = 'refund') AS refunds,
           count(*) FILTER (WHERE t.user_id <> p.user_id OR a.provider <> p.provider) AS strange,
           coalesce(sum(q.amount) FILTER (WHERE a.kind = 'available' AND a.bucket = 'paid'), 0) AS available,
           coalesce(sum(q.amount) FILTER (WHERE a.kind = 'cash'), 0) AS cash,
           coalesce(sum(q.amount) FILTER (WHERE a.kind = 'refunds'), 0) AS refunding,
           coalesce(sum(q.amount) FILTER (WHERE a.kind = 'disputes' AND a.unit = 'krw'), 0) AS disputed_krw,
           coalesce(sum(q.amount) FILTER (WHERE a.kind = 'disputes' AND a.unit = 'credit'), 0) AS frozen,
           coalesce(sum(q.amount) FILTER (WHERE a.kind = 'debt'), 0) AS owed
      INTO moved
      FROM transfers t JOIN postings q ON q.transfer_id = t.id JOIN accounts a ON a.id = q.account_id
     WHERE t.purchase_id = p.id AND t.kind IN ('purchase', 'refund', 'dispute');

    IF p.status <> 'PAID' AND (moved.purchases + moved.refunds + r.rows + d.rows > 0) THEN
        problem := 'it is not paid, but has transfers, refunds or disputes';
    ELSIF p.status = 'PAID' AND (moved.purchases <> 1 OR NOT EXISTS (
        SELECT FROM transfers t JOIN postings q ON q.transfer_id = t.id JOIN accounts a ON a.id = q.account_id
         WHERE t.id = p.transfer_id AND t.kind = 'purchase' AND t.purchase_id = p.id
        HAVING sum(q.amount) FILTER (WHERE a.kind = 'available' AND a.bucket = 'paid') = p.credits
           AND sum(q.amount) FILTER (WHERE a.kind = 'cash') = p.amount_krw)) THEN
        problem := 'it is paid, but not by exactly one transfer of its credits and won';
    ELSIF r.krw + d.krw > p.amount_krw OR r.credits + d.credits > p.credits THEN
        problem := 'its refunds and disputes are more than was paid';
    ELSIF moved.strange > 0 OR NOT d.same_provider THEN
        problem := 'its money moved at another provider or of another user';
    ELSIF r.transfers <> moved.refunds THEN
        problem := 'its refunds do not name all their transfers';
    ELSIF p.status = 'PAID' AND
        (moved.cash, moved.refunding, moved.disputed_krw, moved.frozen, moved.owed, moved.available)
        IS DISTINCT FROM
        (p.amount_krw - r.done_krw - d.krw, r.under_way, d.open_krw, d.frozen, r.owed + d.owed,
         p.credits - r.taken - d.taken) THEN
        problem := 'its refunds or disputes and their transfers disagree';
    ELSIF EXISTS (
        SELECT FROM refunds f
          CROSS JOIN LATERAL (VALUES (f.reserve_transfer_id, -(f.credits - f.credits_owed), 0::bigint),
                                     (f.settle_transfer_id, 0::bigint, -f.amount_krw),
                                     (f.return_transfer_id, f.credits - f.credits_owed,
                                      CASE WHEN f.settle_transfer_id IS NULL THEN 0 ELSE f.amount_krw END)
                              ) step (transfer_id, available, cash)
         WHERE f.purchase_id = p.id AND step.transfer_id IS NOT NULL AND NOT EXISTS (
            SELECT FROM transfers t JOIN postings q ON q.transfer_id = t.id JOIN accounts a ON a.id = q.account_id
             WHERE t.id = step.transfer_id AND t.kind = 'refund' AND t.purchase_id = p.id
            HAVING coalesce(sum(q.amount) FILTER (WHERE a.kind = 'available'), 0) = step.available
               AND coalesce(sum(q.amount) FILTER (WHERE a.kind = 'cash'), 0) = step.cash)) THEN
        problem := 'a refund names a transfer of something else';
    ELSIF p.job_id IS NOT NULL AND NOT EXISTS (
        SELECT FROM jobs WHERE id = p.job_id AND purchase_id = p.id AND user_id = p.user_id) THEN
        problem := 'its job is not paid by it';
    END IF;
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION 'purchase % is %, but %', p.id, p.status, problem USING ERRCODE = 'check_violation';
    END IF;
    IF p.job_id IS NOT NULL THEN
        PERFORM check_job_money(p.job_id);
    END IF;
END $$;

CREATE FUNCTION purchases_money() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_TABLE_NAME = 'purchases' THEN
        PERFORM check_purchase(NEW.id);
    ELSE
        PERFORM check_purchase(NEW.purchase_id);
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER purchases_money AFTER INSERT OR UPDATE ON purchases
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION purchases_money();
CREATE CONSTRAINT TRIGGER purchases_money AFTER INSERT OR UPDATE ON refunds
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION purchases_money();
CREATE CONSTRAINT TRIGGER purchases_money AFTER INSERT OR UPDATE ON disputes
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION purchases_money();
CREATE CONSTRAINT TRIGGER purchases_money AFTER INSERT ON transfers
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (NEW.purchase_id IS NOT NULL AND NEW.kind IN ('purchase', 'refund', 'dispute'))
    EXECUTE FUNCTION purchases_money();
"""

JOBS = """
-- As in 0002, and for a job that a card pays: held from the moment of payment until the end, and what the job did not
-- take is on its way back to the card when the customer chose so. No payment without credit or refund.
CREATE OR REPLACE FUNCTION check_job_money(checked_id text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    j           jobs;
    p           purchases;
    resolution  text;
    problem     text;
BEGIN
    SELECT * INTO j FROM jobs WHERE id = checked_id;
    SELECT kind INTO resolution FROM transfers WHERE hold_id = j.hold_id;
    IF j.hold_id IS NULL THEN
        IF j.status NOT IN ('CREATED', 'FAILED', 'CANCELED', 'EXPIRED')
            AND (j.purchase_id IS NULL OR j.status <> 'INGESTED') THEN
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
    IF j.purchase_id IS NOT NULL THEN
        SELECT * INTO p FROM purchases WHERE id = j.purchase_id;
        IF (p.job_id, p.user_id) IS DISTINCT FROM (j.id, j.user_id) THEN
            problem := 'its purchase is not for it';
        ELSIF p.status <> 'PAID' AND j.hold_id IS NOT NULL THEN
            problem := 'it holds credits that are not paid yet';
        ELSIF p.status = 'PAID' AND j.finished_at IS NULL AND j.hold_id IS NULL THEN
            problem := 'it is paid, but holds nothing';
        ELSIF p.status = 'PAID' AND j.finished_at IS NULL AND p.refund_to = 'card' AND paid_postings(j.hold_id, 'held')
            < p.credits THEN
            problem := 'it does not hold the credits that the card paid';
        ELSIF p.status = 'PAID' AND j.finished_at IS NOT NULL AND p.refund_to = 'card' AND
            (SELECT coalesce(sum(credits), 0) FROM refunds WHERE purchase_id = p.id)
            + (SELECT coalesce(sum(credits), 0) FROM disputes WHERE purchase_id = p.id AND status <> 'WON')
            < p.credits - coalesce((SELECT paid_postings(id, 'revenue') FROM transfers
                                     WHERE hold_id = j.hold_id AND kind = 'capture'), 0) THEN
            problem := 'what it did not take is not refunded';
        END IF;
    END IF;
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION 'job % is %, but %', j.id, j.status, problem USING ERRCODE = 'check_violation';
    END IF;
END $$;

CREATE FUNCTION paid_postings(moved_by uuid, account_kind text) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT coalesce(sum(p.amount), 0)::bigint FROM postings p JOIN accounts a ON a.id = p.account_id
     WHERE p.transfer_id = moved_by AND a.kind = account_kind AND a.bucket = 'paid'
$$;
"""


def upgrade() -> None:
    run_sql(PRICES)
    run_sql(TABLES)
    run_sql(GUARDS)
    run_sql(JOBS)
    run_sql(MONEY)
