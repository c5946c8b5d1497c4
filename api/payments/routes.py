"""`/v1/payments`: buy credits, and see what was bought."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response
from sqlalchemy.ext.asyncio import AsyncSession

from api.auth import Caller, CurrentCaller, Customer
from api.idempotency import IDEMPOTENCY_CODES, REPLAYED_HEADER, CurrentOnce, Reply
from api.jobs.view import CurrentLocale
from api.links import CurrentLinks, Links
from api.payments import schemas
from api.payments.checkout import checkout_of
from api.payments.opening import open_token_purchase
from api.payments.receipts import Receipt, receipt_of
from api.payments.view import declined_view, purchase_view, purchase_views
from api.problems import responses
from api.services import CurrentServices, Services
from api.shapes import PurchaseIdPath
from contracts.errors import Code, EchoError
from contracts.ids import PurchaseId, purchase_id
from contracts.payments import PurchaseStatus
from db import purchases
from db import tables_money as tables
from workflows import client as workflow

router = APIRouter(prefix="/payments", tags=["payments"])

COMMON = (Code.UNAUTHENTICATED, Code.NOT_FOUND, Code.VALIDATION_FAILED)


@router.post(
    "/tokens",
    status_code=201,
    response_model=schemas.PurchaseCheckout,
    summary="Buy a package of credits",
    responses={
        201: {"headers": {REPLAYED_HEADER: {"schema": {"type": "string", "enum": ["true"]}}}},
        202: {
            "model": schemas.PurchaseCheckout,
            "description": "The purchase is written down and goes on by itself, but the payment service has not "
            "answered yet: ask `purchase.status_url` for the `checkout`.",
        },
        **responses(
            Code.UNAUTHENTICATED,
            Code.FORBIDDEN,
            Code.BAD_REQUEST,
            Code.PAYLOAD_TOO_LARGE,
            Code.VALIDATION_FAILED,
            Code.PACKAGE_UNKNOWN,
            Code.PROVIDER_NOT_OFFERED,
            Code.AMOUNT_TOO_SMALL,
            *IDEMPOTENCY_CODES,
        ),
    },
)
async def buy(
    body: schemas.TokenRequest,
    once: CurrentOnce,
    caller: Customer,
    services: CurrentServices,
    links: CurrentLinks,
    locale: CurrentLocale,
) -> Response:
    """The price is that of this moment. A repeat with the same key never pays twice: it is answered with the purchase
    as it is then, and a fresh `checkout`."""
    bought = purchase_id(caller.user_id, once.key)

    purchase: tables.Purchase | None = None

    async def work(session: AsyncSession) -> Reply:
        nonlocal purchase
        purchase = await open_token_purchase(session, body, caller, bought, services.settings)
        view = await purchase_view(session, purchase, links, locale)
        return Reply(view, headers={"Location": view.status_url})

    done = await once.perform(work)
    if purchase is None:  # a repeat
        purchase = await _own_purchase(services, bought, caller)
    answer = await _with_checkout(services, purchase, caller, links, locale)
    unanswered = answer.checkout is None and not answer.purchase.status.settled
    return done.response(answer.model_dump(mode="json"), 202 if unanswered else 201)


@router.get(
    "",
    summary="Purchases",
    responses=responses(Code.UNAUTHENTICATED, Code.CURSOR_INVALID, Code.VALIDATION_FAILED),
)
async def list_payments(
    query: Annotated[schemas.PurchaseQuery, Query()],
    caller: CurrentCaller,
    services: CurrentServices,
    links: CurrentLinks,
    locale: CurrentLocale,
) -> schemas.PurchasePage:
    """Packages and charged jobs, newest first."""
    async with services.database.read() as session:
        rows = await purchases.of_user(session, caller.user_id, query.page)
        views = await purchase_views(session, rows.items, links, locale)
    return schemas.PurchasePage(data=views, has_more=rows.has_more)


@router.get("/{purchase_id:id}", summary="One purchase", responses=responses(*COMMON))
async def get_payment(
    purchase_id: PurchaseIdPath,
    caller: CurrentCaller,
    services: CurrentServices,
    links: CurrentLinks,
    locale: CurrentLocale,
    response: Response,
) -> schemas.PurchaseCheckout:
    """With the `checkout` while it is not paid."""
    response.headers["Cache-Control"] = "no-store"
    purchase = await _own_purchase(services, purchase_id, caller)
    return await _with_checkout(services, purchase, caller, links, locale)


@router.post(
    "/{purchase_id:id}/cancel",
    status_code=202,
    summary="Cancel a purchase that is not paid",
    responses=responses(*COMMON, Code.PAYMENT_STATE_CONFLICT, Code.UNAVAILABLE),
)
async def cancel(
    purchase_id: PurchaseIdPath,
    caller: CurrentCaller,
    services: CurrentServices,
    links: CurrentLinks,
    locale: CurrentLocale,
) -> schemas.Purchase:
    """Cancelled at the payment service too; money that arrives all the same becomes credits. Naturally idempotent."""
    purchase = await _own_purchase(services, purchase_id, caller)
    if purchase.status.settled and purchase.status is not PurchaseStatus.CANCELED:
        raise EchoError(Code.PAYMENT_STATE_CONFLICT, f"purchase {purchase_id}", {"state": purchase.status})
    if not purchase.status.settled:
        given = purchases.purchase_input(purchase, services.settings.purchase_deadlines)
        await services.temporal.call(
            lambda client: workflow.cancel_purchase(client, services.settings, given)
        )
    async with services.database.read() as session:
        purchase = await own_purchase(session, purchase_id, caller)
        return await purchase_view(session, purchase, links, locale)


@router.get(
    "/{purchase_id:id}/receipt",
    summary="Receipt",
    responses=responses(*COMMON, Code.PAYMENT_STATE_CONFLICT),
)
async def receipt(purchase_id: PurchaseIdPath, caller: CurrentCaller, services: CurrentServices) -> Receipt:
    """Of a paid purchase, with what was refunded since; signed where the platform has a signing key."""
    async with services.database.read() as session:
        purchase = await own_purchase(session, purchase_id, caller)
        return await receipt_of(session, purchase, services.settings)


async def own_purchase(session: AsyncSession, purchase_id: str, caller: Caller) -> tables.Purchase:
    purchase = await purchases.get(session, PurchaseId(purchase_id), user_id=caller.user_id)
    if purchase is None:
        raise EchoError(Code.NOT_FOUND, f"no purchase {purchase_id}")
    return purchase


async def _own_purchase(services: Services, purchase_id: str, caller: Caller) -> tables.Purchase:
    async with services.database.read() as session:
        return await own_purchase(session, purchase_id, caller)


async def _with_checkout(
    services: Services, purchase: tables.Purchase, caller: Caller, links: Links, locale: str
) -> schemas.PurchaseCheckout:
    answer = await checkout_of(services, purchase)
    # Asked again: a card that needs no authentication is charged while the checkout is fetched.
    async with services.database.read() as session:
        purchase = await own_purchase(session, purchase.id, caller)
        view = await purchase_view(session, purchase, links, locale)
    return schemas.PurchaseCheckout(
        purchase=view,
        checkout=None if view.status.settled else answer.checkout,
        action_required=answer.action_required and not view.status.settled,
        declined=declined_view(purchase, locale),
    )
