"""The same request twice: answered once, replayed once, refused when it is another request or still being answered."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from contracts.errors import Code, EchoError
from db import idempotency
from db.engine import Database
from db.idempotency import Claimed, Replay
from db.tables import User
from tests.books import a_user, run_sql


async def answer(
    database: Database, user: User, *, key: str = "key", body_hash: str = "h", path: str = "/v1/jobs"
):
    async with database.transaction() as session:
        claimed = await idempotency.claim(session, user.id, key, "POST", path, body_hash)
        if isinstance(claimed, Claimed):
            await idempotency.store(session, claimed, 201, {"id": "job_1"}, {"location": "/v1/jobs/job_1"})
        return claimed


async def test_a_repeat_gets_the_first_answer(database: Database) -> None:
    user = await a_user(database)
    assert isinstance(await answer(database, user), Claimed)
    assert await answer(database, user) == Replay(201, {"id": "job_1"}, {"location": "/v1/jobs/job_1"})


@pytest.mark.parametrize("other", [{"body_hash": "other"}, {"path": "/v1/other"}])
async def test_a_key_used_for_another_request_is_refused(database: Database, other: dict[str, str]) -> None:
    user = await a_user(database)
    await answer(database, user)
    with pytest.raises(EchoError) as refused:
        await answer(database, user, **other)
    assert refused.value.code is Code.IDEMPOTENCY_KEY_REUSED


async def test_keys_of_two_users_are_apart(database: Database) -> None:
    first, second = await a_user(database), await a_user(database)
    await answer(database, first)
    assert isinstance(await answer(database, second, body_hash="other"), Claimed)


async def test_a_twin_is_told_at_once_while_the_first_is_being_answered(database: Database) -> None:
    user = await a_user(database)
    async with database.transaction() as session:
        claimed = await idempotency.claim(session, user.id, "key", "POST", "/v1/jobs", "h")
        with pytest.raises(EchoError) as refused:
            await answer(database, user)
        assert refused.value.code is Code.IDEMPOTENCY_IN_FLIGHT
        assert isinstance(claimed, Claimed)
        await idempotency.store(session, claimed, 200, None)
    assert await answer(database, user) == Replay(200, None, {})


async def test_a_request_that_dies_leaves_its_key_free(database: Database) -> None:
    user = await a_user(database)
    with suppress(RuntimeError):
        async with database.transaction() as session:
            claimed = await idempotency.claim(session, user.id, "key", "POST", "/v1/jobs", "h")
            assert isinstance(claimed, Claimed)
            await idempotency.store(session, claimed, 200, None)
            raise RuntimeError
    assert isinstance(await answer(database, user, body_hash="another"), Claimed)


async def test_of_many_twins_at_once_one_does_the_work(database: Database) -> None:
    user = await a_user(database)

    async def attempt() -> str:
        try:
            return type(await answer(database, user)).__name__
        except EchoError as error:
            return error.code

    outcomes = await asyncio.gather(*[attempt() for _ in range(20)])
    assert outcomes.count("Claimed") == 1
    assert set(outcomes) <= {"Claimed", "Replay", Code.IDEMPOTENCY_IN_FLIGHT}


async def test_a_key_past_its_time_is_forgotten(database: Database) -> None:
    user = await a_user(database)
    await answer(database, user)
    await run_sql(database, "UPDATE idempotency_keys SET created_at = now() - interval '49 hours'")
    assert isinstance(await answer(database, user, body_hash="another"), Claimed)
    await answer(database, user, key="fresh")
    await run_sql(
        database, "UPDATE idempotency_keys SET created_at = now() - interval '49 hours' WHERE key = 'key'"
    )
    async with database.transaction() as session:
        await idempotency.prune(session)
    assert [row[0] for row in await run_sql(database, "SELECT key FROM idempotency_keys")] == ["fresh"]
