"""What is known of the music in a video, its clips, and the links by which they are shared.

Revision ID: 0015
Revises: 0014
"""

from __future__ import annotations

from db.migrations.sql import run_sql

revision = "0015"
down_revision = "0014"

MUSIC = """
-- Of each video, the latest: it lives as long as the video.
CREATE TABLE music_analyses (
    video_id    text COLLATE "C" PRIMARY KEY REFERENCES videos (id),
    job_id      text COLLATE "C" NOT NULL REFERENCES jobs (id),
    analysis    jsonb NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now()
);

-- Every version of a video's sections: the engine's, and those that its owner has made of them.
CREATE TABLE section_lists (
    video_id    text COLLATE "C" NOT NULL REFERENCES music_analyses (video_id),
    version     bigint NOT NULL CHECK (version > 0),
    author      text NOT NULL CHECK (author IN ('engine', 'user')),
    sections    jsonb NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (video_id, version),
    CHECK (version > 1 OR author = 'engine')
);
CREATE TRIGGER section_lists_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON section_lists
    EXECUTE FUNCTION refuse_change();

CREATE VIEW sections AS
    SELECT l.video_id, l.version, l.author, s.position - 1 AS position, s.section->>'type' AS type,
           s.section->>'label' AS label, (s.section->>'start_s')::numeric AS start_s,
           (s.section->>'end_s')::numeric AS end_s, (s.section->>'confidence')::numeric AS confidence
      FROM section_lists l, jsonb_array_elements(l.sections) WITH ORDINALITY s (section, position);
"""

CLIPS = """
CREATE TABLE clips (
    id                text COLLATE "C" PRIMARY KEY,
    user_id           text COLLATE "C" NOT NULL REFERENCES users (id),
    video_id          text COLLATE "C" NOT NULL REFERENCES videos (id),
    job_id            text COLLATE "C" NOT NULL REFERENCES jobs (id),
    position          integer NOT NULL CHECK (position >= 0),
    state             text NOT NULL CHECK (state IN ('pending', 'ready', 'failed', 'deleted')),
    spec              jsonb NOT NULL,
    format            text NOT NULL,
    length            integer,
    -- Its price, earned when it is made.
    credits           bigint NOT NULL CHECK (credits >= 0),
    regenerated_from  text COLLATE "C" REFERENCES clips (id),
    failure_code      text,
    type              text,
    made              jsonb,
    created_at        timestamptz NOT NULL DEFAULT now(),
    ready_at          timestamptz,
    expires_at        timestamptz,
    deleted_at        timestamptz,
    UNIQUE (job_id, position),
    CHECK ((state = 'failed') = (failure_code IS NOT NULL) OR state = 'deleted'),
    CHECK (state <> 'ready' OR (made IS NOT NULL AND ready_at IS NOT NULL AND expires_at IS NOT NULL)),
    -- What was made was paid for, so nothing is made of a clip that fails.
    CHECK (made IS NULL OR failure_code IS NULL),
    CHECK ((state = 'deleted') = (deleted_at IS NOT NULL)),
    CHECK (credits > 0 OR regenerated_from IS NOT NULL)
);
CREATE INDEX clips_by_video ON clips (video_id, id);
-- Each clip that was paid for is regenerated once without a price; one that fails leaves that right.
CREATE UNIQUE INDEX clips_free_once ON clips (regenerated_from) WHERE credits = 0 AND failure_code IS NULL;

CREATE FUNCTION clips_guard() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    moving text[] := '{state,failure_code,type,made,ready_at,expires_at,deleted_at}';
BEGIN
    IF to_jsonb(NEW) - moving <> to_jsonb(OLD) - moving
        OR OLD.state <> 'pending' AND NEW.made IS DISTINCT FROM OLD.made THEN
        RAISE EXCEPTION 'clip %: what it is about cannot change', OLD.id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.state <> OLD.state AND NOT (CASE OLD.state
        WHEN 'pending' THEN NEW.state IN ('ready', 'failed')
        WHEN 'deleted' THEN false
        ELSE NEW.state = 'deleted'
    END) THEN
        RAISE EXCEPTION 'clip % cannot go from % to %', OLD.id, OLD.state, NEW.state
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER clips_guard BEFORE UPDATE ON clips FOR EACH ROW EXECUTE FUNCTION clips_guard();
CREATE TRIGGER clips_kept BEFORE DELETE OR TRUNCATE ON clips EXECUTE FUNCTION refuse_change();

-- A clip is free only when it replaces one that was paid for, of the same user, within a day of that one's making.
CREATE FUNCTION clips_free() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM clips WHERE id = NEW.regenerated_from AND user_id = NEW.user_id AND video_id = NEW.video_id
           AND credits > 0 AND ready_at > NEW.created_at - interval '24 hours') THEN
        RAISE EXCEPTION 'clip % cannot be free', NEW.id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER clips_free AFTER INSERT ON clips FOR EACH ROW WHEN (NEW.credits = 0) EXECUTE FUNCTION clips_free();

-- A job that has ended leaves no clip open, and has taken exactly the price of those that it has made.
CREATE FUNCTION clips_settled() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    earned  bigint;
    taken   bigint;
BEGIN
    IF EXISTS (SELECT FROM clips WHERE job_id = NEW.id AND state = 'pending') THEN
        RAISE EXCEPTION 'job % has ended with a clip that is pending', NEW.id USING ERRCODE = 'check_violation';
    END IF;
    SELECT coalesce(sum(credits), 0) INTO earned FROM clips WHERE job_id = NEW.id AND made IS NOT NULL;
    SELECT coalesce(sum(amount), 0) INTO taken FROM transfers WHERE hold_id = NEW.hold_id AND kind = 'capture';
    IF earned <> taken THEN
        RAISE EXCEPTION 'job % took % credits for clips of %', NEW.id, taken, earned USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER clips_settled AFTER UPDATE OF finished_at ON jobs DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.finished_at IS NOT NULL AND NEW.kind = 'clip') EXECUTE FUNCTION clips_settled();

CREATE TABLE clip_shares (
    id          text COLLATE "C" PRIMARY KEY,
    clip_id     text COLLATE "C" NOT NULL REFERENCES clips (id),
    token       text COLLATE "C" NOT NULL UNIQUE CHECK (length(token) >= 22),
    created_at  timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz NOT NULL,
    revoked_at  timestamptz,
    views       bigint NOT NULL DEFAULT 0 CHECK (views >= 0),
    CHECK (expires_at > created_at)
);
CREATE INDEX clip_shares_by_clip ON clip_shares (clip_id, id);
"""


def upgrade() -> None:
    run_sql(MUSIC)
    run_sql(CLIPS)
