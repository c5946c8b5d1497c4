"""The schema comes up on an empty database and on one in use, once, and is what the models say."""

from __future__ import annotations

import ast
import asyncio
from datetime import timedelta
from pathlib import Path

import psycopg
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, make_url, select, text

import db.migrations
from contracts.ids import JobId, job_workflow_id, transfer_id
from contracts.ledger import TransferOrigin
from db import holds, jobs, results, settlement, videos
from db.engine import Database
from db.ids import new_id
from db.migrate import migrate
from db.tables import Base, User, Video
from tests.books import (
    SHA,
    a_quote,
    a_source,
    a_user,
    an_outcome,
    assert_books_coherent,
    balance_of,
    completion,
    run_sql,
    step_of,
)

VERSIONS = Path(db.migrations.__file__).parent / "versions"

OTHER_TABLES = {
    *("accounts", "transfers", "postings", "usage_by_day"),
    *("journal_blocks", "journal_entries"),
    *("provider_entries", "provider_payouts", "reconciliations", "differences", "corrections", "staff_log"),
    "alembic_version",
}
"""Without a model: books, journal and what finance keeps are written and read in SQL only."""


def differences(url: str) -> list[object]:
    """Between the models and the migrated tables and columns; indexes and checks are the migrations' own."""

    def known(name: str | None, type_: str, _: object) -> bool:
        return type_ != "table" or name not in OTHER_TABLES

    def compared(thing: object, name: str | None, type_: str, reflected: bool, _: object) -> bool:
        return type_ in ("table", "column")

    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            context = MigrationContext.configure(
                connection,
                opts={"include_name": known, "include_object": compared, "compare_type": True},
            )
            found = compare_metadata(context, Base.metadata)
    finally:
        engine.dispose()
    return list(found)


async def test_an_empty_database_gets_the_schema_of_the_models(empty_database_url: str) -> None:
    await asyncio.to_thread(migrate, empty_database_url)
    assert await asyncio.to_thread(differences, empty_database_url) == []


async def test_processes_that_start_together_migrate_once(empty_database_url: str) -> None:
    await asyncio.gather(*[asyncio.to_thread(migrate, empty_database_url) for _ in range(4)])
    database = Database(empty_database_url)
    user = await a_user(database, paid=5)
    assert await balance_of(database, user.id) == (5, 0)
    await database.aclose()


async def test_a_database_in_use_is_left_as_it_is(empty_database_url: str) -> None:
    await asyncio.to_thread(migrate, empty_database_url)
    database = Database(empty_database_url)
    user = await a_user(database, promo=3, paid=5)
    await asyncio.to_thread(migrate, empty_database_url)
    assert await balance_of(database, user.id) == (8, 0)
    await assert_books_coherent(database)
    await database.aclose()


async def test_the_ledger_can_be_added_to_a_database_that_has_users(empty_database_url: str) -> None:
    await asyncio.to_thread(migrate, empty_database_url, "0001")
    database = Database(empty_database_url)
    before = await a_user(database)
    await asyncio.to_thread(migrate, empty_database_url)
    assert await balance_of(database, before.id) == (0, 0)
    await assert_books_coherent(database)
    await database.aclose()


async def test_a_migration_that_cannot_get_its_lock_gives_up_and_leaves_nothing(
    empty_database_url: str,
) -> None:
    """Waiting behind a long transaction would make every later query wait behind the migration."""
    await asyncio.to_thread(migrate, empty_database_url, "0001")
    url = make_url(empty_database_url).set(drivername="postgresql").render_as_string(hide_password=False)
    async with await psycopg.AsyncConnection.connect(url) as reader:
        await reader.execute("LOCK TABLE jobs IN ACCESS EXCLUSIVE MODE")
        outcome = (
            await asyncio.gather(asyncio.to_thread(migrate, empty_database_url), return_exceptions=True)
        )[0]
        assert isinstance(outcome, psycopg.errors.LockNotAvailable)
    await asyncio.to_thread(migrate, empty_database_url)
    assert await asyncio.to_thread(differences, empty_database_url) == []


def test_migrations_only_go_up() -> None:
    """A downgrade would drop money; a mistake is repaired by the next migration."""
    for file in sorted(VERSIONS.glob("*.py")):
        defined = {n.name for n in ast.parse(file.read_text()).body if isinstance(n, ast.FunctionDef)}
        assert "upgrade" in defined, file.name
        assert "downgrade" not in defined, file.name


async def test_jobs_of_before_there_were_other_results_keep_theirs(empty_database_url: str) -> None:
    """One that has succeeded, one of which the result is deleted since, one that has failed and one that runs."""
    await asyncio.to_thread(migrate, empty_database_url, "0013")
    database = Database(empty_database_url)
    user = await a_user(database, promo=3, paid=50)
    kept, deleted = [await an_old_job(database, user, taken=7) for _ in range(2)]
    failed, running = await an_old_job(database, user, taken=0), await an_old_job(database, user)
    await run_sql(
        database, "UPDATE videos SET state = 'deleted', deleted_at = now() WHERE job_id = :job", job=deleted
    )
    await asyncio.to_thread(migrate, empty_database_url)
    async with database.read() as session:
        found = {job: await results.get(session, job) for job in (kept, deleted, failed, running)}
        its_video = await session.scalar(select(Video).where(Video.job_id == kept))
        its_job = await jobs.get_job(session, kept)
    assert its_video is not None
    assert its_job is not None
    assert found[failed] is found[running] is None
    result, gone = found[kept], found[deleted]
    assert result is not None
    assert gone is not None
    assert (its_job.result_key, its_job.result_video_id) == (result.key, its_video.id)
    assert (result.key, result.sha256, result.expires_at) == (its_video.object_key, SHA, its_video.expires_at)
    assert result.deleted_at is None
    assert gone.deleted_at is not None
    # What was held before the migration is captured after it.
    async with database.transaction() as session:
        under_way = await jobs.lock_job(session, running)
        await settlement.complete_job(session, completion(under_way, 10), step_of(under_way, "capture"))
    assert await balance_of(database, user.id) == (53 - 7 - 7 - 10, 0)
    await assert_books_coherent(database)
    await database.aclose()


async def an_old_job(database: Database, user: User, *, taken: int | None = None) -> JobId:
    """As it was written before migration 0014: running, or ended with so many of its 10 credits taken; 0: failed."""
    source, job = await a_source(database, user), JobId(new_id("job"))
    origin = TransferOrigin(actor="system:test", step="test", workflow_id=job_workflow_id(job), job_id=job)
    hold, settled = (transfer_id(job_workflow_id(job), step) for step in ("hold", "settle"))
    async with database.transaction() as session:
        await session.execute(
            text("""
                INSERT INTO jobs (id, user_id, kind, status, params, video_id, filename, quote, quote_credits)
                VALUES (:job, :user, 'enhance', 'RUNNING', '{}', :source, 'stage.mp4', CAST(:quote AS jsonb), 10)"""),
            {"job": job, "user": user.id, "source": source.id, "quote": a_quote().model_dump_json()},
        )
        await holds.hold(session, hold, user.id, 10, origin)
        await session.execute(
            text("UPDATE jobs SET hold_id = :hold WHERE id = :job"), {"hold": hold, "job": job}
        )
    if taken is None:
        return job
    async with database.transaction() as session:
        video = None
        if taken:
            await holds.capture(session, settled, hold, taken, origin)
            video = await videos.add_result(
                session, job_id=job, user_id=user.id, filename="stage.mp4", kept=timedelta(days=7),
                outcome=an_outcome(job),
            )  # fmt: skip
        else:
            await holds.release(session, settled, hold, origin)
        await session.execute(
            text("""
                INSERT INTO saga_log (job_id, seq, key, step, outcome, actor, workflow_id, run_id, credit_effect,
                                      credits, transfer_id, detail)
                VALUES (:job, 1, 'settle', 'settle', 'done', 'system:test', :workflow, '', :effect, :credits,
                        :settled, '')"""),
            {
                "job": job,
                "workflow": job_workflow_id(job),
                "effect": "captured" if taken else "released",
                "credits": taken or 10,
                "settled": str(settled),
            },
        )
        await session.execute(
            text("""
                UPDATE jobs SET status = :status, finished_at = now(), result_video_id = :video, failure_code = :code
                 WHERE id = :job"""),
            {
                "job": job,
                "status": "SUCCEEDED" if taken else "FAILED",
                "video": video and video.id,
                "code": None if taken else "corrupt",
            },
        )
    return job
