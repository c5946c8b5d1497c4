"""`/v1/support`: the purchases of others, without their cards, and refunds. Every call is in the log of staff."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response
from sqlalchemy.ext.asyncio import AsyncSession

from api.auth import Caller, Role
from api.idempotency import IDEMPOTENCY_CODES, REPLAYED_HEADER, CurrentOnce, Reply
from api.jobs.view import CurrentLocale
from api.payments.refunding import announce
from api.payments.schemas import PurchaseQuery
from api.problems import responses
from api.services import CurrentServices
from api.shapes import PurchaseIdPath, UserIdPath
from api.staff import staff
from api.support import schemas
from api.support.view import support_line, support_view
from contracts.errors import Code, EchoError
from contracts.ids import PurchaseId, UserId, purchase_workflow_id
from contracts.ledger import TransferOrigin
from contracts.purchases import RefundRequest, RequestRefund
from db import purchase_reads, purchases, refunds, users

router = APIRouter(prefix="/support", tags=["support"])

Support = Annotated[Caller, staff(Role.SUPPORT, Role.ADMIN)]

COMMON = (Code.UNAUTHENTICATED, Code.FORBIDDEN, Code.NOT_FOUND, Code.VALIDATION_FAILED)


@router.get("/purchases/{purchase_id:id}", summary="One purchase, for support", responses=responses(*COMMON))
async def get_purchase(
    purchase_id: PurchaseIdPath, caller: Support, services: CurrentServices, locale: CurrentLocale
) -> schemas.SupportPurchase:
    # Not read only: what can be refunded is worked out under the locks that a refund takes.
    async with services.database.transaction() as session:
        purchase = await purchases.get(session, PurchaseId(purchase_id))
        if purchase is None:
            raise EchoError(Code.NOT_FOUND, f"no purchase {purchase_id}")
        return await support_view(session, purchase, services.settings, locale)


@router.get(
    "/users/{user_id:id}/purchases",
    summary="Purchases of a user",
    responses=responses(*COMMON, Code.CURSOR_INVALID),
)
async def list_purchases(
    user_id: UserIdPath,
    query: Annotated[PurchaseQuery, Query()],
    caller: Support,
    services: CurrentServices,
    locale: CurrentLocale,
) -> schemas.SupportPage:
    """Newest first."""
    async with services.database.read() as session:
        if await users.get_user(session, UserId(user_id)) is None:
            raise EchoError(Code.NOT_FOUND, f"no user {user_id}")
        rows = await purchases.of_user(session, UserId(user_id), query.page)
        refunded = await purchase_reads.refunds_of(session, [row.id for row in rows.items])
    lines = tuple(support_line(row, refunded[row.id], locale) for row in rows.items)
    return schemas.SupportPage(data=lines, has_more=rows.has_more)


@router.post(
    "/purchases/{purchase_id:id}/refunds",
    status_code=201,
    response_model=schemas.Refunded,
    summary="Refund to the card",
    responses={
        201: {"headers": {REPLAYED_HEADER: {"schema": {"type": "string", "enum": ["true"]}}}},
        **responses(
            *COMMON,
            Code.BAD_REQUEST,
            Code.PAYLOAD_TOO_LARGE,
            Code.PAYMENT_STATE_CONFLICT,
            Code.REFUND_TOO_LARGE,
            Code.REFUND_CREDITS_SPENT,
            *IDEMPOTENCY_CODES,
        ),
    },
)
async def refund(
    purchase_id: PurchaseIdPath,
    body: schemas.RefundRequest,
    caller: Support,
    once: CurrentOnce,
    services: CurrentServices,
) -> Response:
    """At most what was paid and is not spent; without an amount, all of that. The credits are put aside at once, the
    payment service is asked next, and again until it has paid."""

    async def work(session: AsyncSession) -> Reply:
        asked = RequestRefund(
            purchase_id=PurchaseId(purchase_id),
            # The person is part of it: colleagues may choose the same key.
            key=f"support/{caller.user_id}/{once.key}",
            request=RefundRequest(
                amount_krw=body.amount_krw,
                credits=body.credits,
                reason=body.reason,
                note=body.note,
                actor=caller.actor,
            ),
        )
        origin = TransferOrigin(
            actor=caller.actor,
            step="refund",
            workflow_id=purchase_workflow_id(asked.purchase_id),
            purchase_id=purchase_id,
            reason=body.reason,
        )
        made = await refunds.request(session, asked, origin)
        return Reply(
            schemas.Refunded(
                id=made.refund_id,
                purchase_id=made.purchase_id,
                amount_krw=made.amount_krw,
                credits=made.credits,
                status=made.status,
                reason=made.reason,
            )
        )

    done = await once.perform(work)
    await announce(services, PurchaseId(purchase_id))
    return done.response()
