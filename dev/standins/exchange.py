"""One API request from arrival to answer: log, faults, idempotency, latency, then the effect in one transaction."""

from __future__ import annotations

import asyncio
import hashlib
import json
import socket
import struct
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Protocol

from fastapi import Request, Response
from starlette.types import Receive, Scope, Send

from dev.standins.faults import FaultKind, take_fault
from dev.standins.store import JsonObject, Store


@dataclass(frozen=True)
class Answer:
    status: int
    body: JsonObject
    retry: bool | None = None
    """What the provider advises, when it does."""


@dataclass(frozen=True)
class Call:
    """A request that is well formed. Whatever `execute` answers, errors too, is remembered under the key."""

    params: JsonObject
    key: str | None
    execute: Callable[[], Answer]


class Dialect(Protocol):
    """What differs from provider to provider."""

    def read(
        self, method: str, path: str, headers: Mapping[str, str], query: str, body: bytes
    ) -> Call | Answer:
        """An answer when the request is refused before anything is executed."""
        ...

    def too_many_requests(self) -> Answer: ...
    def server_error(self) -> Answer: ...
    def key_in_use(self, key: str) -> Answer: ...
    def key_reused(self, key: str) -> Answer: ...

    def headers(self, answer: Answer, key: str | None, *, replayed: bool) -> Mapping[str, str]: ...


class Exchange:
    def __init__(self, store: Store, dialect: Dialect) -> None:
        self._store = store
        self._dialect = dialect
        self._in_flight: set[str] = set()

    async def answer(self, request: Request) -> Response:
        method, path, body = request.method, request.url.path, await request.body()
        call = self._dialect.read(method, path, request.headers, request.url.query, body)
        key = call.key if isinstance(call, Call) else None
        fault = take_fault(self._store, method, path)
        logged = self._log(method, path, call, key, fault.kind if fault else None)
        delay_s = fault.delay_ms / 1000 if fault else 0.0
        match fault.kind if fault else None:
            case FaultKind.TIMEOUT_BEFORE:
                return NoAnswer(delay_s)
            case FaultKind.RESET_BEFORE:
                return NoAnswer(0)
            case FaultKind.TOO_MANY:
                return self._render(logged, self._dialect.too_many_requests(), key)
            case FaultKind.SERVER_ERROR:
                return self._render(logged, self._dialect.server_error(), key)
            case kind:
                pass
        if isinstance(call, Answer):
            return self._render(logged, call, key)

        fingerprint = _fingerprint(method, path, call.params)
        if key is not None:
            if key in self._in_flight:
                return self._render(logged, self._dialect.key_in_use(key), key)
            self._in_flight.add(key)
        cleared = self._store.cleared
        try:
            await asyncio.sleep(
                self._store.setting("latency_ms", 0) / 1000 + (delay_s if kind is FaultKind.SLOW else 0)
            )
            if self._store.cleared != cleared:
                return NoAnswer(0)
            result, replayed = self._execute(call, fingerprint, kind)
            if kind is FaultKind.SLOW_AFTER:
                await asyncio.sleep(delay_s)
        finally:
            self._in_flight.discard(key or "")
        if kind is FaultKind.TIMEOUT_AFTER:
            return NoAnswer(delay_s)
        if kind is FaultKind.RESET_AFTER:
            return NoAnswer(0)
        return self._render(logged, result, key, replayed=replayed)

    def _execute(self, call: Call, fingerprint: str, kind: FaultKind | None) -> tuple[Answer, bool]:
        with self._store.transaction():
            if call.key is not None:
                row = self._store.db.execute("select * from keys where key = ?", (call.key,)).fetchone()
                if row is not None and row["fingerprint"] != fingerprint:
                    return self._dialect.key_reused(call.key), False
                if row is not None:
                    retry = False if row["status"] >= 500 else None
                    return Answer(row["status"], json.loads(row["body"]), retry), True
            failed = replace(self._dialect.server_error(), retry=False)
            result = failed if kind is FaultKind.SERVER_ERROR_SAVED else call.execute()
            if kind is FaultKind.SERVER_ERROR_AFTER:
                result = failed
            if call.key is not None:
                self._store.db.execute(
                    "insert into keys values (?, ?, ?, ?)",
                    (call.key, fingerprint, result.status, json.dumps(result.body)),
                )
        return result, False

    def _log(
        self, method: str, path: str, call: Call | Answer, key: str | None, fault: str | None
    ) -> int | None:
        params = json.dumps(call.params if isinstance(call, Call) else None)
        return self._store.db.execute(
            "insert into requests (at, method, path, params, idempotency_key, fault) values (?, ?, ?, ?, ?, ?)",
            (time.time(), method, path, params, key, fault),
        ).lastrowid

    def _render(
        self, logged: int | None, answer: Answer, key: str | None, *, replayed: bool = False
    ) -> Response:
        self._store.db.execute(
            "update requests set status = ?, replayed = ? where seq = ?", (answer.status, replayed, logged)
        )
        return Response(
            json.dumps(answer.body, ensure_ascii=False).encode(),
            answer.status,
            headers=dict(self._dialect.headers(answer, key, replayed=replayed)),
            media_type="application/json",
        )


class NoAnswer(Response):
    """Keeps the client waiting for `delay_s`, then resets the connection as a broken network does."""

    def __init__(self, delay_s: float) -> None:
        super().__init__()
        self._delay_s = delay_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(_disconnected(receive), self._delay_s)
            return
        transport: asyncio.Transport = scope["state"]["transport"]
        linger_zero = struct.pack("ii", 1, 0)  # close() then sends RST instead of FIN
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_zero)
        transport.abort()
        await _disconnected(receive)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _fingerprint(method: str, path: str, params: JsonObject) -> str:
    return hashlib.sha256(json.dumps([method, path, params], sort_keys=True).encode()).hexdigest()
