"""`Idempotency-Key`: a request that creates something happens once, however often it is sent.

Claim, work and stored answer are one transaction: a crash leaves either nothing or a replayable answer. A request
that fails leaves nothing either, so the same key may be tried again, for example after credits were added.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import Depends, Header, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from api.auth import CurrentCaller
from api.services import CurrentServices
from contracts.errors import Code, EchoError
from contracts.ids import UserId
from db import idempotency
from db.engine import Database

REPLAYED_HEADER = "Idempotent-Replayed"
KEY_PATTERN = r"^[\x21-\x7e]{1,255}$"

IDEMPOTENCY_CODES = (Code.IDEMPOTENCY_KEY_MISSING, Code.IDEMPOTENCY_KEY_REUSED, Code.IDEMPOTENCY_IN_FLIGHT)


@dataclass(frozen=True)
class Reply:
    """What the first request answers and every replay repeats."""

    body: BaseModel
    status: int = 201
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True)
class Done:
    """A request that is committed, now or by an earlier request with the same key."""

    body: Any
    status: int
    headers: Mapping[str, str]
    replayed: bool

    def response(self, body: Any = None, status: int | None = None) -> Response:
        """The stored answer; or another body, where it tells what may not be stored or what has changed since."""
        headers = {**self.headers, REPLAYED_HEADER: "true"} if self.replayed else dict(self.headers)
        return JSONResponse(self.body if body is None else body, status or self.status, headers)


@dataclass(frozen=True)
class Once:
    """One keyed request of one caller."""

    database: Database
    user_id: UserId
    key: str
    method: str
    path: str
    body_hash: str

    async def run(self, work: Callable[[AsyncSession], Awaitable[Reply]]) -> Response:
        """Do `work` in a transaction, or repeat what an earlier request with this key was answered."""
        return (await self.perform(work)).response()

    async def perform(self, work: Callable[[AsyncSession], Awaitable[Reply]]) -> Done:
        """The same, for routes that have more to do once it is committed."""
        async with self.database.transaction() as session:
            claim = await idempotency.claim(
                session, self.user_id, self.key, self.method, self.path, self.body_hash
            )
            if isinstance(claim, idempotency.Replay):
                return Done(claim.body, claim.status, claim.headers, replayed=True)
            reply = await work(session)
            body: dict[str, Any] = reply.body.model_dump(mode="json")
            await idempotency.store(session, claim, reply.status, body, dict(reply.headers))
        return Done(body, reply.status, reply.headers, replayed=False)


async def once(
    request: Request,
    caller: CurrentCaller,
    services: CurrentServices,
    idempotency_key: Annotated[
        str | None,
        Header(
            pattern=KEY_PATTERN,
            description="Chosen by the client, new for every intent, kept for its retries.",
            examples=["8f14e45f-ceea-467f-9575-5d1e8a1d6b7c"],
        ),
    ] = None,
) -> Once:
    if idempotency_key is None:
        raise EchoError(Code.IDEMPOTENCY_KEY_MISSING)
    body_hash = hashlib.sha256(await request.body()).hexdigest()
    return Once(
        services.database, caller.user_id, idempotency_key, request.method, request.url.path, body_hash
    )


CurrentOnce = Annotated[Once, Depends(once)]
