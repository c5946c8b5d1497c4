"""Random transfers, one after the other against a model, and at once over many connections: the books stay right."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from uuid import UUID, uuid5

import pytest_asyncio
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.errors import Code, EchoError
from contracts.ids import TransferId, UserId
from contracts.ledger import Bucket
from db import holds, ledger
from db.engine import Database
from tests.books import ORIGIN, a_user, assert_books_coherent, balance_of, new_transfer_id, run_sql

CONNECTIONS = 8
HOLDS = 4
"""Few names, so that operations meet: the same hold captured and released, the same id with other content."""


@dataclass(frozen=True)
class Op:
    verb: str
    name: int
    """Which hold (or grant) is meant."""
    amount: int
    repeat: int
    """Distinguishes transfer ids that resolve the same hold; equal ones are repeats of one request."""


OPS = st.builds(
    Op,
    verb=st.sampled_from(["grant", "hold", "capture", "release", "expire"]),
    name=st.integers(0, HOLDS - 1),
    amount=st.integers(1, 12),
    repeat=st.integers(0, 1),
)


@pytest_asyncio.fixture(scope="module")
async def database(make_database: Callable[[], Awaitable[str]]) -> AsyncIterator[Database]:
    database = Database(await make_database(), pool_size=CONNECTIONS)
    yield database
    await database.aclose()


@settings(max_examples=60, deadline=None)
@given(ops=st.lists(OPS, max_size=25))
async def test_any_sequence_gives_what_the_model_says(database: Database, ops: list[Op]) -> None:
    user = await a_user(database, promo=10, paid=10)
    model, world = Model(), new_transfer_id()
    for op in ops:
        assert await _answer(database, user.id, world, op) == model.answer(op), op
        assert await balance_of(database, user.id) == (model.available, model.held)
    await assert_books_coherent(database)


@settings(max_examples=25, deadline=None)
@given(lanes=st.lists(st.lists(OPS, min_size=1, max_size=6), min_size=CONNECTIONS, max_size=CONNECTIONS))
async def test_any_interleaving_leaves_the_books_coherent(database: Database, lanes: list[list[Op]]) -> None:
    users = [await a_user(database, promo=10, paid=10) for _ in range(2)]
    world = new_transfer_id()

    async def lane(index: int, ops: list[Op]) -> list[Code | None]:
        user = users[index % len(users)]
        return [await _answer(database, user.id, world, op) for op in ops]

    answers = await asyncio.gather(*[lane(index, ops) for index, ops in enumerate(lanes)])

    assert {code for lane_answers in answers for code in lane_answers} <= {
        None,
        Code.CREDITS_SHORT,
        Code.TRANSFER_CONFLICT,
        Code.HOLD_RESOLVED,
        Code.NOT_FOUND,
    }, "anything else, such as a deadlock, is a fault"
    await assert_books_coherent(database)
    for user in users:
        available, held = await balance_of(database, user.id)
        assert available + held + await _spent(database, user.id) == await _granted(database, user.id)


async def test_one_of_many_captures_and_releases_of_a_hold_wins(database: Database) -> None:
    user, hold_id = await a_user(database, paid=10), new_transfer_id()
    async with database.transaction() as session:
        await holds.hold(session, hold_id, user.id, 10, ORIGIN)

    async def resolve(index: int) -> Code | None:
        try:
            async with database.transaction() as session:
                if index % 2:
                    await holds.capture(session, new_transfer_id(), hold_id, None, ORIGIN)
                else:
                    await holds.release(session, new_transfer_id(), hold_id, ORIGIN)
        except EchoError as error:
            return error.code
        return None

    codes = await asyncio.gather(*[resolve(index) for index in range(16)])
    assert (codes.count(None), codes.count(Code.HOLD_RESOLVED)) == (1, 15)
    assert await balance_of(database, user.id) in [(0, 0), (10, 0)]
    await assert_books_coherent(database)


async def test_many_holds_at_once_never_hold_more_than_there_is(database: Database) -> None:
    user = await a_user(database, promo=3, paid=32)

    async def hold() -> Code | None:
        try:
            async with database.transaction() as session:
                await holds.hold(session, new_transfer_id(), user.id, 10, ORIGIN)
        except EchoError as error:
            return error.code
        return None

    codes = await asyncio.gather(*[hold() for _ in range(16)])
    assert (codes.count(None), codes.count(Code.CREDITS_SHORT)) == (3, 13)
    assert await balance_of(database, user.id) == (5, 30)
    await assert_books_coherent(database)


async def test_a_grant_repeated_at_once_grants_once(database: Database) -> None:
    user, granted = await a_user(database), new_transfer_id()

    async def grant() -> None:
        async with database.transaction() as session:
            await ledger.grant(session, granted, user.id, 10, Bucket.PAID, ORIGIN)

    await asyncio.gather(*[grant() for _ in range(16)])
    assert await balance_of(database, user.id) == (10, 0)
    await assert_books_coherent(database)


@dataclass
class Model:
    """The ledger as a few dictionaries."""

    available: int = 20
    held: int = 0
    transfers: dict[str, tuple[str, int, int | None]] = field(
        default_factory=dict[str, "tuple[str, int, int | None]"]
    )
    """Id to kind, amount, and the hold that it resolves."""

    def answer(self, op: Op) -> Code | None:
        if op.verb in ("grant", "hold"):
            return self._open(op)
        return self._resolve(op)

    def _open(self, op: Op) -> Code | None:
        key, content = _key(op), (op.verb, op.amount, None)
        if key in self.transfers:
            return None if self.transfers[key] == content else Code.TRANSFER_CONFLICT
        if op.verb == "hold":
            if op.amount > self.available:
                return Code.CREDITS_SHORT
            self.held += op.amount
        self.available += op.amount if op.verb == "grant" else -op.amount
        self.transfers[key] = content
        return None

    def _resolve(self, op: Op) -> Code | None:
        hold = self.transfers.get(f"hold/{op.name}")
        if hold is None:
            return Code.NOT_FOUND
        if op.verb == "capture" and op.amount > hold[1]:
            return Code.TRANSFER_CONFLICT
        amount = op.amount if op.verb == "capture" else hold[1]
        key, content = _key(op), (op.verb, amount, op.name)
        if key in self.transfers:
            return None if self.transfers[key] == content else Code.TRANSFER_CONFLICT
        if any(name == op.name for _, _, name in self.transfers.values()):
            return Code.HOLD_RESOLVED
        self.transfers[key] = content
        self.held -= hold[1]
        self.available += hold[1] - (amount if op.verb == "capture" else 0)
        return None


def _key(op: Op) -> str:
    """Resolutions share ids across verbs: a capture and a release may claim to be the same transfer."""
    return f"{op.verb}/{op.name}" if op.verb in ("grant", "hold") else f"resolve/{op.name}/{op.repeat}"


async def _answer(database: Database, user_id: UserId, world: UUID, op: Op) -> Code | None:
    """What the ledger says to one operation in a transaction of its own; None: done."""
    own = TransferId(uuid5(world, f"{user_id}/{_key(op)}"))
    hold_id = TransferId(uuid5(world, f"{user_id}/hold/{op.name}"))
    try:
        async with database.transaction() as session:
            match op.verb:
                case "grant":
                    await ledger.grant(session, own, user_id, op.amount, Bucket.PROMO, ORIGIN)
                case "hold":
                    await holds.hold(session, own, user_id, op.amount, ORIGIN)
                case "capture":
                    await holds.capture(session, own, hold_id, op.amount, ORIGIN)
                case _:
                    await holds.release(session, own, hold_id, ORIGIN, expired=op.verb == "expire")
    except EchoError as error:
        return error.code
    return None


async def _spent(database: Database, user_id: UserId) -> int:
    rows = await run_sql(
        database,
        "SELECT coalesce(sum(amount), 0)::int FROM transfers WHERE kind = 'capture' AND user_id = :user",
        user=user_id,
    )
    return rows[0][0]


async def _granted(database: Database, user_id: UserId) -> int:
    rows = await run_sql(
        database,
        "SELECT coalesce(sum(amount), 0)::int FROM transfers WHERE kind = 'grant' AND user_id = :user",
        user=user_id,
    )
    return rows[0][0]
