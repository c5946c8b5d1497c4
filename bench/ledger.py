"""How many holds and captures the ledger takes a second, and how long a user waits for lists of a long journal.

    python -m bench.ledger [--seconds 10] [--connections 16] [--processes 4] [--transfers 1000000]

On the embedded PostgreSQL with durable commits (fsync and synchronous_commit on). A pair is a hold and the capture of a
part of it, each committed by itself, in the name of one of many users. Measured twice: as the product does it
(db/ledger.py in a transaction of db/engine.py), and with the same server-side calls sent by the bare driver, which is
what the ledger itself can bear. The audit of the books ends it.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import resource
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from math import inf
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from random import Random
from typing import Any, NamedTuple
from uuid import uuid4

import psutil
import psycopg
from sqlalchemy import event, text
from sqlalchemy.engine import Engine

from contracts.ids import TransferId, UserId
from contracts.ledger import Bucket, TransferOrigin
from db import ledger, statements, users
from db.books import LEDGER, check_books
from db.engine import Database
from db.migrate import migrate
from db.pages import Page
from dev.servers.postgres import Postgres

USERS = 400
CREDITS = 1_000_000_000
HOLD, CAPTURE = 10, 7
WARM_UP = 12
"""Pairs of each connection before the measurement: PostgreSQL plans a statement anew the first five times."""
READS = 20
"""Times that each list is read; the median and the longest are told."""

ORIGIN = TransferOrigin(actor="system:bench", step="pair", workflow_id="job/bench", run_id="run")


class Result(NamedTuple):
    """Of one client process."""

    pairs: int
    cpu_s: float


Pair = Callable[[UserId], Awaitable[None]]
Ready = Callable[[], Awaitable[float]]
"""Waits for the other processes; answers until when to go on, by the monotonic clock."""


async def product_lane(url: str, ready: Ready, user_ids: list[UserId], connections: int) -> int:
    database = Database(url, pool_size=connections)

    async def pair(user_id: UserId) -> None:
        held, captured = TransferId(uuid4()), TransferId(uuid4())
        async with database.transaction() as session:
            await ledger.hold(session, held, user_id, HOLD, ORIGIN)
        async with database.transaction() as session:
            await ledger.capture(session, captured, held, CAPTURE, ORIGIN)

    await asyncio.gather(*[_repeat(pair, user_ids, pairs=WARM_UP) for _ in range(connections)])
    until = await ready()
    done = await asyncio.gather(*[_repeat(pair, user_ids, until=until) for _ in range(connections)])
    await database.aclose()
    return sum(done)


async def driver_lane(url: str, ready: Ready, user_ids: list[UserId], connections: int) -> int:
    libpq = url.replace("postgresql+psycopg://", "postgresql://", 1)

    hold = "SELECT outcome FROM ledger_hold(%s, %s, %s, 0, %s, %s, %s, %s, %s, %s, %s)"
    resolve = "SELECT outcome FROM ledger_resolve(%s, %s, 'capture', %s, %s, %s, %s, %s, %s, %s, %s)"
    origin = (None, None, ORIGIN.actor, ORIGIN.step, ORIGIN.workflow_id, ORIGIN.run_id, "")

    def pair_on(connection: psycopg.AsyncConnection) -> Pair:
        async def pair(user_id: UserId) -> None:
            held = uuid4()
            for call, values in ((hold, (held, user_id, HOLD)), (resolve, (uuid4(), held, CAPTURE))):
                cursor = await connection.execute(call, (*values, *origin), prepare=True)
                assert await cursor.fetchone() == ("written",)

        return pair

    opened = [await psycopg.AsyncConnection.connect(libpq, autocommit=True) for _ in range(connections)]
    pairs = [pair_on(connection) for connection in opened]
    await asyncio.gather(*[_repeat(pair, user_ids, pairs=WARM_UP) for pair in pairs])
    until = await ready()
    done = await asyncio.gather(*[_repeat(pair, user_ids, until=until) for pair in pairs])
    for connection in opened:
        await connection.close()
    return sum(done)


LANES = {"product": product_lane, "driver": driver_lane}


async def _repeat(pair: Pair, user_ids: list[UserId], *, until: float = inf, pairs: float = inf) -> int:
    done, random = 0, Random(uuid4().int)
    while done < pairs and time.monotonic() < until:
        await pair(random.choice(user_ids))
        done += 1
    return done


def _process(
    how: str,
    url: str,
    seconds: float,
    user_ids: list[UserId],
    connections: int,
    start: Barrier,
    results: Queue[Result],
) -> None:
    before = 0.0

    async def ready() -> float:
        nonlocal before
        await asyncio.to_thread(start.wait)
        before = _own_cpu()
        return time.monotonic() + seconds

    done = asyncio.run(LANES[how](url, ready, user_ids, connections))
    results.put(Result(done, _own_cpu() - before))


def _own_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def measure_pairs(
    server: Postgres, url: str, user_ids: list[UserId], how: str, options: argparse.Namespace
) -> None:
    spawn = multiprocessing.get_context("spawn")
    ready, queue = spawn.Barrier(options.processes + 1), spawn.Queue()
    each = options.connections // options.processes
    clients = [
        spawn.Process(target=_process, args=(how, url, options.seconds, user_ids, each, ready, queue))
        for _ in range(options.processes)
    ]
    for client in clients:
        client.start()
    ready.wait()
    before = _server_cpu(server)
    results: list[Result] = [queue.get() for _ in clients]
    after = _server_cpu(server)
    for client in clients:
        client.join()
    pairs = sum(result.pairs for result in results)
    server_ms, client_ms = (
        cpu_s * 1000 / pairs for cpu_s in (after - before, sum(result.cpu_s for result in results))
    )
    print(
        f"{how}: {pairs / options.seconds:.0f} pairs/s; CPU a pair: server {server_ms:.2f} ms, "
        f"clients {client_ms:.2f} ms; load {psutil.getloadavg()[0]:.1f} on {psutil.cpu_count()} cores",
        flush=True,
    )


def _server_cpu(server: Postgres) -> float:
    """CPU seconds of the server, its living backends and those that have ended."""
    postmaster = psutil.Process(server.pid)
    times = postmaster.cpu_times()
    total = times.user + times.system + times.children_user + times.children_system
    for child in postmaster.children():
        with suppress(psutil.NoSuchProcess):
            total += child.cpu_times().user + child.cpu_times().system
    return total


async def open_users(database: Database) -> list[UserId]:
    ids: list[UserId] = []
    for n in range(USERS):
        async with database.transaction() as session:
            user = await users.ensure_user(session, issuer="bench", subject=str(n), email="", locale="ko")
            await ledger.grant(session, TransferId(uuid4()), user.id, CREDITS, Bucket.PAID, ORIGIN)
            await ledger.lock_balance(session, user.id)  # opens all accounts, as a user's first hold does
            ids.append(user.id)
    return ids


LOAD = """
SET LOCAL session_replication_role = replica;  -- triggers off: a million rows in seconds; the audit judges them after
SET LOCAL work_mem = '256MB';
CREATE TEMP TABLE pair ON COMMIT DROP AS
    SELECT n, gen_random_uuid() AS hold, gen_random_uuid() AS capture,
           (SELECT array_agg(id ORDER BY id) FROM users)[CASE WHEN n % 2 = 0 THEN 1 ELSE 1 + n % {users} END]
               AS user_id,
           now() - interval '1 year' * (1 - n::float8 / {pairs}) AS at
      FROM generate_series(1, {pairs}) n;
INSERT INTO transfers (id, kind, unit, amount, user_id, hold_id, actor, step, workflow_id, run_id, reason, xact,
                       created_at)
    SELECT id, kind, 'credit', amount, user_id, hold_id, 'system:bench', kind, 'job/bench', '', '',
           pg_current_xact_id(), at
      FROM pair CROSS JOIN LATERAL (VALUES
               (0, hold, 'hold', {hold}, NULL::uuid), (1, capture, 'capture', {capture}, hold)
           ) t (place, id, kind, amount, hold_id)
     ORDER BY n, place;
INSERT INTO postings (transfer_id, account_id, amount)
    SELECT leg.id, a.id, leg.amount
      FROM pair CROSS JOIN LATERAL (VALUES
               (hold, 'available', -{hold}), (hold, 'held', {hold}),
               (capture, 'held', -{hold}), (capture, 'revenue', {capture}), (capture, 'available', {hold} - {capture})
           ) leg (id, kind, amount)
      JOIN accounts a ON a.kind = leg.kind AND a.unit = 'credit' AND a.bucket = 'paid'
       AND (a.user_id = pair.user_id OR a.kind = 'revenue');
UPDATE accounts a SET balance = p.balance
  FROM (SELECT account_id, sum(amount) AS balance FROM postings GROUP BY account_id) p
 WHERE p.account_id = a.id AND a.user_id IS NOT NULL;
"""


def load(url: str, transfers: int) -> None:
    """As many transfers as asked for, half of them of the first user."""
    libpq = url.replace("postgresql+psycopg://", "postgresql://", 1)
    with psycopg.connect(libpq) as connection:
        connection.execute(
            LOAD.format(users=USERS, pairs=transfers // 2, hold=HOLD, capture=CAPTURE).encode()
        )
    with psycopg.connect(libpq, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE transfers, postings, accounts")


async def measure_lists(database: Database, whose: str, user_id: UserId) -> None:
    now = datetime.now(UTC)
    async with database.read() as session:
        far_back = await session.scalar(
            text("SELECT id FROM transfers WHERE user_id = :user ORDER BY seq OFFSET 1000 LIMIT 1"),
            {"user": user_id},
        )
    lists: dict[str, Callable[[], Awaitable[object]]] = {
        "history, first page": lambda: _read(database, statements.history, user_id, Page()),
        "history, a page far back": lambda: _read(
            database, statements.history, user_id, Page(starting_after=str(far_back))
        ),
        "usage of a month": lambda: _read(
            database, statements.usage, user_id, now - timedelta(days=30), now, "day"
        ),
        "usage of the whole year": lambda: _read(
            database, statements.usage, user_id, now - timedelta(days=366), now
        ),
    }
    for name, read in lists.items():
        plan = await _explained(read)
        ms: list[float] = []
        for _ in range(READS):
            started = time.perf_counter()
            await read()
            ms.append((time.perf_counter() - started) * 1000)
        print(
            f"{name}: median {statistics.median(ms):.1f} ms, longest {max(ms):.1f} ms\n{plan}\n", flush=True
        )


async def _read(database: Database, query: Callable[..., Awaitable[object]], *of: object) -> object:
    async with database.read() as session:
        return await query(session, *of)


async def _explained(read: Callable[[], Awaitable[object]]) -> str:
    """The plan of the last statement that `read` sends, from the server itself."""
    plans: list[str] = []

    def explain(_: object, cursor: Any, statement: str, values: Any, *__: object) -> None:
        if "transfers" in statement:
            cursor.execute(
                f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS OFF) {statement}", values
            )
            plans.append("\n".join(row[0] for row in cursor.fetchall()))

    event.listen(Engine, "before_cursor_execute", explain)
    try:
        await read()
    finally:
        event.remove(Engine, "before_cursor_execute", explain)
    return plans[-1]


async def bench(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(prefix="echoshot-bench-") as name:
        server = Postgres(Path(name), Path(name) / "logs", durable=True)
        await server.start()
        try:
            await server.create_database("bench")
            url = server.sqlalchemy_url("bench")
            await asyncio.to_thread(migrate, url)
            database = Database(url, pool_size=4)
            user_ids = await open_users(database)
            for how in LANES:
                await asyncio.to_thread(measure_pairs, server, url, user_ids, how, options)
            async with database.read() as session:
                print("books:", await check_books(session) or "balanced", flush=True)
            if options.transfers:
                await asyncio.to_thread(load, url, options.transfers)
                for whose, user_id in (
                    ("half of all transfers", user_ids[0]),
                    ("an equal share", user_ids[1]),
                ):
                    await measure_lists(database, whose, user_id)
                found = [violation for violation in LEDGER if await _violated(url, LEDGER[violation])]
                print("books after the load:", found or "balanced")
            await database.aclose()
        finally:
            await server.stop()


async def _violated(url: str, query: str) -> bool:
    """Over a connection of its own: an audit of a million transfers takes longer than the product's statements may."""
    libpq = url.replace("postgresql+psycopg://", "postgresql://", 1)
    async with await psycopg.AsyncConnection.connect(libpq) as connection:
        return bool(await (await connection.execute(query.encode())).fetchall())


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.ledger", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--transfers", type=int, default=1_000_000, help="0: only the pairs")
    asyncio.run(bench(parser.parse_args()))


if __name__ == "__main__":
    main()
