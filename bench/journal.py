"""How fast the journal is sealed, exported and verified.

    python -m bench.journal [--rows 100000]

Transfers are written to a PostgreSQL of the bench's own, sealed, and exported in both formats as the API would; then
each file is verified in a fresh process by the very code of `echoshot finance verify`.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from sqlalchemy import text

from contracts.journal.files import FORMATS
from contracts.signing import SigningKey, new_key_pem
from db import journal, users
from db.engine import Database
from dev.servers.postgres import Postgres
from dev.stack import migrate

BATCH = 5_000
"""Transfers a transaction: each is judged by the database's own rules."""

WRITE = text("""
    WITH t AS (
        INSERT INTO transfers (id, kind, unit, amount, user_id, actor, step, workflow_id, run_id, reason)
        SELECT gen_random_uuid(), 'grant', 'credit', 1 + n % 9, user_id, 'admin:' || user_id, 'grant/' || n,
               'grant/' || gen_random_uuid(), gen_random_uuid()::text, 'goodwill for a late result'
          FROM (SELECT cast(:n AS int) AS n, cast(:user_id AS text) AS user_id) given
        RETURNING id, amount, user_id)
    INSERT INTO postings (transfer_id, account_id, amount)
    SELECT t.id, a.id, CASE a.kind WHEN 'available' THEN t.amount ELSE -t.amount END
      FROM t JOIN accounts a ON a.kind IN ('available', 'issued') AND a.bucket = 'paid'
           AND a.unit = 'credit' AND (a.user_id IS NULL OR a.user_id = t.user_id)""")
"""A transfer with its postings, in one statement: the database refuses those of several transfers in one."""

VERIFY = """
import sys, time
from pathlib import Path
from contracts.journal.verify import verify
began, cpu = time.perf_counter(), time.process_time()
with Path(sys.argv[1]).open("rb") as file:
    verdict = verify(file)
assert verdict.ok, verdict.faults
print(time.perf_counter() - began, time.process_time() - cpu)
"""


async def fill(database: Database, rows: int) -> None:
    async with database.transaction() as session:
        user = await users.ensure_user(session, issuer="bench", subject="bench", email="", locale="")
        await session.execute(
            text("""INSERT INTO accounts (kind, unit, bucket, user_id, balance)
                    VALUES ('available', 'credit', 'paid', :user_id, 0)"""),
            {"user_id": user.id},
        )
    for first in range(0, rows, BATCH):
        async with database.transaction() as session:
            await session.execute(WRITE, [{"user_id": user.id, "n": n} for n in range(first, first + BATCH)])
    async with database.transaction() as session:
        # As autovacuum has long done on a server in service; without, a table of accounts is read whole for each row.
        await session.execute(text("ANALYZE"))


async def measure(rows: int, folder: Path) -> None:
    server = Postgres(folder, folder / "logs", durable=False)
    await server.start()
    try:
        await server.create_database("bench")
        url = server.sqlalchemy_url("bench")
        await migrate({"ECHOSHOT_DATABASE_URL": url})
        database = Database(url)
        await fill(database, rows)
        key = SigningKey.from_pem(new_key_pem())
        began = time.perf_counter()
        sealed = sum([block.rows async for block in journal.seal_all(database, key)])
        report("seal", sealed, time.perf_counter() - began)
        async with database.read() as session:
            part = await journal.extent(session)
        for name, format in FORMATS.items():
            began = time.perf_counter()
            with (folder / name).open("wb") as file:
                async for piece in journal.export(database, format, key, part):
                    file.write(piece)
            report(f"export {name}", sealed, time.perf_counter() - began)
        await database.aclose()
    finally:
        await server.stop()
    for name in FORMATS:
        verify(folder / name, sealed)


def verify(path: Path, rows: int) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", VERIFY, str(path)], check=True, capture_output=True, text=True
    )
    wall_s, cpu_s = map(float, ran.stdout.split())
    size = path.stat().st_size / rows
    report(f"verify {path.name} ({size:.0f} bytes a row)", rows, wall_s, cpu_s)


def report(name: str, rows: int, wall_s: float, cpu_s: float | None = None) -> None:
    by_cpu = "" if cpu_s is None else f", {rows / cpu_s:>9,.0f} by CPU time"
    print(f"{name:>32}  {rows / wall_s:>9,.0f} transfers/s{by_cpu}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.journal", description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="echoshot-bench-") as name:
        asyncio.run(measure(options.rows, Path(name)))


if __name__ == "__main__":
    main()
