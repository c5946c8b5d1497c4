"""`python -m db migrate` brings the schema up to date; `python -m db check` audits the books (1: not coherent)."""

from __future__ import annotations

import asyncio
import sys

from contracts.settings import settings
from contracts.signing import trusted_keys
from db import journal
from db.books import check_books
from db.engine import Database
from db.migrate import migrate

USAGE = "usage: python -m db migrate | check"


async def _check() -> int:
    database = Database.from_settings(settings())
    try:
        async with database.read() as session:
            violations = await check_books(session)
            violations += await journal.audit(session, trusted=trusted_keys(settings()))
    finally:
        await database.aclose()
    print("\n".join(violations) or "The books are coherent.")
    return 1 if violations else 0


def main(arguments: list[str]) -> int:
    match arguments:
        case ["migrate"]:
            migrate(settings().database_url.get_secret_value())
            return 0
        case ["check"]:
            return asyncio.run(_check())
        case _:
            print(USAGE, file=sys.stderr)
            return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
