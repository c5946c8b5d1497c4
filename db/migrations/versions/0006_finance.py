"""What finance and analysts read, corrections, reconciliation, the log of staff.

Revision ID: 0006
Revises: 0005
"""

from __future__ import annotations

from db.migrations.sql import run_sql

revision = "0006"
down_revision = "0005"

STAFF = """
-- Who of the staff looked at or changed what belongs to somebody else. Written before the call does its work, so a
-- row says that it was tried; what came of it stands in the books and the saga logs, under the same actor.
CREATE TABLE staff_log (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    user_id     text COLLATE "C" NOT NULL REFERENCES users (id),
    -- As the identity provider named them then.
    subject     text NOT NULL CHECK (subject <> ''),
    role        text NOT NULL CHECK (role IN ('support', 'finance', 'admin')),
    action      text NOT NULL CHECK (action <> ''),
    object      text NOT NULL,
    detail      jsonb NOT NULL DEFAULT '{}',
    request_id  text NOT NULL
);
CREATE INDEX staff_log_by_object ON staff_log (object, id);
CREATE INDEX staff_log_by_user ON staff_log (user_id, id);
CREATE TRIGGER staff_log_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON staff_log
    EXECUTE FUNCTION refuse_change();
"""


def upgrade() -> None:
    run_sql(STAFF)
