"""`python -m dev.standins.stripe`: the stand-in as a process, on 127.0.0.1."""

from __future__ import annotations

import argparse
from pathlib import Path

from dev.standins.control import common_control
from dev.standins.exchange import Exchange
from dev.standins.serve import serve, standin_app
from dev.standins.store import Store
from dev.standins.stripe.account import Account, event_body, public, signature_headers
from dev.standins.stripe.api import StripeDialect
from dev.standins.stripe.control import stripe_control
from dev.standins.webhooks import Webhooks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--secret-key", required=True)
    parser.add_argument("--publishable-key", required=True)
    parser.add_argument("--webhook-url", default="", help="empty: none are sent until a test names one")
    parser.add_argument("--webhook-secret", required=True)
    parser.add_argument("--state", type=Path, required=True)
    given = parser.parse_args()

    store = Store(given.state)
    webhooks = Webhooks(
        store, given.webhook_url, lambda _, body: signature_headers(given.webhook_secret, body)
    )
    account = Account(store, webhooks)
    dialect = StripeDialect(account, given.secret_key, given.publishable_key)

    def body_of(event_id: str) -> str | None:
        event = store.get("event", event_id)
        return event_body(public(event)) if event else None

    app = standin_app(
        Exchange(store, dialect),
        webhooks,
        [common_control(store, webhooks, body_of), stripe_control(account)],
    )
    serve(app, given.port)


if __name__ == "__main__":
    main()
