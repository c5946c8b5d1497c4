"""Sessions, notices, and what happens to both when PostgreSQL goes away and comes back."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from contracts.errors import Code, EchoError
from contracts.jobs import JobStatus
from contracts.video_job import StatusChange
from db import engine, jobs
from db.engine import Database
from dev.servers.postgres import Postgres
from tests.books import a_job, a_user, run_sql

pytestmark = pytest.mark.servers


async def test_a_read_session_can_write_nothing(database: Database) -> None:
    with pytest.raises(DBAPIError, match="read-only"):
        async with database.read() as session:
            await session.execute(text("DELETE FROM users"))


async def test_a_read_session_sees_one_moment(database: Database) -> None:
    count = text("SELECT count(*) FROM users")
    async with database.read() as session:
        before = await session.scalar(count)
        await a_user(database)
        assert await session.scalar(count) == before


async def test_every_event_of_a_job_is_announced_at_commit(database: Database) -> None:
    job = await a_job(database, await a_user(database, paid=10))
    notices = database.listen(["job_events"])
    assert await anext(notices) == ("job_events", "")
    async with database.transaction() as session:
        await jobs.set_status(session, StatusChange(job_id=job.id, status=JobStatus.INGESTED))
    assert await anext(notices) == ("job_events", job.id)
    await notices.aclose()


async def test_a_listener_whose_connection_was_cut_listens_again_and_says_so(database: Database) -> None:
    notices = database.listen(["job_events"])
    await anext(notices)
    waiting = asyncio.ensure_future(anext(notices))
    await run_sql(
        database,
        """SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE 'LISTEN%'""",
    )
    assert await waiting == ("job_events", ""), "look at the tables: notices may have been missed"
    await notices.aclose()


async def test_after_a_crash_of_postgresql_work_goes_on_with_the_same_pool(tmp_path: Path) -> None:
    server = Postgres(tmp_path, tmp_path / "logs")
    await server.start()
    database = Database(server.sqlalchemy_url("postgres"))
    try:
        for _ in range(2):
            assert (await run_sql(database, "SELECT 1"))[0][0] == 1
            server.kill()
            with pytest.raises(EchoError) as lost:
                await run_sql(database, "SELECT 1")
            assert lost.value.code is Code.UNAVAILABLE
            await server.restart()
            assert (await run_sql(database, "SELECT 1"))[0][0] == 1
    finally:
        await database.aclose()
        await server.stop()


async def test_who_finds_every_connection_in_use_is_told_to_come_back(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "POOL_WAIT_S", 0.1)
    database = Database(database_url, pool_size=1)
    async with database.read() as session:
        await session.execute(text("SELECT 1"))
        with pytest.raises(EchoError) as refused:
            await run_sql(database, "SELECT 1")
    assert refused.value.code is Code.UNAVAILABLE
    await database.aclose()


async def test_a_failed_statement_does_not_tell_its_values(database: Database) -> None:
    with pytest.raises(DBAPIError) as failed:
        await run_sql(database, "SELECT * FROM nowhere WHERE email = :email", email="minji@example.com")
    assert "[SQL: SELECT * FROM nowhere" in str(failed.value)
    assert "minji" not in str(failed.value)
