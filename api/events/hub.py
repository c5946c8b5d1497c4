"""One LISTEN connection per process, fanned out to everybody who watches a job.

A notification is only a hint that a job has new rows. A watcher holds no queue, just one flag: however many
hints arrive while a slow client is being served, it reads the rows once, from the database, when it is ready.
Memory per client is constant, and a hint lost with its connection is made good by waking everybody on reconnect
and by each watcher's own look every `PING_S` seconds.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from db.engine import Database

CHANNEL = "job_events"

log = logging.getLogger("echoshot.api")


class Watch:
    """One client's interest in one job."""

    def __init__(self) -> None:
        self._news = asyncio.Event()
        self.closing = False

    def wake(self) -> None:
        self._news.set()

    def close(self) -> None:
        self.closing = True
        self._news.set()

    async def news(self, timeout_s: float) -> bool:
        """Wait for a hint; False after `timeout_s` without one. Clear the flag *before* the caller reads."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._news.wait()
        except TimeoutError:
            return False
        self._news.clear()
        return True


class EventHub:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._watches: defaultdict[str, set[Watch]] = defaultdict(set)
        self._listener: asyncio.Task[None] | None = None
        self.closing = False

    def start(self) -> None:
        self._listener = asyncio.create_task(self._listen(), name="job-events")

    def close_watches(self) -> None:
        """End every stream; the process is about to stop and clients reconnect elsewhere."""
        self.closing = True
        for watch in self._all():
            watch.close()

    async def aclose(self) -> None:
        self.close_watches()
        if self._listener:
            self._listener.cancel()
            await asyncio.gather(self._listener, return_exceptions=True)

    @contextmanager
    def watch(self, job_id: str) -> Iterator[Watch]:
        watch = Watch()
        if self.closing:
            watch.close()
        self._watches[job_id].add(watch)
        try:
            yield watch
        finally:
            self._watches[job_id].discard(watch)
            if not self._watches[job_id]:
                del self._watches[job_id]

    def _all(self) -> list[Watch]:
        return [watch for watches in self._watches.values() for watch in watches]

    async def _listen(self) -> None:
        async for _channel, job_id in self._database.listen([CHANNEL]):
            # An empty payload follows every connect: what was said meanwhile is lost, so everybody looks.
            for watch in self._watches.get(job_id, ()) if job_id else self._all():
                watch.wake()
