"""Writing a purchase down: what it costs, who takes the money, and that a request with the same key is the same
purchase for ever, also long after its stored answer is gone."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncSession

from api.auth import Caller
from api.payments.schemas import TokenRequest
from contracts.errors import Code, EchoError
from contracts.ids import PurchaseId
from contracts.payments import Provider, RefundTo
from contracts.pricing import PAYMENT_KRW_MIN
from contracts.settings import Settings
from db import purchase_reads, purchases
from db import tables_money as tables


async def open_token_purchase(
    session: AsyncSession, request: TokenRequest, caller: Caller, purchase_id: PurchaseId, settings: Settings
) -> tables.Purchase:
    """At today's price; a purchase that exists keeps its own."""
    found = await purchases.get(session, purchase_id)
    if found is not None:
        return await _the_same(session, found, request)
    provider = chosen(request.provider, settings)
    price = next(
        (p for p in await purchases.on_sale(session, datetime.now(UTC)) if p.package == request.package), None
    )
    if price is None:
        raise EchoError(Code.PACKAGE_UNKNOWN, fields={"package": request.package})
    refuse_small(price.krw)
    return await purchases.create(
        session,
        purchase_id=purchase_id,
        user_id=caller.user_id,
        provider=provider,
        credits=price.credits,
        amount_krw=price.krw,
        price_id=price.id,
        job_id=None,
        payment_method=request.payment_method,
        refund_to=RefundTo.CARD,
    )


def chosen(wanted: Provider | None, settings: Settings) -> Provider:
    provider = wanted or settings.payment_provider
    if provider not in settings.providers_offered:
        raise EchoError(Code.PROVIDER_NOT_OFFERED, f"{provider} is not configured", {"provider": provider})
    return provider


def refuse_small(amount_krw: int) -> None:
    if amount_krw < PAYMENT_KRW_MIN:
        raise EchoError(
            Code.AMOUNT_TOO_SMALL, fields={"amount_krw": amount_krw, "amount_krw_min": PAYMENT_KRW_MIN}
        )


async def _the_same(session: AsyncSession, found: tables.Purchase, request: TokenRequest) -> tables.Purchase:
    """Answers are kept for two days, purchases for ever: a later repeat must find its own, not pay again."""
    price = None if found.price_id is None else await purchase_reads.price(session, found.price_id)
    asked = (request.package, request.provider or found.provider, request.payment_method)
    if price is None or asked != (price.package, found.provider, found.payment_method):
        raise EchoError(Code.IDEMPOTENCY_KEY_REUSED)
    return found
