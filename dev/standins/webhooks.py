"""Webhooks: queued with the change that they tell of, delivered in the background until the receiver says 2xx."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from enum import StrEnum
from typing import Annotated, Literal

import httpx
from pydantic import BaseModel, ConfigDict, Field

from dev.standins.store import JsonObject, Store

Sign = Callable[[str, bytes], Mapping[str, str]]
"""From event id and body to the headers that prove the sender; called anew for each attempt, as providers do."""

_RETRY_FIRST_S, _RETRY_MAX_S = 0.2, 5.0
_RECEIVER_TIMEOUT_S = 10.0
_HELD = 1e12
"""A time that never comes: waits for a flush."""
Url = Annotated[str, Field(pattern=r"^(https?://[^\s/]+.*)?$")]


class WebhookMode(StrEnum):
    NORMAL = "normal"
    DELAYED = "delayed"
    DUPLICATED = "duplicated"
    REORDERED = "reordered"
    """Gathered for `delay_ms`, then newest first."""
    HELD = "held"
    DROPPED = "dropped"


class WebhookBehaviour(BaseModel):
    model_config = ConfigDict(extra="forbid")

    mode: WebhookMode = WebhookMode.NORMAL
    delay_ms: Annotated[int, Field(ge=0)] = 500
    url: Url | None = None
    """None leaves it as it is; empty: nothing is sent."""


class Webhooks:
    """`enqueue` inside the transaction of the change, `run` in the background."""

    def __init__(self, store: Store, url: str, sign: Sign) -> None:
        self._store = store
        self._first_url = url
        self._sign = sign
        self._wake = asyncio.Event()
        self._sending = asyncio.Lock()

    @property
    def behaviour(self) -> WebhookBehaviour:
        kept = self._kept()
        return kept.model_copy(update={"url": self._first_url if kept.url is None else kept.url})

    def behave(self, wanted: WebhookBehaviour) -> None:
        # The first URL is not kept: it may be another at the next start.
        url = self._kept().url if wanted.url is None else wanted.url
        self._store.set("webhooks", wanted.model_copy(update={"url": url}).model_dump())
        if wanted.mode is WebhookMode.NORMAL:
            self._store.db.execute("update deliveries set not_before = 0 where delivered_at is null")
        self._wake.set()

    def _kept(self) -> WebhookBehaviour:
        return WebhookBehaviour.model_validate(self._store.setting("webhooks", {}))

    def enqueue(self, event_id: str, body: str) -> None:
        behaviour = self.behaviour
        now = time.time()
        match behaviour.mode:
            case WebhookMode.DROPPED:
                return
            case WebhookMode.HELD:
                due = [_HELD]
            case WebhookMode.DUPLICATED:
                due = [now, now]
            case WebhookMode.DELAYED:
                due = [now + behaviour.delay_ms / 1000]
            case WebhookMode.REORDERED:
                due = [self._reordered_due(now, behaviour.delay_ms / 1000)]
            case WebhookMode.NORMAL:
                due = [now]
        for not_before in due:
            self._store.db.execute(
                "insert into deliveries (event_id, body, not_before) values (?, ?, ?)",
                (event_id, body, not_before),
            )
        self._wake.set()

    def _reordered_due(self, now: float, gather_s: float) -> float:
        # Each event that joins the gathering comes due a hair before the ones that were there already.
        first = self._store.db.execute(
            "select min(not_before) from deliveries where delivered_at is null and attempts = 0 "
            "and not_before > ? and not_before < ?",
            (now, _HELD),
        ).fetchone()[0]
        return now + gather_s if first is None else first - 1e-6

    async def run(self) -> None:
        """For ever; the stand-in cancels it at its end."""
        async with httpx.AsyncClient(trust_env=False, timeout=_RECEIVER_TIMEOUT_S) as client:
            while True:
                self._wake.clear()
                row = self._store.db.execute(
                    "select * from deliveries where delivered_at is null order by not_before, seq limit 1"
                ).fetchone()
                if row is None or not self.behaviour.url:
                    await self._wake.wait()
                    continue
                wait_s = row["not_before"] - time.time()
                if wait_s > 0:
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self._wake.wait(), wait_s)
                    continue
                async with self._sending:
                    await self._attempt(client, row["seq"])

    async def flush(self, order: Literal["oldest_first", "newest_first"]) -> dict[str, int]:
        """Send all that wait, once each, whatever the mode."""
        async with self._sending, httpx.AsyncClient(trust_env=False, timeout=_RECEIVER_TIMEOUT_S) as client:
            rows = self._store.db.execute(
                "select seq from deliveries where delivered_at is null order by seq"
            ).fetchall()
            waiting = [row["seq"] for row in rows]
            if order == "newest_first":
                waiting.reverse()
            results = [await self._attempt(client, seq) for seq in waiting]
        return {"delivered": results.count(True), "failed": results.count(False)}

    async def resend(self, event_id: str, body: str) -> int:
        """Send an event once more, now; the receiver's status."""
        async with httpx.AsyncClient(trust_env=False, timeout=_RECEIVER_TIMEOUT_S) as client:
            return (await self._post(client, event_id, body)).status_code

    def deliveries(self) -> list[JsonObject]:
        rows = self._store.db.execute(
            "select seq, event_id, attempts, not_before, delivered_at from deliveries order by seq"
        )
        return [dict(row) | {"held": row["not_before"] >= _HELD} for row in rows]

    async def _attempt(self, client: httpx.AsyncClient, seq: int) -> bool | None:
        """None: a flush has delivered it meanwhile."""
        row = self._store.db.execute("select * from deliveries where seq = ?", (seq,)).fetchone()
        if row is None or row["delivered_at"] is not None:
            return None
        try:
            delivered = (await self._post(client, row["event_id"], row["body"])).is_success
        except httpx.HTTPError:
            delivered = False
        if delivered:
            self._store.db.execute(
                "update deliveries set delivered_at = ?, attempts = attempts + 1 where seq = ?",
                (time.time(), seq),
            )
        else:
            delay_s = min(_RETRY_FIRST_S * 2 ** min(row["attempts"], 10), _RETRY_MAX_S)
            self._store.db.execute(
                "update deliveries set not_before = ?, attempts = attempts + 1 where seq = ?",
                (time.time() + delay_s, seq),
            )
        return delivered

    async def _post(self, client: httpx.AsyncClient, event_id: str, body: str) -> httpx.Response:
        content = body.encode()
        headers = {"Content-Type": "application/json; charset=utf-8", **self._sign(event_id, content)}
        return await client.post(self.behaviour.url or "", content=content, headers=headers)
