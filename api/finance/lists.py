"""`/v1/finance/transfers|purchases|refunds|liability|revenue`: pages of JSON, or all rows as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse

from api.finance import schemas
from api.finance.access import Finance
from api.problems import responses
from api.services import CurrentServices, Services
from api.shapes import View
from contracts.errors import Code
from db import finance_lists
from db.finance_lists import Listing
from db.pages import Page

router = APIRouter(prefix="/finance", tags=["finance"])

CODES = (Code.UNAUTHENTICATED, Code.FORBIDDEN, Code.VALIDATION_FAILED, Code.CURSOR_INVALID)
ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/csv": {"schema": {"type": "string"}}}},
    **responses(*CODES),
}
CHUNK = 64 * 1024

V = TypeVar("V", bound=View)


@router.get(
    "/transfers", response_model=schemas.ListPage[schemas.Transfer], summary="The books", responses=ANSWERS
)
async def transfers(
    query: Annotated[schemas.TransferQuery, Query()], caller: Finance, services: CurrentServices
) -> Response:
    """Every transfer, newest first. A refund takes two: its credits are reserved, then the money is paid out; `phase`
    tells them apart."""
    return await _answer(
        services, finance_lists.TRANSFERS, schemas.Transfer, query.filters, query.page, query.format
    )


@router.get(
    "/purchases", response_model=schemas.ListPage[schemas.Purchase], summary="Purchases", responses=ANSWERS
)
async def purchases(
    query: Annotated[schemas.PurchaseQuery, Query()], caller: Finance, services: CurrentServices
) -> Response:
    """Packages and charges of jobs, paid or not, newest first."""
    return await _answer(
        services, finance_lists.PURCHASES, schemas.Purchase, query.filters, query.page, query.format
    )


@router.get("/refunds", response_model=schemas.ListPage[schemas.Refund], summary="Refunds", responses=ANSWERS)
async def refunds(
    query: Annotated[schemas.RefundQuery, Query()], caller: Finance, services: CurrentServices
) -> Response:
    """By jobs, by support and by the providers' dashboards, newest first."""
    return await _answer(
        services, finance_lists.REFUNDS, schemas.Refund, query.filters, query.page, query.format
    )


@router.get(
    "/liability",
    response_model=schemas.ListPage[schemas.Lot],
    summary="What is owed to users",
    responses=ANSWERS,
)
async def liability(
    query: Annotated[schemas.LiabilityQuery, Query()], caller: Finance, services: CurrentServices
) -> Response:
    """Paid credits that are not spent yet, lot by lot, with the won that were paid for them. Promotional credits are
    no liability."""
    return await _answer(
        services, finance_lists.LIABILITY, schemas.Lot, query.filters, query.page, query.format
    )


@router.get(
    "/revenue", response_model=schemas.ListPage[schemas.Earned], summary="What was earned", responses=ANSWERS
)
async def revenue(
    query: Annotated[schemas.RevenueQuery, Query()], caller: Finance, services: CurrentServices
) -> Response:
    """Captured credits, job by job, with the won for which they had been bought (first in, first out)."""
    return await _answer(
        services, finance_lists.REVENUE, schemas.Earned, query.filters, query.page, query.format
    )


async def _answer(
    services: Services,
    listing: Listing,
    view: type[V],
    filters: Mapping[str, Any],
    page: Page,
    format: schemas.Format,
) -> Response:
    if format == "csv":
        return StreamingResponse(
            _csv(services, listing, filters),
            media_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{listing.name}.csv"'},
        )
    async with services.database.read() as session:
        rows = await finance_lists.page_of(session, listing, filters, page)
        totals = by_status = None
        if listing.by_status:
            by_status = await finance_lists.sums_by_status(session, listing, filters)
        elif listing.sums:
            totals = await finance_lists.sums_of(session, listing, filters)
    body = schemas.ListPage[Any](
        data=tuple(view.model_validate(dict(row)) for row in rows.items),
        has_more=rows.has_more,
        totals=totals,
        totals_by_status=by_status,
    )
    return Response(body.model_dump_json(), media_type="application/json")


async def _csv(services: Services, listing: Listing, filters: Mapping[str, Any]) -> AsyncIterator[bytes]:
    """RFC 4180, with a header line; moments in RFC 3339. Text that a spreadsheet would run as a formula is quoted."""
    buffer = io.StringIO()
    lines = csv.writer(buffer)
    lines.writerow(listing.columns)
    async with services.database.read() as session:
        async for row in finance_lists.every(session, listing, filters):
            lines.writerow([_cell(row[column]) for column in listing.columns])
            if buffer.tell() > CHUNK:
                yield buffer.getvalue().encode()
                buffer.seek(0)
                buffer.truncate()
    yield buffer.getvalue().encode()


def _cell(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t"):
        return "'" + value
    return value
