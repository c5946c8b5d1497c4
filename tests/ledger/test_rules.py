"""Somebody with a SQL prompt tries to break the books. The database refuses each time, whatever our own code does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from uuid import UUID

import pytest
import pytest_asyncio
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from contracts.jobs import JobStatus
from contracts.video_job import Release
from db import holds, settlement
from db.engine import Database
from db.tables import User
from tests.books import ORIGIN, a_job, a_user, assert_books_coherent, new_transfer_id, run_sql

Values = dict[str, str | UUID]

TRANSFER = """INSERT INTO transfers (id, kind, unit, amount, user_id, hold_id, job_id, actor, step, workflow_id,
                                     run_id, reason)
              VALUES (:new, '{kind}', '{unit}', {amount}, :user, {hold}, {job}, 'me', 'raw', '', '', 'because')"""


def transfer(
    kind: str, amount: int = 10, *, hold: str = "NULL", job: str = "NULL", unit: str = "credit"
) -> str:
    return TRANSFER.format(kind=kind, amount=amount, hold=hold, job=job, unit=unit)


def account(kind: str, bucket: str | None = "paid", owner: str | None = ":user") -> str:
    of = "IS NULL" if owner is None else f"= {owner}"
    in_ = "IS NULL" if bucket is None else f"= '{bucket}'"
    return f"(SELECT id FROM accounts WHERE kind = '{kind}' AND bucket {in_} AND user_id {of})"


def postings(*legs: tuple[str, int], of: str = ":new") -> str:
    rows = ", ".join(f"({of}, {where}, {amount})" for where, amount in legs)
    return f"INSERT INTO postings (transfer_id, account_id, amount) VALUES {rows}"


AVAILABLE, HELD = account("available"), account("held")
ISSUED, REVENUE = account("issued", owner=None), account("revenue", owner=None)
HOLD = ":hold"

ATTACKS: dict[str, list[str]] = {
    # Balance
    "a transfer without postings": [transfer("grant")],
    "a transfer with one leg": [transfer("grant"), postings((AVAILABLE, 10))],
    "a transfer that makes credits of nothing": [transfer("grant"), postings((AVAILABLE, 10), (ISSUED, -9))],
    "paid credits out of the promotional fund": [
        transfer("grant"),
        postings((AVAILABLE, 10), (account("promo", "promo", None), -10)),
    ],
    "credits paid for in won": [
        "INSERT INTO accounts (kind, unit, provider) VALUES ('cash', 'krw', 'stripe')",
        transfer("purchase"),
        postings((AVAILABLE, 10), (account("cash", None, None), -10)),
    ],
    "a leg of nothing": [transfer("grant"), postings((AVAILABLE, 0), (ISSUED, 0))],
    # Overdraft
    "a hold beyond the balance": [transfer("hold", 1000), postings((AVAILABLE, -1000), (HELD, 1000))],
    "a correction below zero": [transfer("correction", 1000), postings((AVAILABLE, -1000), (ISSUED, 1000))],
    "somebody else's credits": [
        transfer("hold"),
        postings((account("available", owner=":other"), -10), (account("held", owner=":other"), 10)),
    ],
    # Amounts
    "an amount of zero": [transfer("grant", 0), postings((AVAILABLE, 1), (ISSUED, -1))],
    "a negative amount": [transfer("grant", -5), postings((AVAILABLE, -5), (ISSUED, 5))],
    "another amount than the postings": [transfer("grant", 10), postings((AVAILABLE, 9), (ISSUED, -9))],
    "a correction without a reason": [
        transfer("correction").replace("'because'", "''"),
        postings((AVAILABLE, 10), (ISSUED, -10)),
    ],
    # Shape
    "a grant straight into held": [transfer("grant"), postings((HELD, 10), (ISSUED, -10))],
    "a hold backwards": [transfer("hold", 5), postings((AVAILABLE, 5), (HELD, -5))],
    "a capture without a hold": [transfer("capture"), postings((AVAILABLE, -10), (REVENUE, 10))],
    "a correction of held credits": [transfer("correction"), postings((HELD, -10), (ISSUED, 10))],
    "a grant that claims a hold": [transfer("grant", hold=HOLD), postings((AVAILABLE, 10), (ISSUED, -10))],
    # Resolution
    "a second resolution": [
        transfer("release", hold=":released"),
        postings((AVAILABLE, 10), (HELD, -10)),
    ],
    "a capture of less than the hold that keeps the rest held": [
        transfer("capture", 6, hold=HOLD),
        postings((HELD, -6), (REVENUE, 6)),
    ],
    "a capture of more than the hold": [
        transfer("capture", 11, hold=HOLD),
        postings((HELD, -10), (AVAILABLE, -1), (REVENUE, 11)),
    ],
    "a capture that says less than it takes": [
        transfer("capture", 5, hold=HOLD),
        postings((HELD, -10), (REVENUE, 10)),
    ],
    "a release that takes revenue": [transfer("release", hold=HOLD), postings((HELD, -10), (REVENUE, 10))],
    "a release of what is no hold": [
        transfer("release", hold=":granted"),
        postings((AVAILABLE, 10), (HELD, -10)),
    ],
    "a release to another user": [
        transfer("release", hold=HOLD),
        postings((HELD, -10), (account("available", owner=":other"), 10)),
    ],
    # Written once
    "a changed transfer": ["UPDATE transfers SET amount = amount + 1 WHERE id = :hold"],
    "a deleted transfer": ["DELETE FROM transfers WHERE id = :hold"],
    "emptied transfers": ["TRUNCATE transfers CASCADE"],
    "a changed posting": ["UPDATE postings SET amount = -amount"],
    "a deleted posting": ["DELETE FROM postings WHERE transfer_id = :hold"],
    "emptied postings": ["TRUNCATE postings"],
    "a used id": [
        transfer("grant").replace(":new", ":hold"),
        postings((AVAILABLE, 10), (ISSUED, -10), of=":hold"),
    ],
    "postings added to an old transfer": [
        postings((account("available", "promo"), 5), (account("promo", "promo", None), -5), of=":hold"),
    ],
    "postings added later in the same transaction": [
        transfer("grant"),
        postings((AVAILABLE, 10), (ISSUED, -10)),
        "SET CONSTRAINTS ALL IMMEDIATE",
        postings((account("available", "promo"), 5), (account("promo", "promo", None), -5)),
    ],
    "two transfers whose postings come in one statement": [
        transfer("grant"),
        transfer("grant").replace(":new", ":newer"),
        f"""INSERT INTO postings (transfer_id, account_id, amount)
            VALUES (:new, {AVAILABLE}, 10), (:new, {ISSUED}, -10),
                   (:newer, {AVAILABLE}, 10), (:newer, {ISSUED}, -10)""",
    ],
    "postings added later beside as many of another transfer": [
        transfer("grant"),
        postings((AVAILABLE, 10), (ISSUED, -10)),
        transfer("grant").replace(":new", ":newer"),
        f"""INSERT INTO postings (transfer_id, account_id, amount)
            VALUES (:new, {account("available", "promo")}, 5), (:new, {account("promo", "promo", None)}, -5),
                   (:newer, {AVAILABLE}, 10), (:newer, {ISSUED}, -10)""",
    ],
    "a balance moved in a table that passes for the accounts": [
        "CREATE TEMP TABLE accounts (LIKE public.accounts) ON COMMIT DROP",
        "INSERT INTO accounts SELECT * FROM public.accounts",
        "UPDATE accounts SET balance = 1000000",
        transfer("hold", 1000),
        postings((AVAILABLE, -1000), (HELD, 1000)),
    ],
    "a transfer that pretends an older transaction": [
        transfer("grant").replace("reason)", "reason, xact)").replace("'because')", "'because', '3')"),
        "SET CONSTRAINTS ALL IMMEDIATE",
    ],
    # Accounts
    "a balance written by hand": ["UPDATE accounts SET balance = balance + 1 WHERE user_id = :user"],
    "an account renamed": ["UPDATE accounts SET user_id = :other WHERE user_id = :user"],
    "a new account with credits": [
        "INSERT INTO accounts (kind, unit, bucket, user_id, balance) VALUES ('held', 'credit', 'paid', :third, 5)"
    ],
    "an account twice": [
        "INSERT INTO accounts (kind, unit, bucket, user_id, balance) VALUES ('held', 'credit', 'paid', :user, 0)"
    ],
    "a system account twice": [
        "INSERT INTO accounts (kind, unit, bucket) VALUES ('revenue', 'credit', 'paid')"
    ],
    "a system account with a balance row": [
        "INSERT INTO accounts (kind, unit, bucket, balance) VALUES ('breakage', 'credit', 'paid', 0)"
    ],
    "a deleted account": ["DELETE FROM accounts WHERE user_id = :user"],
    "a posting to no account": [transfer("grant"), postings(("-1", 10), (ISSUED, -10))],
    "a fraction of a credit": [
        transfer("grant", 1).replace(", 1,", ", 0.4,"),
        postings((AVAILABLE, 1), (ISSUED, -1)),
    ],
    # Jobs
    "a job failed without release": [
        "UPDATE jobs SET status = 'FAILED', failure_code = 'x', finished_at = now() WHERE id = :job"
    ],
    "a job succeeded without capture": [
        """UPDATE jobs SET status = 'SUCCEEDED', result_key = (SELECT key FROM results LIMIT 1), finished_at = now()
            WHERE id = :job"""
    ],
    "a release under a running job": [
        transfer("release", hold=":job_hold", job=":job"),
        postings((AVAILABLE, 10), (HELD, -10)),
    ],
    "a release of a job's hold in no job's name": [
        transfer("release", hold=":job_hold"),
        postings((AVAILABLE, 10), (HELD, -10)),
    ],
    "a second hold for one job": [
        transfer("hold", job=":job"),
        postings((AVAILABLE, -10), (HELD, 10)),
    ],
    "a job that forgets its hold": ["UPDATE jobs SET hold_id = NULL WHERE id = :job"],
    "a job that takes another hold for its own": ["UPDATE jobs SET hold_id = :hold WHERE id = :job"],
    "a changed line of the saga log": ["UPDATE saga_log SET credits = 0 WHERE job_id = :job"],
    "a deleted line of the saga log": ["DELETE FROM saga_log WHERE job_id = :job"],
}


@pytest_asyncio.fixture(scope="module")
async def books(make_database: Callable[[], Awaitable[str]]) -> AsyncIterator[tuple[Database, Values]]:
    """One database for all attacks: each must leave it as it was."""
    database = Database(await make_database())
    user, other, third = (
        await a_user(database, paid=50),
        await a_user(database, paid=50),
        await a_user(database),
    )
    yield database, await _prepare(database, user) | {"other": other.id, "third": third.id}
    await assert_books_coherent(database)
    await database.aclose()


@pytest.mark.parametrize("attack", ATTACKS)
async def test_the_database_refuses(books: tuple[Database, Values], attack: str) -> None:
    database, values = books
    before = await _everything(database)
    with pytest.raises(IntegrityError):
        await run_sql(database, *ATTACKS[attack], **values)
    assert await _everything(database) == before


async def test_the_same_prompt_can_write_an_honest_transfer(database: Database) -> None:
    """The attacks above fail for what they do, not because nothing can be written."""
    user = await a_user(database, paid=50)
    values = await _prepare(database, user)
    await run_sql(database, transfer("grant"), postings((AVAILABLE, 10), (ISSUED, -10)), **values)
    values["new"] = new_transfer_id()
    await run_sql(
        database,
        transfer("capture", 6, hold=HOLD),
        postings((HELD, -10), (AVAILABLE, 4), (REVENUE, 6)),
        **values,
    )


async def test_a_settled_job_cannot_be_opened_again(database: Database) -> None:
    user = await a_user(database, paid=50)
    job = await a_job(database, user, status=JobStatus.RUNNING)
    async with database.transaction() as session:
        release = Release(job_id=job.id, status=JobStatus.FAILED, failure_code="x")
        await settlement.release_job(session, release, ORIGIN)
    with pytest.raises(IntegrityError, match="is settled as FAILED"):
        await run_sql(
            database,
            "UPDATE jobs SET status = 'RUNNING', finished_at = NULL WHERE id = :job",
            job=job.id,
        )


async def _prepare(database: Database, user: User) -> Values:
    """A granted, a pending and a released transfer, and a job with its hold, of 10 credits each."""
    hold, released = new_transfer_id(), new_transfer_id()
    async with database.transaction() as session:
        await holds.hold(session, hold, user.id, 10, ORIGIN)
        await holds.hold(session, released, user.id, 10, ORIGIN)
        await holds.release(session, new_transfer_id(), released, ORIGIN)
        granted = await session.scalar(
            text("SELECT id FROM transfers WHERE kind = 'grant' AND user_id = :user"), {"user": user.id}
        )
    job = await a_job(database, user)
    assert granted is not None
    assert job.hold_id is not None
    return {
        "new": new_transfer_id(),
        "newer": new_transfer_id(),
        "user": user.id,
        "hold": hold,
        "released": released,
        "granted": granted,
        "job": job.id,
        "job_hold": job.hold_id,
    }


async def _everything(database: Database) -> list[str]:
    tables = ("accounts", "transfers", "postings", "jobs", "saga_log", "job_events")
    return [
        str(row[0])
        for table in tables
        for row in await run_sql(database, f"SELECT t::text FROM {table} t ORDER BY 1")
    ]
