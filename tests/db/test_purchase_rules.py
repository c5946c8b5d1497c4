"""What the database refuses by itself, whoever writes the SQL, and what the audit finds when its triggers were off."""

from __future__ import annotations

from contextlib import suppress

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from contracts.jobs import JobStatus
from contracts.video_job import Release
from db import disputes, holds, settlement
from db.books import check_books
from db.engine import Database
from tests.books import a_user, completion, new_transfer_id, run_sql, step_of
from tests.purchases import a_charged_job, a_dispute, a_purchase, by, provider_says, refund

CHEATS = {
    # A purchase and its one transfer.
    "a purchase is paid without its transfer": """
        UPDATE purchases SET status = 'PAID', paid_at = now(), provider_ref = 'pi', transfer_id = gen_random_uuid()
         WHERE status = 'CREATED' AND job_id IS NULL""",
    "a purchase is paid by the transfer of another": """
        UPDATE purchases SET status = 'PAID', paid_at = now(), provider_ref = 'pi',
               transfer_id = (SELECT id FROM transfers WHERE kind = 'grant' LIMIT 1)
         WHERE status = 'CREATED' AND job_id IS NULL""",
    "a transfer of an unpaid purchase": """
        WITH t AS (INSERT INTO transfers (id, kind, unit, amount, user_id, purchase_id, actor, step,
                                          workflow_id, run_id, reason)
                   SELECT gen_random_uuid(), 'purchase', 'credit', credits, user_id, id, 'me', 's', '', '', ''
                     FROM purchases WHERE status = 'CREATED' AND job_id IS NULL RETURNING *)
        INSERT INTO postings SELECT t.id, a.id, CASE a.kind WHEN 'issued' THEN -1 ELSE 1 END
                                                * CASE a.unit WHEN 'krw' THEN 10000 ELSE t.amount END
          FROM t JOIN accounts a ON (a.user_id = t.user_id AND (a.kind, a.bucket) = ('available', 'paid'))
               OR a.kind = 'issued' OR a.kind = 'cash'""",
    "a second payment of a purchase": """
        WITH t AS (INSERT INTO transfers (id, kind, unit, amount, user_id, purchase_id, actor, step,
                                          workflow_id, run_id, reason)
                   SELECT gen_random_uuid(), kind, unit, amount, user_id, purchase_id, 'me', 's', '', '', ''
                     FROM transfers WHERE kind = 'purchase' LIMIT 1 RETURNING id)
        INSERT INTO postings SELECT t.id, p.account_id, p.amount FROM t, postings p
         WHERE p.transfer_id = (SELECT id FROM transfers WHERE kind = 'purchase' LIMIT 1)""",
    "a paid purchase is canceled": """
        UPDATE purchases SET status = 'CANCELED', failure_code = 'x', transfer_id = NULL, paid_at = NULL
         WHERE status = 'PAID'""",
    "a purchase goes back": "UPDATE purchases SET status = 'CREATED' WHERE status = 'AWAITING_PAYMENT'",
    "a closed purchase without its reason": "UPDATE purchases SET status = 'EXPIRED' WHERE status = 'CREATED'",
    "a purchase changes its credits": "UPDATE purchases SET credits = 500 WHERE status = 'CREATED'",
    "a purchase changes its price": "UPDATE purchases SET amount_krw = 1 WHERE status = 'CREATED'",
    "a purchase changes its user": "UPDATE purchases SET user_id = (SELECT max(id) FROM users)",
    "a purchase changes where its money goes": "UPDATE purchases SET refund_to = 'credits'",
    "a purchase changes its payment": "UPDATE purchases SET provider_ref = 'pi_x' WHERE status = 'PAID'",
    "a purchase of a price that the list does not have": """
        INSERT INTO purchases (id, user_id, provider, price_id, credits, amount_krw, status, refund_to)
        SELECT id, user_id, provider, 'credits-100/1', 1000, 10000, 'CREATED', 'card'
          FROM (SELECT 'pur_' || md5('new') AS id, user_id, provider FROM purchases LIMIT 1) p""",
    "a purchase without price and job": """
        INSERT INTO purchases (id, user_id, provider, credits, amount_krw, status, refund_to)
        SELECT 'pur_' || md5('new'), user_id, provider, 1000, 1, 'CREATED', 'card' FROM purchases LIMIT 1""",
    "a purchase is deleted": "DELETE FROM purchases WHERE status = 'CREATED'",
    # Refunds.
    "more is refunded than was paid": """
        INSERT INTO refunds (id, purchase_id, credits, credits_owed, amount_krw, reason, status, requested_by)
        SELECT 'ref_' || md5('new'), purchase_id, 71, 71, 7100, 'goodwill', 'REQUESTED', 'me' FROM refunds
         WHERE status = 'REQUESTED' LIMIT 1""",
    "a refund without its reserve": """
        INSERT INTO refunds (id, purchase_id, credits, amount_krw, reason, status, requested_by)
        SELECT 'ref_' || md5('new'), purchase_id, 10, 1000, 'goodwill', 'REQUESTED', 'me' FROM refunds LIMIT 1""",
    "a refund with the reserve of another": """
        INSERT INTO refunds (id, purchase_id, credits, amount_krw, reason, status, requested_by, reserve_transfer_id)
        SELECT 'ref_' || md5('new'), purchase_id, 100, 1000, 'goodwill', 'REQUESTED', 'me',
               (SELECT id FROM transfers WHERE kind = 'purchase' LIMIT 1) FROM refunds LIMIT 1""",
    "a refund of an unpaid purchase": """
        INSERT INTO refunds (id, purchase_id, credits, credits_owed, amount_krw, reason, status, requested_by)
        SELECT 'ref_' || md5('new'), id, 1, 1, 100, 'goodwill', 'REQUESTED', 'me' FROM purchases
         WHERE status = 'CREATED' LIMIT 1""",
    "a refund succeeds without its transfer": """
        UPDATE refunds SET status = 'SUCCEEDED', provider_ref = 're', finished_at = now() WHERE status = 'REQUESTED'""",
    "a refund succeeds by another's transfer": """
        UPDATE refunds SET status = 'SUCCEEDED', provider_ref = 're', finished_at = now(),
               settle_transfer_id = (SELECT id FROM transfers WHERE kind = 'purchase' LIMIT 1)
         WHERE status = 'REQUESTED'""",
    "a refund fails without its return": """
        UPDATE refunds SET status = 'FAILED', finished_at = now() WHERE status = 'REQUESTED'""",
    "a refund goes back": "UPDATE refunds SET status = 'PENDING', finished_at = NULL WHERE status = 'SUCCEEDED'",
    "a refund changes its amount": "UPDATE refunds SET amount_krw = amount_krw + 1",
    "a refund is deleted": "DELETE FROM refunds",
    # Disputes.
    "a dispute closes without its transfer": "UPDATE disputes SET status = 'WON', closed_at = now()",
    "a dispute is lost without its transfer": "UPDATE disputes SET status = 'LOST', closed_at = now()",
    "a dispute takes more than it moved": "UPDATE disputes SET amount_krw = amount_krw - 1",
    "a dispute changes its purchase": """
        UPDATE disputes SET purchase_id = (SELECT purchase_id FROM refunds LIMIT 1)""",
    "a dispute is deleted": "DELETE FROM disputes",
    # Charges.
    "a job changes its purchase": "UPDATE jobs SET purchase_id = NULL WHERE purchase_id IS NOT NULL",
    "a job is paid by another's purchase": """
        UPDATE purchases SET job_id = (SELECT id FROM jobs LIMIT 1) WHERE job_id IS NULL""",
    "a paid job loses its hold": "UPDATE jobs SET hold_id = NULL WHERE status = 'RUNNING'",
    # Prices.
    "a price changes": "UPDATE price_list SET krw = 1",
    "a price is deleted": "DELETE FROM price_list WHERE credits = 1000",
    "two prices of a package at once": """
        INSERT INTO price_list VALUES ('credits-100/2', '100', 100, 9000, '2027-01-01', NULL)""",
    "a package with another's credits": """
        INSERT INTO price_list VALUES ('p', '100', 200, 9000, '2027-01-01', NULL)""",
}


async def _everything(database: Database) -> None:
    """Purchases, refunds, disputes and charges in every state that the cheats start from."""
    user = await a_user(database, paid=500)
    await a_user(database)
    await a_purchase(database, user, paid=False)
    refunded = await a_purchase(database, user)
    await refund(database, refunded, credits=30)
    await provider_says(database, await refund(database, await a_purchase(database, user)))
    disputed = await a_purchase(database, user)
    async with database.transaction() as session:
        await disputes.record(session, disputed.id, a_dispute(disputed), by(disputed))
    await a_charged_job(database, user, status=JobStatus.RUNNING)
    await a_charged_job(database, user, paid=False)
    failed, _ = await a_charged_job(database, user)
    cheaper, _ = await a_charged_job(database, user, status=JobStatus.RUNNING)
    async with database.transaction() as session:
        release = Release(job_id=failed.id, status=JobStatus.FAILED, failure_code="corrupt")
        await settlement.release_job(session, release, step_of(failed))
        await settlement.complete_job(session, completion(cheaper, 6), step_of(cheaper))
    await run_sql(
        database,
        """UPDATE purchases SET status = 'AWAITING_PAYMENT' WHERE id = (
            SELECT id FROM purchases WHERE status = 'CREATED' AND job_id IS NOT NULL)""",
    )


async def test_no_cheat_gets_past_the_database(database: Database) -> None:
    await _everything(database)
    passed: list[str] = []
    for cheat, statement in CHEATS.items():
        with suppress(IntegrityError):
            await run_sql(database, statement)
            passed.append(cheat)
    assert passed == []


async def test_a_failed_charged_job_without_its_refund_is_refused(database: Database) -> None:
    """As a program would end it that knows of holds but not of cards."""
    user = await a_user(database)
    job, purchase = await a_charged_job(database, user)
    (row,) = await run_sql(database, "SELECT hold_id FROM jobs")
    step = step_of(job).model_copy(update={"purchase_id": purchase.id})

    async def end() -> None:
        async with database.transaction() as session:
            await holds.release(session, new_transfer_id(), row.hold_id, step)
            await session.execute(
                text("UPDATE jobs SET status = 'FAILED', failure_code = 'x', finished_at = now()")
            )

    with pytest.raises(IntegrityError, match="what it did not take is not refunded"):
        await end()


TAMPERING = {
    "credits without payment": """
        UPDATE purchases SET status = 'CANCELED', failure_code = 'x', transfer_id = NULL, paid_at = NULL
         WHERE status = 'PAID'""",
    "payment without credits": "UPDATE transfers SET kind = 'correction', reason = 'x' WHERE kind = 'purchase'",
    "a purchase whose rows and transfers disagree": "UPDATE refunds SET credits = credits - 1",
    "more taken back than was paid": "UPDATE refunds SET amount_krw = 10001",
    "a refund without its transfers": """
        UPDATE transfers SET purchase_id = (SELECT min(id) FROM purchases WHERE status = 'CREATED')
         WHERE kind = 'refund'""",
    "a transfer of kind refund that no refund names": """
        UPDATE refunds SET reserve_transfer_id = NULL, credits_owed = credits""",
    "a purchase that names a job": "UPDATE jobs SET purchase_id = NULL",
    "payment without credit or refund": """
        DELETE FROM refunds WHERE reason = 'job_failed'""",
    "a paid job at work that holds nothing": "UPDATE jobs SET hold_id = NULL WHERE status = 'RUNNING'",
    "a transfer of a charge without its line": "DELETE FROM saga_log WHERE step = 'refund'",
    "two prices of one package": """
        ALTER TABLE price_list DROP CONSTRAINT price_list_int8range_tstzrange_excl;
        INSERT INTO price_list VALUES ('credits-100/2', '100', 100, 9000, '2027-01-01', NULL)""",
}


@pytest.mark.parametrize("violation", TAMPERING)
async def test_the_audit_names(database: Database, violation: str) -> None:
    await _everything(database)
    async with database.transaction() as session:
        assert await check_books(session) == []
        await session.execute(text("SET CONSTRAINTS ALL IMMEDIATE"))
        for table in ("transfers", "jobs", "saga_log", "purchases", "refunds", "disputes", "price_list"):
            await session.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
        for statement in TAMPERING[violation].split(";"):
            await session.execute(text(statement))
        found = await check_books(session)
        assert any(line.startswith(violation) for line in found), found
        await session.rollback()
