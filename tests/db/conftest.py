"""A database of the test's own, whose books are audited when the test is over."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from db.engine import Database
from tests.books import assert_books_coherent


@pytest_asyncio.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url)
    yield database
    await assert_books_coherent(database)
    await database.aclose()
