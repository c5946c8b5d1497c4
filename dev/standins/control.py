"""The control surface that both stand-ins have: what a test orders and asks. Loopback only, no authentication."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Annotated, Literal

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field

from dev.standins.faults import Fault, order_fault, ordered_faults
from dev.standins.store import JsonObject, Store
from dev.standins.webhooks import Url, WebhookBehaviour, Webhooks


class Order(BaseModel):
    """A control request; a misspelt field must not pass for a default."""

    model_config = ConfigDict(extra="forbid")


class Reset(Order):
    webhook_url: Url | None = None


class Latency(Order):
    ms: Annotated[int, Field(ge=0)]


class Flush(Order):
    order: Literal["oldest_first", "newest_first"] = "oldest_first"


class Resend(Order):
    event_id: str


def common_control(store: Store, webhooks: Webhooks, event_body: Callable[[str], str | None]) -> APIRouter:
    """`event_body` gives the webhook body of an event id."""
    router = APIRouter(prefix="/standin")

    @router.get("/health")
    async def health() -> JsonObject:
        return {"ok": True}

    @router.post("/reset")
    async def reset(order: Reset) -> JsonObject:
        store.clear()
        webhooks.behave(WebhookBehaviour(url=order.webhook_url))
        return {}

    @router.post("/forget_keys")
    async def forget_keys() -> JsonObject:
        """As time does: Stripe keeps idempotency keys for a day, PortOne for three hours."""
        store.db.execute("delete from keys")
        return {}

    @router.post("/faults")
    async def add_fault(fault: Fault) -> list[Fault]:
        order_fault(store, fault)
        return ordered_faults(store)

    @router.get("/faults")
    async def list_faults() -> list[Fault]:
        return ordered_faults(store)

    @router.delete("/faults")
    async def drop_faults() -> list[Fault]:
        store.db.execute("delete from faults")
        return []

    @router.post("/latency")
    async def latency(order: Latency) -> JsonObject:
        store.set("latency_ms", order.ms)
        return {"ms": order.ms}

    @router.post("/webhooks")
    async def behave(behaviour: WebhookBehaviour) -> JsonObject:
        webhooks.behave(behaviour)
        return webhooks.behaviour.model_dump()

    @router.get("/webhooks")
    async def deliveries() -> JsonObject:
        return webhooks.behaviour.model_dump() | {"deliveries": webhooks.deliveries()}

    @router.post("/webhooks/flush")
    async def flush(order: Flush) -> dict[str, int]:
        return await webhooks.flush(order.order)

    @router.post("/webhooks/resend")
    async def resend(order: Resend) -> JsonObject:
        body = event_body(order.event_id)
        if body is None:
            raise HTTPException(404, f"no event {order.event_id}")
        return {"status": await webhooks.resend(order.event_id, body)}

    @router.get("/requests")
    async def requests() -> list[JsonObject]:
        rows = store.db.execute("select * from requests order by seq")
        return [
            dict(row) | {"params": json.loads(row["params"]), "replayed": bool(row["replayed"])}
            for row in rows
        ]

    return router
