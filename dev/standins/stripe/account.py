"""The account that requests act on: its objects, its keys, and the events that tell of every change."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Mapping

from dev.standins.store import JsonObject, Store, new_id, now_s
from dev.standins.stripe.errors import missing
from dev.standins.webhooks import Webhooks

API_VERSION = "2026-10-28.endive"
"""What the pinned official library sends; a test holds both together (importing the library would slow the start)."""


class Account:
    def __init__(self, store: Store, webhooks: Webhooks) -> None:
        self.store = store
        self._webhooks = webhooks
        self.request: JsonObject = {"id": None, "idempotency_key": None}
        """Of the API request that runs now; events name it."""

    def get(self, kind: str, object_id: str, *, param: str | None = None) -> JsonObject:
        """Raises `resource_missing`; `param` names the parameter that held the id, if it was not the path."""
        found = self.store.get(kind, object_id)
        if found is None:
            raise missing(kind, object_id, param)
        return found

    def emit(self, event_type: str, subject: JsonObject) -> None:
        event: JsonObject = {
            "id": new_id("evt"),
            "object": "event",
            "api_version": API_VERSION,
            "created": now_s(),
            "data": {"object": public(subject)},
            "livemode": False,
            "pending_webhooks": 1,
            "request": self.request,
            "type": event_type,
        }
        self.store.add("event", event, {"type": event_type})
        self._webhooks.enqueue(event["id"], event_body(event))


def event_body(event: JsonObject) -> str:
    return json.dumps(event, ensure_ascii=False)


def public(body: JsonObject) -> JsonObject:
    """Without what only the stand-in knows of the object (names that begin with `_`)."""
    return {key: value for key, value in body.items() if not key.startswith("_")}


def signature_headers(secret: str, body: bytes) -> Mapping[str, str]:
    """`Stripe-Signature` of now."""
    at = int(time.time())
    signed = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return {"Stripe-Signature": f"t={at},v1={signed}"}
