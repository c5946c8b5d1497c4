"""Webhooks as they came: each event once, kept until somebody has told the purchase's workflow about it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.ids import PurchaseId
from contracts.payments import Provider, ProviderEvent
from db.tables_money import Purchase, WebhookEvent

CARD_DATA = frozenset(
    {
        "card", "payment_method_details", "payment_method_options", "billing_details", "billing", "shipping",
        "receipt_email", "receipt_url", "client_secret", "customer", "customer_details", "method", "address", "email",
        "phone", "phoneNumber", "name", "fullName", "number", "cvc", "last4", "fingerprint",
    }
)  # fmt: skip
"""Fields of the providers' payloads that say who paid and with which card. The lookup tells what matters."""


async def receive(session: AsyncSession, event: ProviderEvent, payload: dict[str, Any]) -> bool:
    """Write a verified event down, without card data. False: it was seen before."""
    written = await session.execute(
        insert(WebhookEvent)
        .values(
            provider=event.provider,
            event_id=event.event_id,
            type=event.type,
            object_ref=event.object_ref,
            purchase_id=event.purchase_id,
            payload=without_card_data(payload),
            event_at=event.occurred_at,
        )
        .on_conflict_do_nothing(index_elements=[WebhookEvent.provider, WebhookEvent.event_id])
        .returning(WebhookEvent.event_id)
    )
    return written.first() is not None


async def undelivered(session: AsyncSession, limit: int = 100) -> list[tuple[ProviderEvent, Purchase | None]]:
    """Events that nobody was told of yet, oldest first, each with the purchase that it is about: as the event names
    it, or the one whose payment it names. None: not one of ours."""
    own = (Purchase.id == WebhookEvent.purchase_id) | (
        (Purchase.provider_ref == WebhookEvent.object_ref) & (WebhookEvent.object_ref != "")
    )
    query = (
        select(WebhookEvent, Purchase)
        .outerjoin(Purchase, (Purchase.provider == WebhookEvent.provider) & own)
        .where(WebhookEvent.delivered_at.is_(None))
        .order_by(WebhookEvent.received_at, WebhookEvent.event_id)
        .limit(limit)
    )
    return [(contract(event), purchase) for event, purchase in await session.execute(query)]


async def mark(session: AsyncSession, provider: Provider, event_id: str, outcome: str) -> None:
    """Somebody was told, or nobody needs to be; the first outcome stands."""
    await session.execute(
        update(WebhookEvent)
        .where(
            WebhookEvent.provider == provider,
            WebhookEvent.event_id == event_id,
            WebhookEvent.delivered_at.is_(None),
        )
        .values(delivered_at=func.now(), outcome=outcome)
    )


async def of_purchase(session: AsyncSession, purchase: Purchase) -> list[WebhookEvent]:
    """All events about it, in the order of their arrival."""
    by_payment = (WebhookEvent.provider == purchase.provider) & (
        WebhookEvent.object_ref == (purchase.provider_ref or "-")
    )
    query = select(WebhookEvent).where((WebhookEvent.purchase_id == purchase.id) | by_payment)
    return list(
        (await session.scalars(query.order_by(WebhookEvent.received_at, WebhookEvent.event_id))).all()
    )


def contract(event: WebhookEvent) -> ProviderEvent:
    return ProviderEvent(
        provider=event.provider,
        event_id=event.event_id,
        type=event.type,
        occurred_at=event.event_at,
        object_ref=event.object_ref,
        purchase_id=None if event.purchase_id is None else PurchaseId(event.purchase_id),
    )


def without_card_data(value: Any) -> Any:
    """The payload without every field that CARD_DATA names, at any depth."""
    if isinstance(value, dict):
        return {k: without_card_data(v) for k, v in value.items() if k not in CARD_DATA}  # pyright: ignore
    if isinstance(value, list):
        return [without_card_data(item) for item in value]  # pyright: ignore
    return value
