"""Why a purchase's card was declined, in the provider's word: for support, and to find the customer's sentence by.

Revision ID: 0012
Revises: 0011
"""

from __future__ import annotations

from db.migrations.sql import run_sql

revision = "0012"
down_revision = "0011"

DECLINED = """
ALTER TABLE purchases
    ADD COLUMN declined text CHECK (declined <> ''),
    -- Of the latest try; one that was paid has none.
    ADD CHECK (status <> 'PAID' OR declined IS NULL);

-- As in 0004; `declined` may change, too.
CREATE OR REPLACE FUNCTION purchases_guard() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    moving text[] := '{status,provider_ref,failure_code,declined,transfer_id,version,paid_at}';
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
"""


def upgrade() -> None:
    run_sql(DECLINED)
