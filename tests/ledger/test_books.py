"""The audit finds what the triggers would have refused: each row here is tampered with while they are off."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from contracts.jobs import JobStatus
from db import settlement
from db.books import check_books
from db.engine import Database
from tests.books import a_job, a_user, completion, step_of

TAMPERING = {
    "a balance that is not the sum": "UPDATE accounts SET balance = balance + 1 WHERE kind = 'available'",
    "a transfer that does not sum to zero": "UPDATE postings SET amount = amount + 1",
    "a transfer without postings": "DELETE FROM postings",
    "a posting without transfer": "UPDATE postings SET transfer_id = gen_random_uuid()",
    "held credits that are not those": "UPDATE transfers SET amount = amount + 1 WHERE kind = 'hold'",
    "a resolution of something else": "UPDATE transfers SET job_id = NULL WHERE kind = 'capture'",
    "a pending hold whose job has ended": """
        UPDATE jobs SET status = 'FAILED', failure_code = 'x', finished_at = now() WHERE status = 'CREATED'""",
    "a job whose state and hold disagree": "UPDATE jobs SET hold_id = NULL WHERE status = 'SUCCEEDED'",
    "a succeeded job without its result": """
        UPDATE jobs SET result_video_id = video_id WHERE status = 'SUCCEEDED'""",
    "a settled job without its line": "DELETE FROM saga_log",
    "a job whose events have a gap": "DELETE FROM job_events WHERE seq = 2",
}


@pytest.mark.parametrize("violation", TAMPERING)
async def test_the_audit_names(database: Database, violation: str) -> None:
    user = await a_user(database, promo=5, paid=50)
    done = await a_job(database, user, status=JobStatus.RUNNING)
    await a_job(database, user)
    async with database.transaction() as session:
        await settlement.complete_job(session, completion(done, 7), step_of(done))
    async with database.transaction() as session:
        assert await check_books(session) == []
        for table in ("accounts", "transfers", "postings", "jobs", "saga_log"):
            await session.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
        await session.execute(text(TAMPERING[violation]))
        found = await check_books(session)
        assert any(line.startswith(violation) for line in found), found
        await session.rollback()
