"""The one way to a session. The edge (an API request, an activity) opens the transaction; repositories never commit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any

import psycopg
from psycopg import sql
from sqlalchemy import event
from sqlalchemy.engine import make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, DisconnectionError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolExhausted
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from contracts.errors import Code, EchoError
from contracts.settings import Settings
from contracts.timing import RECORD_TIMEOUT

STATEMENT_TIMEOUT_MS = int(RECORD_TIMEOUT.total_seconds() * 1000 * 0.5)
"""A statement gives up before its step does, so that the retry does not meet the first attempt still waiting."""

POOL_WAIT_S = 5
"""For a free connection; then the caller is told to come back."""

LINK: dict[str, Any] = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
"""libpq's names, seconds and (the last) milliseconds. A server that vanishes without a word, as in a failover, is found
out in half a minute; by the kernel's own defaults a listener would wait two hours for notices that never come."""

RECONNECT_S = 0.5

PING_AFTER_IDLE_S = 1.0
RETURNED_AT = "returned_at"


class Database:
    """A pool of connections to one PostgreSQL database."""

    def __init__(self, url: str, *, pool_size: int = 10) -> None:
        self.url = url
        self._engine = create_async_engine(
            url,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=POOL_WAIT_S,
            hide_parameters=True,  # messages of failures go to logs and to Temporal; names and addresses must not
            connect_args={
                **LINK,
                "application_name": "echoshot",
                "connect_timeout": 5,
                "options": f"-c statement_timeout={STATEMENT_TIMEOUT_MS}"
                f" -c idle_in_transaction_session_timeout={STATEMENT_TIMEOUT_MS * 2}",
            },
        )
        event.listen(self._engine.sync_engine, "checkin", _note_return)
        event.listen(self._engine.sync_engine, "checkout", self._ping_if_idle)
        self._sessions = async_sessionmaker(self._engine, expire_on_commit=False)

    @classmethod
    def from_settings(cls, settings: Settings) -> Database:
        return cls(settings.database_url.get_secret_value(), pool_size=settings.database_pool_size)

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[AsyncSession]:
        """Commits on leaving, rolls back on any exception. A lost connection is `Code.UNAVAILABLE`: whether the
        commit arrived is then unknown, so the caller repeats with the same keys."""
        with _unavailable():
            async with self._sessions.begin() as session:
                yield session

    @asynccontextmanager
    async def read(self) -> AsyncGenerator[AsyncSession]:
        """Read only, and every query sees the same moment."""
        with _unavailable():
            async with self._sessions.begin() as session:
                await session.connection(
                    execution_options={"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
                )
                yield session

    async def listen(self, channels: Sequence[str]) -> AsyncGenerator[tuple[str, str]]:
        """Notifications as (channel, payload), for ever. After every connect, also the first, each channel
        yields an empty payload: notices may have been missed, so look at the tables."""
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(
                    self._libpq_url(), autocommit=True, **LINK
                ) as connection:
                    for channel in channels:
                        await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
                    for channel in channels:
                        yield channel, ""
                    async for notice in connection.notifies():
                        yield notice.channel, notice.payload
            except psycopg.OperationalError:
                await asyncio.sleep(RECONNECT_S)

    def _ping_if_idle(self, connection: DBAPIConnection, record: ConnectionPoolEntry, _: object) -> None:
        """The pool's own pre-ping costs a round trip each time; a connection used a moment ago is still there."""
        if monotonic() - record.info.get(RETURNED_AT, monotonic()) > PING_AFTER_IDLE_S:
            try:
                self._engine.dialect.do_ping(connection)
            except psycopg.OperationalError as error:
                raise DisconnectionError from error

    def _libpq_url(self) -> str:
        return make_url(self.url).set(drivername="postgresql").render_as_string(hide_password=False)

    async def aclose(self) -> None:
        await self._engine.dispose()


def _note_return(_: object, record: ConnectionPoolEntry) -> None:
    record.info[RETURNED_AT] = monotonic()


class _unavailable:
    """Turns the loss of the database into our own error; everything else passes."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, PoolExhausted):
            raise EchoError(Code.UNAVAILABLE, "database: every connection is in use") from error
        if isinstance(error, OperationalError | InterfaceError) or (
            isinstance(error, DBAPIError) and error.connection_invalidated
        ):
            raise EchoError(Code.UNAVAILABLE, f"database: {type(error.orig).__name__}") from error
