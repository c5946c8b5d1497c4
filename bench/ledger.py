"""How many holds and captures the ledger takes a second.

    python -m bench.ledger [--seconds 10] [--connections 16] [--processes 4]

On the embedded PostgreSQL with durable commits (fsync and synchronous_commit on). A pair is a hold and the capture of a
part of it, each committed by itself, in the name of one of many users. Measured twice: as the product does it
(db/holds.py in a transaction of db/engine.py), and with the same server-side calls sent by the bare driver, which is
what the ledger itself can bear. The audit of the books ends it.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from math import inf
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from random import Random
from typing import NamedTuple
from uuid import uuid4

import psutil
import psycopg
import uvloop

from contracts.ids import TransferId, UserId
from contracts.ledger import Bucket, TransferOrigin
from db import holds, ledger, users
from db.books import check_books
from db.engine import Database
from db.migrate import migrate
from dev.servers.postgres import Postgres

USERS = 400
CREDITS = 1_000_000_000
HOLD, CAPTURE = 10, 7
WARM_UP = 12
"""Pairs of each connection before the measurement: PostgreSQL plans a statement anew the first five times."""

ORIGIN = TransferOrigin(actor="system:bench", step="pair", workflow_id="job/bench", run_id="run")


class Result(NamedTuple):
    """Of one client process."""

    pairs: int
    cpu_s: float


Pair = Callable[[UserId], Awaitable[None]]
Ready = Callable[[], Awaitable[float]]
"""Waits for the other processes; answers until when to go on, by the monotonic clock."""
Report = Callable[[int], Awaitable[None]]
"""Tells the pairs that were done, and waits until the server's processor time has been read: a backend that ends takes
its share with it."""


async def product_lane(
    url: str, ready: Ready, report: Report, user_ids: list[UserId], connections: int
) -> None:
    database = Database(url, pool_size=connections)

    async def pair(user_id: UserId) -> None:
        held, captured = TransferId(uuid4()), TransferId(uuid4())
        async with database.transaction() as session:
            await holds.hold(session, held, user_id, HOLD, ORIGIN)
        async with database.transaction() as session:
            await holds.capture(session, captured, held, CAPTURE, ORIGIN)

    await asyncio.gather(*[_repeat(pair, user_ids, pairs=WARM_UP) for _ in range(connections)])
    until = await ready()
    done = await asyncio.gather(*[_repeat(pair, user_ids, until=until) for _ in range(connections)])
    await report(sum(done))
    await database.aclose()


async def driver_lane(
    url: str, ready: Ready, report: Report, user_ids: list[UserId], connections: int
) -> None:
    libpq = url.replace("postgresql+psycopg://", "postgresql://", 1)

    hold = b"SELECT outcome FROM ledger_hold(%s, %s, %s, 0, %s, %s, %s, %s, %s, %s, %s)"
    resolve = b"SELECT outcome FROM ledger_resolve(%s, %s, 'capture', %s, %s, %s, %s, %s, %s, %s, %s)"
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
    await report(sum(done))
    for connection in opened:
        await connection.close()


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
    together: Barrier,
    results: Queue[Result],
) -> None:
    before = 0.0

    async def ready() -> float:
        nonlocal before
        await asyncio.to_thread(together.wait)
        before = _own_cpu()
        return time.monotonic() + seconds

    async def report(pairs: int) -> None:
        results.put(Result(pairs, _own_cpu() - before))
        await asyncio.to_thread(together.wait)

    uvloop.run(LANES[how](url, ready, report, user_ids, connections))  # the API's event loop


def _own_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def measure_pairs(
    server: Postgres, url: str, user_ids: list[UserId], how: str, options: argparse.Namespace
) -> None:
    spawn = multiprocessing.get_context("spawn")
    together, queue = spawn.Barrier(options.processes + 1), spawn.Queue()
    each = options.connections // options.processes
    clients = [
        spawn.Process(target=_process, args=(how, url, options.seconds, user_ids, each, together, queue))
        for _ in range(options.processes)
    ]
    for client in clients:
        client.start()
    together.wait()
    before = _server_cpu(server)
    results: list[Result] = [queue.get() for _ in clients]
    after = _server_cpu(server)
    together.wait()
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
            await database.aclose()
        finally:
            await server.stop()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.ledger", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--processes", type=int, default=4)
    asyncio.run(bench(parser.parse_args()))


if __name__ == "__main__":
    main()
