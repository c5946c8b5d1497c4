"""The schema comes up on an empty database and on one in use, once, and is what the models say."""

from __future__ import annotations

import ast
import asyncio
from pathlib import Path

import psycopg
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, make_url

import db.migrations
from db.engine import Database
from db.migrate import migrate
from db.tables import Base
from tests.books import a_user, assert_books_coherent, balance_of

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
