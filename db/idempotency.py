"""Answers kept for repeated requests. The key, the effect and the answer commit together: a request that dies
leaves nothing behind, and its repeat starts afresh."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.errors import Code, EchoError
from contracts.ids import UserId
from db.tables import IdempotencyKey

KEPT = timedelta(hours=48)


@dataclass(frozen=True)
class Claimed:
    """The key is ours until the transaction ends: do the work, then `store` the answer."""

    user_id: UserId
    key: str
    method: str
    path: str
    body_hash: str


@dataclass(frozen=True)
class Replay:
    """The answer that the first request got."""

    status: int
    body: Any
    headers: dict[str, str] = field(default_factory=dict[str, str])


async def claim(
    session: AsyncSession, user_id: UserId, key: str, method: str, path: str, body_hash: str
) -> Claimed | Replay:
    """Raises IDEMPOTENCY_IN_FLIGHT while a twin is being answered, IDEMPOTENCY_KEY_REUSED for another request."""
    # Held to the end of the transaction; the twin is told at once instead of waiting on the primary key.
    lock = func.pg_try_advisory_xact_lock(func.hashtextextended(f"{user_id}/{key}", 0))
    if not await session.scalar(select(lock)):
        raise EchoError(Code.IDEMPOTENCY_IN_FLIGHT)
    row = await session.scalar(
        select(IdempotencyKey).where(
            IdempotencyKey.user_id == user_id,
            IdempotencyKey.key == key,
            IdempotencyKey.created_at > func.now() - KEPT,
        )
    )
    if row is None:
        return Claimed(user_id, key, method, path, body_hash)
    if (row.method, row.path, row.body_hash) != (method, path, body_hash):
        raise EchoError(Code.IDEMPOTENCY_KEY_REUSED)
    return Replay(row.status, row.body, row.headers)


async def store(
    session: AsyncSession, claimed: Claimed, status: int, body: Any, headers: dict[str, str] | None = None
) -> None:
    """Keep the answer; a row past its time that `prune` has not met yet is overwritten."""
    answer = {"status": status, "body": body, "headers": headers or {}, "created_at": func.now()}
    request = {"method": claimed.method, "path": claimed.path, "body_hash": claimed.body_hash}
    await session.execute(
        insert(IdempotencyKey)
        .values(user_id=claimed.user_id, key=claimed.key, **request, **answer)
        .on_conflict_do_update(
            index_elements=[IdempotencyKey.user_id, IdempotencyKey.key], set_={**request, **answer}
        )
    )


async def prune(session: AsyncSession) -> None:
    await session.execute(delete(IdempotencyKey).where(IdempotencyKey.created_at < func.now() - KEPT))
