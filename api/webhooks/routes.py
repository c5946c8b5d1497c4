"""`/v1/webhooks`: what the payment providers report.

The signature is checked on the raw body; what is genuine is written down once, committed, and answered. Only then is
the purchase's workflow told: if that fails, or this process dies, the sweeper finds the row and tells it later. An
event is a hint, the workflow looks at the provider itself, so order and repetition do not matter.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from fastapi import APIRouter, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.background import BackgroundTask

from api.problems import responses
from api.services import CurrentServices, Services
from api.webhooks.verify import verify_portone, verify_stripe
from contracts.errors import Code, EchoError
from contracts.payments import Provider, ProviderEvent
from contracts.settings import Settings
from db import inbox, purchase_reads, purchases
from db import tables_money as tables
from workflows import client as workflow

router = APIRouter(prefix="/webhooks", tags=["webhooks"])
log = logging.getLogger("echoshot.api")

Verify = Callable[[bytes, Mapping[str, str], Settings], tuple[ProviderEvent, dict[str, Any]]]

CODES = (Code.WEBHOOK_SIGNATURE, Code.BAD_REQUEST, Code.PAYLOAD_TOO_LARGE, Code.UNAVAILABLE)
ANY_OBJECT = {"schema": {"type": "object", "description": "As the provider documents it."}}
SIGNED_BODY = {"requestBody": {"required": True, "content": {"application/json": ANY_OBJECT}}}


@router.post(
    "/stripe",
    summary="Events of Stripe",
    responses=responses(*CODES),
    openapi_extra=SIGNED_BODY,
)
async def stripe(request: Request, services: CurrentServices) -> Response:
    """For Stripe alone, with its `Stripe-Signature`. A repeat is answered 200 and changes nothing."""
    return await _receive(request, services, Provider.STRIPE, verify_stripe)


@router.post(
    "/portone",
    summary="Events of PortOne",
    responses=responses(*CODES),
    openapi_extra=SIGNED_BODY,
)
async def portone(request: Request, services: CurrentServices) -> Response:
    """For PortOne alone, signed by Standard Webhooks. A repeat is answered 200 and changes nothing."""
    return await _receive(request, services, Provider.PORTONE, verify_portone)


async def _receive(request: Request, services: Services, provider: Provider, verify: Verify) -> Response:
    try:
        event, payload = verify(await request.body(), request.headers, services.settings)
    except EchoError:
        services.metrics.webhooks.labels(provider, "refused").inc()
        raise
    async with services.database.transaction() as session:
        new = await inbox.receive(session, event, payload)
        purchase = await _purchase_of(session, event)
        idle = _idle(event, purchase)
        if new and idle:
            await inbox.mark(session, event.provider, event.event_id, idle)
    services.metrics.webhooks.labels(provider, "received" if new else "repeated").inc()
    if not new or idle or purchase is None:
        return Response(status_code=200)
    return Response(status_code=200, background=BackgroundTask(_deliver, services, event, purchase))


async def _purchase_of(session: AsyncSession, event: ProviderEvent) -> tables.Purchase | None:
    """Ours carry our id from their creation on, so that an event may overtake the answer that names the payment."""
    if event.purchase_id is not None:
        return await purchases.get(session, event.purchase_id)
    if event.object_ref:
        return await purchase_reads.by_provider_ref(session, event.provider, event.object_ref)
    return None


def _idle(event: ProviderEvent, purchase: tables.Purchase | None) -> str | None:
    """Why nobody needs to be told, if nobody does."""
    if purchase is None:
        return "unknown"
    if event.type == "payment_intent.created" and not purchase.status.settled:
        # Its workflow has just asked for that, and would look at the provider once more for each purchase. Once the
        # purchase is over it is news: a request for its payment has outlived it.
        return "expected"
    return None


async def _deliver(services: Services, event: ProviderEvent, purchase: tables.Purchase) -> None:
    given = purchases.purchase_input(purchase, services.settings.purchase_deadlines)
    try:
        await services.temporal.call(
            lambda client: workflow.deliver_event(client, services.settings, given, event)
        )
        async with services.database.transaction() as session:
            await inbox.mark(session, event.provider, event.event_id, "delivered")
    except EchoError as error:
        services.metrics.webhooks.labels(event.provider, "left_to_sweeper").inc()
        log.warning("event %s is left to the sweeper: %s", event.event_id, error)
