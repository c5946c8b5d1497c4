"""Books that were kept under the older rules go on under the newer ones."""

from __future__ import annotations

import asyncio

from contracts.ids import UserId
from db import holds
from db.engine import Database
from db.migrate import migrate
from tests.books import ORIGIN, assert_books_coherent, balance_of, new_transfer_id, run_sql
from tests.ledger.test_rules import AVAILABLE, HELD, ISSUED, postings, transfer

USER = UserId("usr_before")


async def test_a_pending_hold_of_before_is_captured_after(empty_database_url: str) -> None:
    await asyncio.to_thread(migrate, empty_database_url, "0002")
    database = Database(empty_database_url)
    granted, held = new_transfer_id(), new_transfer_id()
    await run_sql(
        database,
        "INSERT INTO users (id, issuer, subject, email, locale) VALUES (:user, 'x', 'x', '', 'ko')",
        """INSERT INTO accounts (kind, unit, bucket, user_id, balance)
           VALUES ('available', 'credit', 'paid', :user, 0), ('held', 'credit', 'paid', :user, 0)""",
        transfer("grant", 50).replace(":new", ":granted"),
        postings((AVAILABLE, 50), (ISSUED, -50), of=":granted"),
        transfer("hold", 20).replace(":new", ":held"),
        postings((AVAILABLE, -20), (HELD, 20), of=":held"),
        user=USER,
        granted=granted,
        held=held,
    )
    await asyncio.to_thread(migrate, empty_database_url)
    async with database.transaction() as session:
        await holds.capture(session, new_transfer_id(), held, 15, ORIGIN)
        await holds.hold(session, new_transfer_id(), USER, 5, ORIGIN)
    assert await balance_of(database, USER) == (30, 5)
    await assert_books_coherent(database)
    await database.aclose()
