"""A database of the test's own, whose books are audited when the test is over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from importlib import import_module
from uuid import uuid4

import psycopg
import pytest_asyncio
from sqlalchemy import text

from db.books import LEDGER
from db.engine import Database
from db.migrate import migrate
from dev.servers.postgres import Postgres
from tests.books import assert_books_coherent


@pytest_asyncio.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url)
    yield database
    await assert_books_coherent(database)
    await database.aclose()


@pytest_asyncio.fixture(scope="module")
async def ledger_alone(postgres: Postgres) -> AsyncIterator[Database]:
    """A database as of migration 0003 with the rules as they are now (0011), for the ledger's own rules: the rows of
    purchases, with which transfers must agree at commit, came in between and are tested in tests/db."""
    name = f"ledger_{uuid4().hex}"
    await postgres.create_database(name)
    await asyncio.to_thread(migrate, postgres.sqlalchemy_url(name), "0003")
    rules = import_module("db.migrations.versions.0011_ledger_speed")
    with psycopg.connect(postgres.url(name)) as connection:
        for script in (rules.SHAPES, rules.RULES, rules.INDEXES, rules.CALLS):
            connection.execute(script.encode())
    database = Database(postgres.sqlalchemy_url(name))
    yield database
    async with database.read() as session:
        for violation, query in LEDGER.items():
            assert (await session.scalars(text(query))).all() == [], violation
    await database.aclose()
    await postgres.drop_database(name)
