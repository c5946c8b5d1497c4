"""`/v1/finance/reconciliations`: start one, read what it found as JSON, CSV or a page with charts."""

from __future__ import annotations

import csv
import io
import json
from datetime import datetime
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import HTMLResponse
from sqlalchemy.ext.asyncio import AsyncSession

from api.finance import schemas
from api.finance.access import Finance
from api.finance.report import age_s, page
from api.idempotency import IDEMPOTENCY_CODES, CurrentOnce, Reply
from api.links import CurrentLinks
from api.problems import locale_of, responses
from api.services import CurrentServices
from api.shapes import ReconciliationIdPath
from contracts.errors import Code
from contracts.finance import WHAT_TO_DO, Difference, Reconciled, ReconcileRequest, UnderWay, suggested_legs
from db import money_by_day, reconciliations
from db.ids import new_id
from workflows.client import start_reconciliation

router = APIRouter(prefix="/finance/reconciliations", tags=["finance"])

CODES = (Code.UNAUTHENTICATED, Code.FORBIDDEN, Code.VALIDATION_FAILED)


@router.post(
    "",
    status_code=202,
    response_model=schemas.Started,
    summary="Compare the books with the providers now",
    responses=responses(
        *CODES, Code.BAD_REQUEST, Code.PAYLOAD_TOO_LARGE, *IDEMPOTENCY_CODES, Code.UNAVAILABLE
    ),
)
async def start(
    body: schemas.ReconcileStart,
    caller: Finance,
    once: CurrentOnce,
    services: CurrentServices,
    links: CurrentLinks,
) -> Response:
    """Providers' statements and payouts, purchases, ledger and sagas, laid side by side. Runs daily by itself, too."""

    async def work(_: AsyncSession) -> Reply:
        report_id = new_id("rec")
        request = ReconcileRequest(reconciliation_id=report_id, days=body.days, requested_by=caller.actor)
        # Within the transaction: an answer that names a report is kept only once its workflow runs.
        await services.temporal.call(
            partial(start_reconciliation, settings=services.settings, request=request)
        )
        url = f"{links.base}/finance/reconciliations/{report_id}"
        return Reply(schemas.Started(reconciliation_id=report_id, status_url=url), 202, {"Location": url})

    return await once.run(work)


@router.get("", summary="Reconciliations", responses=responses(*CODES, Code.CURSOR_INVALID))
async def history(
    query: Annotated[schemas.ReconciliationQuery, Query()], caller: Finance, services: CurrentServices
) -> schemas.ReportPage:
    """Newest first."""
    async with services.database.read() as session:
        rows = await reconciliations.page_of(session, query.page)
    return schemas.ReportPage(data=tuple(map(_summary, rows.items)), has_more=rows.has_more)


@router.get(
    "/{reconciliation_id}",
    response_model=schemas.Report,
    summary="What one reconciliation found",
    responses={
        200: {
            "content": {
                "text/csv": {"schema": {"type": "string"}},
                "text/html": {"schema": {"type": "string"}},
            }
        },
        **responses(*CODES, Code.NOT_FOUND),
    },
)
async def report(
    request: Request,
    reconciliation_id: ReconciliationIdPath,
    caller: Finance,
    services: CurrentServices,
    format: Annotated[Literal["json", "csv", "html"], Query()] = "json",
) -> Response:
    """Every difference with its kind, age, amount and what to do about it. `format=html` has charts."""
    locale = locale_of(request)
    async with services.database.read() as session:
        found = await reconciliations.get(session, reconciliation_id)
        if format == "html":
            days = await money_by_day.in_period(session, found.period_from, found.period_to)
            return HTMLResponse(page(found, days, locale))
    if format == "csv":
        name = f"{reconciliation_id}.csv"
        return Response(
            _csv(found, locale),
            media_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{name}"'},
        )
    body = schemas.Report(
        id=found.reconciliation_id,
        period_from=found.period_from,
        period_to=found.period_to,
        providers=found.providers,
        jobs_compared=found.jobs_compared,
        differences=tuple(_reported(difference, locale) for difference in found.differences),
        under_way=None if found.under_way is None else _under_way(found.under_way, found.period_to),
    )
    return Response(body.model_dump_json(), media_type="application/json")


def _summary(found: Reconciled) -> schemas.ReportSummary:
    return schemas.ReportSummary(
        id=found.reconciliation_id,
        period_from=found.period_from,
        period_to=found.period_to,
        differences=len(found.differences),
        krw=sum(abs(difference.amount_krw) for difference in found.differences),
    )


def _reported(difference: Difference, locale: str) -> schemas.ReportedDifference:
    return schemas.ReportedDifference(
        difference=difference,
        age_s=age_s(difference.since),
        what_to_do=WHAT_TO_DO[difference.kind].to(locale),
        suggested_legs=suggested_legs(difference),
    )


def _under_way(coming: UnderWay, as_of: datetime) -> schemas.ReportUnderWay:
    """Aged as of the report: a payment that was under way then has probably arrived since."""
    return schemas.ReportUnderWay(
        payments=coming.payments,
        amount_krw=coming.amount_krw,
        stages=coming.stages,
        oldest=tuple(
            schemas.ReportedUnderWay(payment=payment, age_s=age_s(payment.since, as_of))
            for payment in coming.oldest
        ),
    )


def _csv(found: Reconciled, locale: str) -> str:
    buffer = io.StringIO()
    fields = [*Difference.model_fields, "age_s", "what_to_do", "suggested_legs"]
    lines = csv.DictWriter(buffer, fields)
    lines.writeheader()
    for difference in found.differences:
        reported = _reported(difference, locale)
        row: dict[str, Any] = difference.model_dump(mode="json")
        legs = [leg.model_dump(mode="json", exclude_none=True) for leg in reported.suggested_legs]
        lines.writerow(
            {
                **row,
                "age_s": reported.age_s,
                "what_to_do": reported.what_to_do,
                # As `POST /v1/finance/corrections` takes them.
                "suggested_legs": json.dumps(legs) if legs else "",
            }
        )
    return buffer.getvalue()
