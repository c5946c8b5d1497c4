"""Starts a PostgreSQL server below the folder given, prints its process ids, and waits to be killed."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import psutil

from dev.servers.postgres import Postgres


async def main(data_dir: Path) -> None:
    server = Postgres(data_dir, data_dir / "logs")
    await server.start()
    family = [server.pid, *(child.pid for child in psutil.Process(server.pid).children(recursive=True))]
    print(*family, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
