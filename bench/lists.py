"""How long users and finance wait for their lists and reports when the books have a million transfers.

    python -m bench.lists [--transfers 1000000] [--reads 10] [--plans]

On a PostgreSQL of the bench's own. The books are a year of 400 users, one of whom has half of everything (no real user
does): purchases of a package each, some of them refunded, and pairs of a hold and its capture, each of a job of its
own. They are loaded with triggers off and audited afterwards. Each list is read by the product's own function; its
plan is the server's, of the dearest statement that the function sends.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import event, text
from sqlalchemy.engine import Engine
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.ids import UserId
from db import finance_lists, money_by_day, statements
from db.books import CHECKS, LEDGER
from db.engine import Database
from db.finance_lists import LIABILITY, PURCHASES, REFUNDS, REVENUE, TRANSFERS, Listing
from db.migrate import migrate
from db.pages import Page
from dev.servers.postgres import Postgres

USERS = 400
TRANSFERS_EACH = 1.9
"""Of what happens: a pair or a refund is two transfers, a purchase, a tenth of all, is one."""
AUDITED = [*LEDGER, "usage that is not the sum of the captures"]
BUDGET_MS = 4000
"""Of one list: a report is not read ten times."""

LOAD = """
SET LOCAL session_replication_role = replica;  -- triggers off: a million rows in seconds; the audit judges them after
SET LOCAL work_mem = '256MB';
INSERT INTO users (id, issuer, subject) SELECT 'usr_' || lpad(to_hex(n), 32, '0'), 'bench', n::text
  FROM generate_series(1, {users}) n;
INSERT INTO accounts (kind, unit, bucket, user_id, balance)
    SELECT kind, 'credit', 'paid', id, 0 FROM users, unnest('{{available,held,refunds}}'::text[]) kind;
INSERT INTO accounts (kind, unit, provider) VALUES ('cash', 'krw', 'stripe');
INSERT INTO videos (id, user_id, role, state, object_key, filename, content_type, bytes)
    SELECT 'vid_' || substr(id, 5), id, 'source', 'pending', id, 'concert.mp4', 'video/mp4', 1 FROM users;

CREATE TEMP TABLE happening ON COMMIT DROP AS
    SELECT n, gen_random_uuid() AS one, gen_random_uuid() AS two, what,
           now() - interval '1 year' * (1 - n::float8 / {happenings}) AS at,
           -- A refund is of the purchase two numbers before it, so of the same user.
           'usr_' || lpad(to_hex(CASE WHEN n % 2 = 0 THEN 1 WHEN what = 'refund' THEN 2 + (n / 2 - 1) % ({users} - 1)
                                      ELSE 2 + n / 2 % ({users} - 1) END), 32, '0') AS user_id
      FROM (SELECT n, CASE WHEN n % 20 < 2 THEN 'purchase' WHEN n % 200 IN (2, 3) THEN 'refund'
                           ELSE 'pair' END AS what FROM generate_series(1, {happenings}) n) numbered;

INSERT INTO purchases (id, user_id, provider, price_id, credits, amount_krw, status, refund_to, provider_ref,
                       transfer_id, created_at, paid_at)
    SELECT 'pur_' || lpad(to_hex(n), 32, '0'), user_id, 'stripe', 'credits-100/1', 100, 10000, 'PAID', 'card',
           'pi_' || n, one, at, at FROM happening WHERE what = 'purchase' ORDER BY n;
INSERT INTO refunds (id, purchase_id, credits, amount_krw, reason, status, requested_by, provider_ref,
                     reserve_transfer_id, settle_transfer_id, created_at, finished_at)
    SELECT 'ref_' || lpad(to_hex(n), 32, '0'), 'pur_' || lpad(to_hex(n - 2), 32, '0'), 40, 4000,
           CASE WHEN n % 8 < 4 THEN 'goodwill' ELSE 'job_failed' END, 'SUCCEEDED', 'support:kim', 're_' || n, one,
           two, at, at FROM happening WHERE what = 'refund' ORDER BY n;
INSERT INTO jobs (id, user_id, kind, status, params, video_id, filename, quote, quote_credits, hold_id,
                  result_key, created_at, finished_at)
    SELECT 'job_' || lpad(to_hex(n), 32, '0'), user_id, CASE WHEN n % 10 < 8 THEN 'enhance' ELSE 'music' END,
           'SUCCEEDED', '{{}}', 'vid_' || substr(user_id, 5), 'concert.mp4',
           '{{"credits": 10, "started_minutes": 1, "credits_per_minute": 10, "basis": "measured"}}', 10, one,
           'result/' || n, at, at
      FROM happening WHERE what = 'pair' ORDER BY n;
INSERT INTO results (job_id, key, content_type, bytes, sha256, manifest_key, product, created_at)
    SELECT id, result_key, 'video/mp4', 1, repeat('0', 64), result_key, '{{}}', created_at FROM jobs;

INSERT INTO transfers (id, kind, unit, amount, user_id, hold_id, job_id, purchase_id, actor, step, workflow_id, run_id,
                       reason, xact, created_at)
    SELECT t.id, t.kind, 'credit', t.amount, user_id, t.hold_id,
           CASE what WHEN 'pair' THEN 'job_' || lpad(to_hex(n), 32, '0') END,
           CASE what WHEN 'purchase' THEN 'pur_' || lpad(to_hex(n), 32, '0')
                     WHEN 'refund' THEN 'pur_' || lpad(to_hex(n - 2), 32, '0') END,
           'system:bench', t.kind, 'job/bench', '', '', pg_current_xact_id(), at
      FROM happening JOIN (VALUES
               ('purchase', 0, 'purchase', 100), ('refund', 0, 'refund', 40), ('refund', 1, 'refund', 40),
               ('pair', 0, 'hold', 10), ('pair', 1, 'capture', 7)) step (what, place, kind, amount) USING (what)
     CROSS JOIN LATERAL (SELECT CASE place WHEN 0 THEN one ELSE two END AS id, step.kind, step.amount,
                                CASE step.kind WHEN 'capture' THEN one END AS hold_id) t
     ORDER BY n, place;
INSERT INTO postings (transfer_id, account_id, amount)
    SELECT CASE place WHEN 0 THEN one ELSE two END, a.id, leg.amount
      FROM happening JOIN (VALUES
               ('purchase', 0, 'available', 'credit', 100), ('purchase', 0, 'issued', 'credit', -100),
               ('purchase', 0, 'cash', 'krw', 10000), ('purchase', 0, 'issued', 'krw', -10000),
               ('refund', 0, 'available', 'credit', -40), ('refund', 0, 'refunds', 'credit', 40),
               ('refund', 1, 'refunds', 'credit', -40), ('refund', 1, 'issued', 'credit', 40),
               ('refund', 1, 'cash', 'krw', -4000), ('refund', 1, 'issued', 'krw', 4000),
               ('pair', 0, 'available', 'credit', -10), ('pair', 0, 'held', 'credit', 10),
               ('pair', 1, 'held', 'credit', -10), ('pair', 1, 'revenue', 'credit', 7),
               ('pair', 1, 'available', 'credit', 3)) leg (what, place, kind, unit, amount) USING (what)
      JOIN accounts a ON a.kind = leg.kind AND a.unit = leg.unit AND a.bucket IS NOT DISTINCT FROM
           CASE leg.unit WHEN 'credit' THEN 'paid' END AND (a.user_id = happening.user_id OR a.user_id IS NULL);
UPDATE accounts a SET balance = p.balance
  FROM (SELECT account_id, sum(amount) AS balance FROM postings GROUP BY account_id) p
 WHERE p.account_id = a.id AND a.user_id IS NOT NULL;
"""


Read = Callable[[], Awaitable[object]]


def load(url: str, transfers: int) -> None:
    happenings = round(transfers / TRANSFERS_EACH)
    with psycopg.connect(url) as connection:
        connection.execute(LOAD.format(users=USERS, happenings=happenings).encode())
        connection.execute(import_module("db.migrations.versions.0010_lists").FILL.encode())
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
        for name in AUDITED:
            assert not connection.execute(CHECKS[name].encode()).fetchall(), name


def user(number: int) -> UserId:
    """The first one has half of everything."""
    return UserId(f"usr_{number:032x}")


HEAVY, LIGHT = user(1), user(7)
FAR_BACK = {
    "heavy": f"SELECT id FROM transfers WHERE user_id = '{HEAVY}' ORDER BY seq OFFSET 1000 LIMIT 1",  # noqa: S608 - our own
    "light": f"SELECT id FROM transfers WHERE user_id = '{LIGHT}' ORDER BY seq OFFSET 300 LIMIT 1",  # noqa: S608
    "transfers": "SELECT id FROM transfers ORDER BY seq OFFSET 1000 LIMIT 1",
    "purchases": "SELECT id FROM purchases ORDER BY seq OFFSET 1000 LIMIT 1",
    "refunds": "SELECT id FROM refunds ORDER BY seq OFFSET 1000 LIMIT 1",
    "liability": "SELECT transfer_id FROM purchases ORDER BY seq DESC OFFSET 1000 LIMIT 1",
    "revenue": "SELECT id FROM transfers WHERE kind = 'capture' ORDER BY seq OFFSET 1000 LIMIT 1",
}
"""Rows near the beginning of each list, so near its last page."""


async def reads(database: Database) -> dict[str, Read]:
    """What is measured, by its name."""
    async with database.read() as session:
        cursors = {name: str(await session.scalar(text(query))) for name, query in FAR_BACK.items()}
    now = datetime.now(UTC)
    month = {"from": now - timedelta(days=200), "to": now - timedelta(days=170)}
    old = {"to": now - timedelta(days=330)}

    def of(query: Callable[..., Awaitable[object]], *values: object) -> Read:
        async def read() -> None:
            async with database.read() as session:
                await query(session, *values)

        return read

    def listed(listing: Listing, page: Page, filters: dict[str, Any]) -> Read:
        async def answer(session: AsyncSession) -> None:
            await finance_lists.page_of(session, listing, filters, page)
            if listing.sums:
                await finance_lists.sums_of(session, listing, filters)

        return of(answer)

    measured: dict[str, Read] = {}
    for whose, owner, cursor in (("half of all", HEAVY, "heavy"), ("an equal share", LIGHT, "light")):
        far_back = Page(starting_after=cursors[cursor])
        measured |= {
            f"history, {whose}": of(statements.history, owner, Page()),
            f"history, {whose}, a page far back": of(statements.history, owner, far_back),
            f"usage of a month, {whose}": of(statements.usage, owner, now - timedelta(days=30), now, "day"),
            f"usage of a year, {whose}": of(statements.usage, owner, now - timedelta(days=366), now, "month"),
        }
    filters: list[tuple[Listing, str, dict[str, Any]]] = [
        (TRANSFERS, "of a month", month),
        (TRANSFERS, "before eleven months ago", old),
        (TRANSFERS, "refunds", {"kind": "refund"}),
        (TRANSFERS, "of a kind without rows", {"kind": "dispute"}),
        (TRANSFERS, "of a user", {"user_id": LIGHT}),
        (TRANSFERS, "captures of a month, half of all", {"user_id": HEAVY, "kind": "capture", **month}),
        (TRANSFERS, "of a purchase", {"purchase_id": f"pur_{20:032x}"}),
        (TRANSFERS, "of a job", {"job_id": f"job_{15:032x}"}),
        (PURCHASES, "of a month", month),
        (PURCHASES, "of a user", {"user_id": LIGHT}),
        (PURCHASES, "that failed", {"status": "FAILED"}),
        (REFUNDS, "of a month", month),
        (REFUNDS, "of a reason", {"reason": "goodwill"}),
        (LIABILITY, "of a user", {"user_id": LIGHT}),
        (LIABILITY, "half of all", {"user_id": HEAVY}),
        (REVENUE, "of a user", {"user_id": LIGHT}),
        (REVENUE, "half of all", {"user_id": HEAVY}),
        (REVENUE, "of a month", month),
    ]
    for listing in (TRANSFERS, PURCHASES, REFUNDS, LIABILITY, REVENUE):
        measured[listing.name] = listed(listing, Page(), {})
        far_back = Page(starting_after=cursors[listing.name])
        measured[f"{listing.name}, a page far back"] = listed(listing, far_back, {})
        measured |= {
            f"{listing.name} {what}": listed(listing, Page(), chosen)
            for of_listing, what, chosen in filters
            if of_listing is listing
        }
    measured["money of a year by day"] = of(money_by_day.in_period, now - timedelta(days=366), now)
    return measured


async def measure(database: Database, options: argparse.Namespace) -> None:
    for name, read in (await reads(database)).items():
        plans = await _explained(read)
        ms: list[float] = []
        while len(ms) < options.reads and sum(ms) < BUDGET_MS:
            started = time.perf_counter()
            await read()
            ms.append((time.perf_counter() - started) * 1000)
        indexes = sorted(
            {index for plan in plans for index in re.findall(r"(?:using|Index Scan on) (\w+)", plan)}
        )
        print(
            f"| {name} | {statistics.median(ms):.1f} | {max(ms):.1f} | {', '.join(indexes) or 'none'} |",
            flush=True,
        )
        if options.plans:
            print("\n\n".join(plans), flush=True)


async def _explained(read: Read) -> list[str]:
    """The plans of the statements that `read` sends, from the server itself."""
    plans: list[str] = []

    def explain(_: object, cursor: Any, statement: str, values: Any, *__: object) -> None:
        if re.match(r"\s*(SELECT|WITH)", statement):
            cursor.execute(
                f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS OFF) {statement}", values
            )
            plans.append("\n".join(row[0] for row in cursor.fetchall()))

    event.listen(Engine, "before_cursor_execute", explain)
    try:
        await read()
    finally:
        event.remove(Engine, "before_cursor_execute", explain)
    return plans


async def bench(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(prefix="echoshot-bench-") as name:
        server = Postgres(Path(name), Path(name) / "logs", durable=False)
        await server.start()
        try:
            await server.create_database("bench")
            await asyncio.to_thread(migrate, server.sqlalchemy_url("bench"))
            await asyncio.to_thread(load, server.url("bench"), options.transfers)
            database = Database(server.sqlalchemy_url("bench"), pool_size=4)
            await measure(database, options)
            await database.aclose()
        finally:
            await server.stop()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.lists", description=__doc__)
    parser.add_argument("--transfers", type=int, default=1_000_000)
    parser.add_argument(
        "--reads", type=int, default=10, help="of each list; the median and the longest are told"
    )
    parser.add_argument("--plans", action="store_true", help="print the plans, too")
    asyncio.run(bench(parser.parse_args()))


if __name__ == "__main__":
    main()
