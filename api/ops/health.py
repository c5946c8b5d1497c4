"""Is each server that the API depends on there?"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from api.services import Services
from api.shapes import View
from contracts.errors import EchoError

CHECK_TIMEOUT_S = 3.0


class Dependency(View):
    ok: bool
    ms: float
    error: str | None = None


async def dependencies(services: Services) -> dict[str, Dependency]:
    """All at once, each with its own limit, so that one that hangs does not hide the others."""
    checks: dict[str, Callable[[], Awaitable[object]]] = {
        "database": lambda: _database(services),
        "temporal": services.temporal.check,
        "storage": lambda: asyncio.to_thread(services.store.ensure_bucket),
    }
    found = await asyncio.gather(*(_timed(check) for check in checks.values()))
    return dict(zip(checks, found, strict=True))


async def _timed(check: Callable[[], Awaitable[object]]) -> Dependency:
    began = time.perf_counter()
    error = None
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            await check()
    except Exception as failure:
        # The type only: messages of drivers carry hosts and user names.
        error = str(failure.code) if isinstance(failure, EchoError) else type(failure).__name__
    return Dependency(ok=error is None, ms=round((time.perf_counter() - began) * 1000, 1), error=error)


async def _database(services: Services) -> None:
    async with services.database.read() as session:
        await session.connection()  # taken from the pool only after a ping
