"""Results that are no videos, and jobs that cost nothing.

Revision ID: 0014
Revises: 0013
"""

from __future__ import annotations

from db.migrations.sql import run_sql

revision = "0014"
down_revision = "0013"

RESULTS = """
CREATE TABLE results (
    job_id        text COLLATE "C" PRIMARY KEY REFERENCES jobs (id),
    -- Not unique: what is found out about a video twice may be one file.
    key           text NOT NULL,
    content_type  text NOT NULL,
    bytes         bigint NOT NULL CHECK (bytes >= 0),
    sha256        text NOT NULL CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    manifest_key  text NOT NULL,
    -- What was found or made, as the kind's own contract says; empty where the file says it all.
    product       jsonb NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    -- NULL: kept as long as the job's source.
    expires_at    timestamptz,
    deleted_at    timestamptz,
    UNIQUE (job_id, key)
);
CREATE INDEX results_due ON results (expires_at) WHERE deleted_at IS NULL;

ALTER TABLE jobs ADD COLUMN result_key text;
INSERT INTO results
      (job_id, key, content_type, bytes, sha256, manifest_key, product, created_at, expires_at, deleted_at)
SELECT job_id, object_key, content_type, bytes, verified_sha256, manifest_key, '{}', created_at, expires_at, deleted_at
  FROM videos WHERE role = 'result';
UPDATE jobs j SET result_key = r.key FROM results r WHERE r.job_id = j.id;

-- A job succeeds together with its result, which is a video only of some kinds.
DO $$
DECLARE
    old text;
BEGIN
    SELECT conname INTO STRICT old FROM pg_constraint
     WHERE conrelid = 'jobs'::regclass AND pg_get_constraintdef(oid) LIKE '%result_video_id IS NOT NULL%';
    EXECUTE format('ALTER TABLE jobs DROP CONSTRAINT %I', old);
    SELECT conname INTO STRICT old FROM pg_constraint
     WHERE conrelid = 'jobs'::regclass AND pg_get_constraintdef(oid) LIKE '%quote_credits > 0%';
    EXECUTE format('ALTER TABLE jobs DROP CONSTRAINT %I', old);
END $$;
ALTER TABLE jobs
    ADD FOREIGN KEY (id, result_key) REFERENCES results (job_id, key),
    ADD CHECK ((status = 'SUCCEEDED') = (result_key IS NOT NULL)),
    ADD CHECK (result_video_id IS NULL OR status = 'SUCCEEDED'),
    ADD CHECK (quote_credits >= 0),
    -- What costs nothing moves nothing: it has no hold and no charge.
    ADD CHECK (quote_credits > 0 OR (hold_id IS NULL AND purchase_id IS NULL));
"""

MONEY = """
-- As in 0004, and without a hold for a job that costs nothing.
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
        IF j.quote_credits > 0 AND j.status NOT IN ('CREATED', 'FAILED', 'CANCELED', 'EXPIRED')
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
"""


def upgrade() -> None:
    run_sql(RESULTS)
    run_sql(MONEY)
