"""Users, videos, uploads, jobs and what a job leaves behind.

Revision ID: 0001
Revises:
"""

from __future__ import annotations

from db.migrations.sql import run_sql

revision = "0001"
down_revision = None

# Ids are ASCII and compared byte by byte (COLLATE "C"): UUIDv7 then sorts by time on every server.
CORE = """
CREATE TABLE users (
    id          text COLLATE "C" PRIMARY KEY,
    issuer      text NOT NULL,
    subject     text NOT NULL,
    email       text NOT NULL DEFAULT '',
    locale      text NOT NULL DEFAULT 'ko',
    created_at  timestamptz NOT NULL DEFAULT now(),
    UNIQUE (issuer, subject)
);

CREATE TABLE videos (
    id               text COLLATE "C" PRIMARY KEY,
    user_id          text COLLATE "C" NOT NULL REFERENCES users (id),
    role             text NOT NULL CHECK (role IN ('source', 'result')),
    state            text NOT NULL CHECK (state IN ('pending', 'uploaded', 'ready', 'rejected', 'deleted')),
    object_key       text NOT NULL,
    filename         text NOT NULL,
    content_type     text NOT NULL,
    bytes            bigint NOT NULL CHECK (bytes >= 0),
    duration_ms      bigint CHECK (duration_ms >= 0),
    sha256           text CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    verified_sha256  text CHECK (verified_sha256 ~ '^[0-9a-f]{64}$'),
    info             jsonb,
    rejected_code    text,
    job_id           text COLLATE "C",
    manifest_key     text,
    thumbnails       jsonb,
    expires_at       timestamptz,
    created_at       timestamptz NOT NULL DEFAULT now(),
    deleted_at       timestamptz,
    -- A hash counts only when we have computed it ourselves.
    CHECK (state <> 'ready' OR (verified_sha256 IS NOT NULL AND info IS NOT NULL)),
    CHECK ((role = 'result') = (job_id IS NOT NULL)),
    CHECK ((state = 'deleted') = (deleted_at IS NOT NULL))
);
CREATE INDEX videos_by_user ON videos (user_id, role, id);
CREATE INDEX videos_by_hash ON videos (user_id, verified_sha256) WHERE role = 'source' AND state = 'ready';
CREATE INDEX videos_by_expiry ON videos (expires_at) WHERE state <> 'deleted' AND expires_at IS NOT NULL;
CREATE INDEX videos_kept ON videos (created_at) WHERE role = 'source' AND state <> 'deleted';

CREATE TABLE uploads (
    id            text COLLATE "C" PRIMARY KEY,
    video_id      text COLLATE "C" NOT NULL REFERENCES videos (id),
    s3_upload_id  text NOT NULL,
    part_bytes    bigint NOT NULL CHECK (part_bytes > 0),
    state         text NOT NULL CHECK (state IN ('open', 'completed', 'aborted')),
    created_at    timestamptz NOT NULL DEFAULT now(),
    closed_at     timestamptz,
    UNIQUE (video_id, s3_upload_id),
    CHECK ((state = 'open') = (closed_at IS NULL))
);
CREATE UNIQUE INDEX uploads_one_open ON uploads (video_id) WHERE state = 'open';
CREATE INDEX uploads_open ON uploads (created_at) WHERE state = 'open';

CREATE TABLE jobs (
    id              text COLLATE "C" PRIMARY KEY,
    user_id         text COLLATE "C" NOT NULL REFERENCES users (id),
    kind            text NOT NULL,
    status          text NOT NULL CHECK (status IN
        ('CREATED', 'INGESTED', 'QUEUED', 'RUNNING', 'SUCCEEDED', 'FAILED', 'CANCELED', 'EXPIRED')),
    params          jsonb NOT NULL,
    video_id        text COLLATE "C" NOT NULL REFERENCES videos (id),
    filename        text NOT NULL,
    quote           jsonb NOT NULL,
    quote_credits   bigint NOT NULL CHECK (quote_credits > 0),
    hold_id         uuid UNIQUE,
    result_video_id text COLLATE "C" REFERENCES videos (id),
    attention       text CHECK (attention IN ('fault', 'funds')),
    failure_code    text,
    detail          text NOT NULL DEFAULT '',
    version         bigint NOT NULL DEFAULT 1,
    event_seq       bigint NOT NULL DEFAULT 0,
    progress_at     timestamptz,
    progress_shown  integer NOT NULL DEFAULT 0,
    created_at      timestamptz NOT NULL DEFAULT now(),
    queued_at       timestamptz,
    started_at      timestamptz,
    finished_at     timestamptz,
    CHECK ((status = 'SUCCEEDED') = (result_video_id IS NOT NULL)),
    -- An active job may carry the code that it waits for attention with.
    CHECK (status NOT IN ('FAILED', 'CANCELED', 'EXPIRED') OR failure_code IS NOT NULL),
    CHECK (status <> 'SUCCEEDED' OR failure_code IS NULL),
    CHECK ((status IN ('SUCCEEDED', 'FAILED', 'CANCELED', 'EXPIRED')) = (finished_at IS NOT NULL)),
    CHECK (attention IS NULL OR finished_at IS NULL)
);
CREATE INDEX jobs_by_user ON jobs (user_id, id);
CREATE INDEX jobs_active ON jobs (id) WHERE finished_at IS NULL;
CREATE INDEX jobs_by_video ON jobs (video_id);
CREATE INDEX jobs_by_finish ON jobs (finished_at) WHERE finished_at IS NOT NULL;
ALTER TABLE videos ADD FOREIGN KEY (job_id) REFERENCES jobs (id);
CREATE UNIQUE INDEX videos_one_result ON videos (job_id) WHERE role = 'result';

-- A settled job stays settled, whoever writes.
CREATE FUNCTION jobs_stay_settled() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.finished_at IS NOT NULL AND
        (NEW.status, NEW.hold_id, NEW.finished_at) IS DISTINCT FROM (OLD.status, OLD.hold_id, OLD.finished_at) THEN
        RAISE EXCEPTION 'job % is settled as %', OLD.id, OLD.status USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER jobs_stay_settled BEFORE UPDATE ON jobs FOR EACH ROW EXECUTE FUNCTION jobs_stay_settled();

CREATE TABLE job_stages (
    job_id       text COLLATE "C" NOT NULL REFERENCES jobs (id),
    stage        text NOT NULL,
    position     integer NOT NULL,
    state        text NOT NULL CHECK (state IN ('waiting', 'running', 'done', 'failed')),
    total        bigint NOT NULL CHECK (total >= 0),
    done         bigint NOT NULL DEFAULT 0 CHECK (done >= 0),
    percent      integer NOT NULL DEFAULT 0 CHECK (percent BETWEEN 0 AND 100),
    started_at   timestamptz,
    finished_at  timestamptz,
    PRIMARY KEY (job_id, stage)
);

CREATE TABLE stage_parts (
    job_id  text COLLATE "C" NOT NULL,
    stage   text NOT NULL,
    part    integer NOT NULL,
    done    bigint NOT NULL CHECK (done >= 0),
    total   bigint NOT NULL CHECK (total >= 0),
    PRIMARY KEY (job_id, stage, part),
    FOREIGN KEY (job_id, stage) REFERENCES job_stages (job_id, stage),
    CHECK (done <= total)
);

CREATE TABLE job_events (
    job_id         text COLLATE "C" NOT NULL REFERENCES jobs (id),
    seq            bigint NOT NULL CHECK (seq > 0),
    at             timestamptz NOT NULL DEFAULT clock_timestamp(),
    type           text NOT NULL CHECK (type IN ('status', 'progress', 'attention')),
    status         text NOT NULL,
    credit_effect  text NOT NULL,
    credits        bigint NOT NULL CHECK (credits >= 0),
    stages         jsonb NOT NULL,
    eta_s          integer,
    attention      text,
    failure_code   text,
    PRIMARY KEY (job_id, seq)
);

CREATE TABLE saga_log (
    job_id         text COLLATE "C" NOT NULL REFERENCES jobs (id),
    seq            bigint NOT NULL CHECK (seq > 0),
    key            text NOT NULL,
    at             timestamptz NOT NULL DEFAULT clock_timestamp(),
    step           text NOT NULL,
    outcome        text NOT NULL CHECK (outcome IN ('done', 'failed', 'compensated', 'waiting')),
    actor          text NOT NULL,
    workflow_id    text NOT NULL,
    run_id         text NOT NULL,
    credit_effect  text NOT NULL,
    credits        bigint NOT NULL CHECK (credits >= 0),
    transfer_id    uuid,
    detail         text NOT NULL,
    PRIMARY KEY (job_id, seq),
    UNIQUE (job_id, key)
);

CREATE TABLE idempotency_keys (
    user_id     text COLLATE "C" NOT NULL REFERENCES users (id),
    key         text NOT NULL,
    method      text NOT NULL,
    path        text NOT NULL,
    body_hash   text NOT NULL,
    status      integer NOT NULL,
    body        jsonb,
    headers     jsonb NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, key)
);
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);
"""


def upgrade() -> None:
    run_sql(CORE)
