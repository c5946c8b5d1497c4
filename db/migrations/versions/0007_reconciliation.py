"""What providers say, how it differs from the books, and corrections that two people of finance agree on.

Revision ID: 0007
Revises: 0006
"""

from __future__ import annotations

from db.migrations.sql import run_sql

revision = "0007"
down_revision = "0006"

PROVIDERS = """
-- Copies of the providers' own statements. They are evidence: an entry never changes, only its payout is known later.
CREATE TABLE provider_entries (
    provider     text NOT NULL,
    entry_id     text NOT NULL,
    kind         text NOT NULL CHECK (kind IN ('charge', 'refund', 'refund_failure', 'dispute', 'dispute_reversal',
                                               'payout', 'fee', 'other')),
    amount_krw   bigint NOT NULL,
    fee_krw      bigint NOT NULL,
    occurred_at  timestamptz NOT NULL,
    payment_ref  text NOT NULL,
    source_ref   text NOT NULL,
    purchase_id  text COLLATE "C",
    refund_id    text COLLATE "C",
    payout_ref   text,
    seen_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (provider, entry_id)
);
CREATE INDEX provider_entries_by_payment ON provider_entries (provider, payment_ref);
CREATE INDEX provider_entries_by_payout ON provider_entries (provider, payout_ref) WHERE payout_ref IS NOT NULL;
CREATE INDEX provider_entries_by_time ON provider_entries (occurred_at);

-- Each entry with the purchase that it belongs to, by our id in its metadata or else by the payment's own.
CREATE VIEW matched_entries AS
    SELECT e.*, coalesce(a.id, b.id) AS purchase
      FROM provider_entries e
      LEFT JOIN purchases a ON a.id = e.purchase_id AND a.provider = e.provider
      LEFT JOIN purchases b ON b.provider = e.provider AND b.provider_ref = e.payment_ref;

CREATE TABLE provider_payouts (
    provider     text NOT NULL,
    payout_ref   text NOT NULL,
    amount_krw   bigint NOT NULL,
    status       text NOT NULL,
    arrived_at   timestamptz NOT NULL,
    seen_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (provider, payout_ref)
);
"""

RECONCILIATIONS = """
CREATE TABLE reconciliations (
    id           text COLLATE "C" PRIMARY KEY,
    period_from  timestamptz NOT NULL,
    period_to    timestamptz NOT NULL,
    requested_by text NOT NULL,
    workflow_id  text NOT NULL,
    run_id       text NOT NULL,
    finished_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    totals       jsonb NOT NULL,
    CHECK (period_from < period_to)
);
CREATE INDEX reconciliations_by_time ON reconciliations (finished_at);

CREATE TABLE differences (
    id                 bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    reconciliation_id  text COLLATE "C" NOT NULL REFERENCES reconciliations (id),
    kind               text NOT NULL,
    -- What differs, by its own name: the same difference has the same subject in every reconciliation.
    subject            text NOT NULL,
    provider           text,
    purchase_id        text COLLATE "C",
    job_id             text COLLATE "C",
    amount_krw         bigint NOT NULL,
    credits            bigint NOT NULL,
    since              timestamptz NOT NULL,
    detail             text NOT NULL,
    UNIQUE (reconciliation_id, kind, subject)
);
CREATE INDEX differences_by_subject ON differences (kind, subject);
"""

CORRECTIONS = """
-- Proposed by one person, decided by another; the transfer is written by the transaction of the approval.
CREATE TABLE corrections (
    id             text COLLATE "C" PRIMARY KEY,
    reason         text NOT NULL CHECK (reason <> ''),
    kind           text,
    subject        text,
    legs           jsonb NOT NULL,
    proposed_by    text NOT NULL CHECK (proposed_by <> ''),
    proposed_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    status         text NOT NULL DEFAULT 'PROPOSED' CHECK (status IN ('PROPOSED', 'APPROVED', 'REJECTED')),
    decided_by     text,
    decided_at     timestamptz,
    decision_note  text NOT NULL DEFAULT '',
    transfer_id    uuid REFERENCES transfers (id),
    CHECK ((status = 'PROPOSED') = (decided_by IS NULL)),
    CHECK ((decided_by IS NULL) = (decided_at IS NULL)),
    -- Four eyes for an approval; whoever proposed may take it back.
    CHECK (status <> 'APPROVED' OR regexp_replace(decided_by, '^.*:', '') <> regexp_replace(proposed_by, '^.*:', '')),
    CHECK ((status = 'APPROVED') = (transfer_id IS NOT NULL))
);
CREATE INDEX corrections_by_time ON corrections (proposed_at);

CREATE FUNCTION corrections_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'UPDATE' THEN
        RAISE EXCEPTION 'corrections are kept' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF OLD.status <> 'PROPOSED' OR
        (NEW.id, NEW.reason, NEW.kind, NEW.subject, NEW.legs, NEW.proposed_by, NEW.proposed_at) IS DISTINCT FROM
        (OLD.id, OLD.reason, OLD.kind, OLD.subject, OLD.legs, OLD.proposed_by, OLD.proposed_at) THEN
        RAISE EXCEPTION 'a correction is decided once and never rewritten'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER corrections_guard BEFORE UPDATE OR DELETE ON corrections
    FOR EACH ROW EXECUTE FUNCTION corrections_guard();
CREATE TRIGGER corrections_kept BEFORE TRUNCATE ON corrections EXECUTE FUNCTION refuse_change();

-- No correction without its two people: judged at commit.
CREATE FUNCTION correction_is_approved() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM corrections WHERE transfer_id = NEW.id) THEN
        RAISE EXCEPTION 'correction % has not been approved by a second person', NEW.id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER correction_is_approved AFTER INSERT ON transfers
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.kind = 'correction')
    EXECUTE FUNCTION correction_is_approved();
"""


def upgrade() -> None:
    run_sql(PROVIDERS)
    run_sql(RECONCILIATIONS)
    run_sql(CORRECTIONS)
