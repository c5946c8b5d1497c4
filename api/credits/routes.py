"""`/v1/credits`: what a user has, had and spent. `/v1/pricing`: what things cost."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query

from api.auth import CurrentCaller
from api.credits import schemas
from api.problems import responses
from api.services import CurrentServices
from contracts.errors import Code
from contracts.kinds import KINDS
from contracts.ledger import Balance
from contracts.pricing import CHARGE_KRW_PER_CREDIT, PerMinute, PerPiece
from contracts.refunds import REFUND_MATRIX
from db import ledger, purchases, statements

router = APIRouter(tags=["credits"])


@router.get("/credits/balance", summary="Credits", responses=responses(Code.UNAUTHENTICATED))
async def balance(caller: CurrentCaller, services: CurrentServices) -> Balance:
    """`available` can be spent, `held` is promised to running jobs."""
    async with services.database.read() as session:
        return await ledger.balance(session, caller.user_id)


@router.get(
    "/credits/history",
    summary="Transfers",
    responses=responses(Code.UNAUTHENTICATED, Code.CURSOR_INVALID, Code.VALIDATION_FAILED),
)
async def history(
    query: Annotated[schemas.HistoryQuery, Query()], caller: CurrentCaller, services: CurrentServices
) -> schemas.TransferPage:
    """Every grant, hold, capture and release, newest first."""
    async with services.database.read() as session:
        rows = await statements.history(session, caller.user_id, query.page)
    return schemas.TransferPage(
        data=tuple(schemas.Transfer(**asdict(entry)) for entry in rows.items), has_more=rows.has_more
    )


@router.get(
    "/credits/usage",
    summary="Credits spent",
    responses=responses(Code.UNAUTHENTICATED, Code.VALIDATION_FAILED),
)
async def usage(
    query: Annotated[schemas.UsageQuery, Query()], caller: CurrentCaller, services: CurrentServices
) -> schemas.Usage:
    """Captured credits by day or month and kind of job."""
    async with services.database.read() as session:
        lines = await statements.usage(session, caller.user_id, *query.period, query.by)
    return schemas.Usage(data=tuple(schemas.UsageLine(**asdict(line)) for line in lines))


@router.get("/pricing", summary="Prices, limits and refunds", responses=responses(Code.UNAVAILABLE))
async def pricing(services: CurrentServices) -> schemas.Pricing:
    """Needs no token."""
    settings = services.settings
    async with services.database.read() as session:
        prices = await purchases.on_sale(session, datetime.now(UTC))
    return schemas.Pricing(
        kinds=tuple(
            schemas.KindPrice(
                kind=kind.name,
                title_en=kind.title_en,
                title_ko=kind.title_ko,
                credits_per_started_minute=kind.price.credits if isinstance(kind.price, PerMinute) else None,
                credits_per_piece=kind.price.credits if isinstance(kind.price, PerPiece) else None,
            )
            for kind in KINDS.values()
        ),
        packages=tuple(
            schemas.CreditPackage(
                package=price.package,
                credits=price.credits,
                krw=price.krw,
                price_id=price.id,
                valid_to=price.valid_to,
            )
            for price in prices
        ),
        providers=settings.providers_offered,
        charge_krw_per_credit=CHARGE_KRW_PER_CREDIT,
        refund_matrix=REFUND_CASES,
        upload_bytes_max=settings.upload_bytes_max,
        single_put_bytes_max=settings.single_put_bytes_max,
        duration_s_max=settings.limits.duration_s_max,
    )


REFUND_CASES = tuple(
    schemas.RefundCase(**dict(rule), text_en=rule.words.en, text_ko=rule.words.ko) for rule in REFUND_MATRIX
)
