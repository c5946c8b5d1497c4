"""Every event once, in order, without card data, and found again by the purchase that it is about."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from contracts.ids import PurchaseId
from contracts.payments import Provider, ProviderEvent
from db import inbox
from db.engine import Database
from tests.books import a_user, run_sql
from tests.purchases import a_purchase


def an_event(id_: str, object_ref: str = "", purchase_id: PurchaseId | None = None) -> ProviderEvent:
    return ProviderEvent(
        provider=Provider.STRIPE,
        event_id=id_,
        type="payment_intent.succeeded",
        occurred_at=datetime(2026, 11, 21, tzinfo=UTC),
        object_ref=object_ref,
        purchase_id=purchase_id,
    )


async def test_an_event_is_kept_once_and_delivered_once(database: Database) -> None:
    async with database.transaction() as session:
        assert await inbox.receive(session, an_event("evt_1"), {})
        assert not await inbox.receive(session, an_event("evt_1"), {"other": "body"})
        assert await inbox.receive(session, an_event("evt_2"), {})
        assert [event.event_id for event, _ in await inbox.undelivered(session, 10)] == ["evt_1", "evt_2"]
        await inbox.mark(session, Provider.STRIPE, "evt_1", "delivered")
        await inbox.mark(session, Provider.STRIPE, "evt_1", "unknown")
        assert [event.event_id for event, _ in await inbox.undelivered(session, 10)] == ["evt_2"]
    rows = await run_sql(database, "SELECT outcome FROM webhook_inbox ORDER BY event_id")
    assert [row.outcome for row in rows] == ["delivered", None]


async def test_an_event_finds_its_purchase_by_name_or_by_payment_and_strangers_find_none(
    database: Database,
) -> None:
    user = await a_user(database)
    purchase = await a_purchase(database, user)
    assert purchase.provider_ref is not None
    async with database.transaction() as session:
        await inbox.receive(session, an_event("evt_1", "pi_new", purchase.id), {})
        await inbox.receive(session, an_event("evt_2", purchase.provider_ref), {})
        await inbox.receive(session, an_event("evt_3", "pi_stranger", PurchaseId("pur_stranger")), {})
        await inbox.receive(session, an_event("evt_4"), {})
        found = [(event.event_id, about and about.id) for event, about in await inbox.undelivered(session)]
        about = [event.event_id for event in await inbox.of_purchase(session, purchase)]
    assert found == [("evt_1", purchase.id), ("evt_2", purchase.id), ("evt_3", None), ("evt_4", None)]
    assert about == ["evt_1", "evt_2"]


async def test_nothing_that_names_the_payer_or_the_card_is_kept(database: Database) -> None:
    payload = {
        "id": "evt_1",
        "data": {
            "object": {
                "id": "pi_1",
                "amount": 10_000,
                "client_secret": "pi_1_secret_x",
                "receipt_email": "kim@example.com",
                "charges": [
                    {"id": "ch_1", "payment_method_details": {"card": {"last4": "4242"}}, "amount": 10_000}
                ],
            }
        },
    }
    async with database.transaction() as session:
        await inbox.receive(session, an_event("evt_1", "pi_1"), payload)
    (row,) = await run_sql(database, "SELECT payload FROM webhook_inbox")
    kept = json.dumps(row.payload)
    assert all(word not in kept for word in ("4242", "secret", "kim@"))
    assert row.payload["data"]["object"]["charges"] == [{"id": "ch_1", "amount": 10_000}]
