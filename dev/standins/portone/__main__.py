"""`python -m dev.standins.portone`: the stand-in as a process, on 127.0.0.1."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from standardwebhooks.webhooks import Webhook

from dev.standins.control import common_control
from dev.standins.exchange import Exchange
from dev.standins.portone.api import PortOneDialect
from dev.standins.portone.control import portone_control
from dev.standins.portone.payments import Payments
from dev.standins.serve import serve, standin_app
from dev.standins.store import JsonObject, Store, new_id
from dev.standins.webhooks import Webhooks


def signature_headers(secret: str, event_id: str, body: bytes) -> Mapping[str, str]:
    """Of Standard Webhooks, as of now."""
    now = datetime.now(UTC)
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign(event_id, now, body.decode()),
    }


def event_body(event: JsonObject) -> str:
    return json.dumps({name: event[name] for name in ("type", "timestamp", "data")}, separators=(",", ":"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--api-secret", required=True)
    parser.add_argument("--store-id", required=True)
    parser.add_argument("--channel-key", required=True)
    parser.add_argument("--webhook-url", default="", help="empty: none are sent until a test names one")
    parser.add_argument("--webhook-secret", required=True)
    parser.add_argument("--state", type=Path, required=True)
    given = parser.parse_args()

    store = Store(given.state)
    webhooks = Webhooks(
        store,
        given.webhook_url,
        lambda event_id, body: signature_headers(given.webhook_secret, event_id, body),
    )

    def emit(kind: str, payment: JsonObject, cancellation_id: str | None) -> None:
        data = {
            "storeId": given.store_id,
            "paymentId": payment["id"],
            "transactionId": payment["transactionId"],
        }
        data |= {"cancellationId": cancellation_id} if cancellation_id is not None else {}
        event = {
            "id": new_id("msg"),
            "type": kind,
            "timestamp": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
            "data": data,
        }
        store.add("event", event)
        webhooks.enqueue(event["id"], event_body(event))

    def body_of(event_id: str) -> str | None:
        event = store.get("event", event_id)
        return event_body(event) if event else None

    payments = Payments(store, given.store_id, given.channel_key, emit)
    dialect = PortOneDialect(store, payments, given.api_secret, given.store_id)
    controls = [common_control(store, webhooks, body_of), portone_control(store, payments)]
    serve(standin_app(Exchange(store, dialect), webhooks, controls), given.port)


if __name__ == "__main__":
    main()
