"""The sealed journal: which transfers were chained in which order, and the blocks that were signed (docs/adr/023).

Revision ID: 0005
Revises: 0004
"""

from __future__ import annotations

from db.migrations.sql import run_sql

revision = "0005"
down_revision = "0004"

TABLES = """
CREATE TABLE journal_blocks (
    height          bigint PRIMARY KEY CHECK (height > 0),
    first_position  bigint NOT NULL UNIQUE CHECK (first_position > 0),
    rows            bigint NOT NULL CHECK (rows > 0),
    last_hash       bytea NOT NULL CHECK (length(last_hash) = 32),
    -- UNIQUE: no two blocks can follow the same one.
    prev_hash       bytea NOT NULL UNIQUE CHECK (length(prev_hash) = 32),
    hash            bytea NOT NULL UNIQUE CHECK (length(hash) = 32),
    key_id          text,
    signature       text,
    sealed_at       timestamptz NOT NULL,
    -- For the next sealing, and no part of what is sealed: the highest `transfers.seq` in the block, and the one up
    -- to which no transfer can be unsealed any more.
    last_seq        bigint NOT NULL,
    sealed_through  bigint NOT NULL,
    CHECK ((key_id IS NULL) = (signature IS NULL))
);

-- No foreign key to transfers: it would write a lock into every row of them. They cannot be deleted, and the audit
-- (db/journal.py) looks.
CREATE TABLE journal_entries (
    position     bigint PRIMARY KEY,
    height       bigint NOT NULL REFERENCES journal_blocks (height),
    transfer_id  uuid NOT NULL UNIQUE,
    hash         bytea NOT NULL CHECK (length(hash) = 32)
);

CREATE TRIGGER journal_blocks_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON journal_blocks
    EXECUTE FUNCTION refuse_change();
CREATE TRIGGER journal_entries_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON journal_entries
    EXECUTE FUNCTION refuse_change();
"""

TIMELY = """
-- Sealing looks back a day for transfers that committed after later ones. That nothing older can still appear is a
-- rule of the database too: a transaction that has been open for an hour cannot commit its transfers.
CREATE OR REPLACE FUNCTION transfers_have_postings() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM postings WHERE transfer_id = NEW.id) THEN
        RAISE EXCEPTION 'transfer % has no postings', NEW.id USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.created_at < clock_timestamp() - interval '1 hour' THEN
        RAISE EXCEPTION 'transfer % comes too late: its transaction was open for more than an hour', NEW.id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
"""


def upgrade() -> None:
    run_sql(TABLES)
    run_sql(TIMELY)
