"""A job's events as one async stream, the same for SSE and WebSocket."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from api.events.hub import EventHub
from contracts.errors import Code, EchoError
from contracts.ids import JobId
from contracts.jobs import JobEvent
from db import events
from db.engine import Database

PING_S = 15.0
"""Proxies cut connections that are silent for longer; also how late a lost notification is noticed."""
RETRY_S = 1.0
BACKLOG_MAX = 200
"""A client that is further behind gets one snapshot instead of every event it missed."""


@dataclass(frozen=True)
class Sent:
    name: str
    """`snapshot`, or the event's type."""
    event: JobEvent


async def job_stream(
    hub: EventHub, database: Database, job_id: JobId, last_seq: int | None
) -> AsyncGenerator[Sent | None]:
    """Events after `last_seq`, or a snapshot and what follows it; None is a ping. Ends with the job or the process.

    The watch begins before the first read, so nothing falls between reading and listening.
    """
    with hub.watch(job_id) as watch:
        while True:
            try:
                batch, patience_s = await _read(database, job_id, last_seq), PING_S
            except EchoError as error:
                if error.code is not Code.UNAVAILABLE:
                    raise
                # The database is away for a moment: the client keeps its stream and misses nothing.
                batch, patience_s = [], RETRY_S
            for sent in batch:
                last_seq = sent.event.seq
                yield sent
            if (batch and batch[-1].event.status.settled) or watch.closing:
                return
            if not await watch.news(patience_s):
                yield None


async def _read(database: Database, job_id: JobId, last_seq: int | None) -> list[Sent]:
    async with database.read() as session:
        if last_seq is not None:
            rows = await events.after(session, job_id, last_seq, BACKLOG_MAX + 1)
            if len(rows) <= BACKLOG_MAX:
                return [Sent(row.type, row) for row in rows]
        return [Sent("snapshot", await _snapshot(session, job_id))]


async def settled_before(database: Database, job_id: JobId, last_seq: int | None) -> bool:
    """True when the client has seen the end already: a stream would be empty."""
    if last_seq is None:
        return False
    async with database.read() as session:
        snapshot = await _snapshot(session, job_id)
    return snapshot.status.settled and snapshot.seq <= last_seq


async def _snapshot(session: AsyncSession, job_id: JobId) -> JobEvent:
    snapshot = await events.snapshot(session, job_id)
    if snapshot is None:
        raise EchoError(Code.NOT_FOUND, f"no job {job_id}")
    return snapshot
