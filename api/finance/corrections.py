"""`/v1/finance/corrections`: transfers by hand, which need two people of finance."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response
from sqlalchemy.ext.asyncio import AsyncSession

from api.auth import Caller, Role
from api.finance import schemas
from api.idempotency import IDEMPOTENCY_CODES, CurrentOnce, Reply
from api.problems import responses
from api.services import CurrentServices
from api.shapes import CorrectionIdPath
from api.staff import staff
from contracts.errors import Code
from contracts.finance import Correction
from db import corrections

router = APIRouter(prefix="/finance/corrections", tags=["finance"])

# Not administrators: whoever runs the platform must not be able to write its books alone.
Finance = Annotated[Caller, staff(Role.FINANCE)]
CODES = (Code.UNAUTHENTICATED, Code.FORBIDDEN, Code.VALIDATION_FAILED)
BODY = (Code.BAD_REQUEST, Code.PAYLOAD_TOO_LARGE)
DECISIONS = responses(*CODES, *BODY, Code.NOT_FOUND, Code.CORRECTION_CONFLICT, Code.CREDITS_SHORT)


@router.post(
    "",
    status_code=201,
    response_model=Correction,
    summary="Propose a correction",
    responses=responses(*CODES, *BODY, *IDEMPOTENCY_CODES, Code.CORRECTION_IMPOSSIBLE),
)
async def propose(body: schemas.CorrectionRequest, caller: Finance, once: CurrentOnce) -> Response:
    """Nothing moves until a second person approves it."""

    async def work(session: AsyncSession) -> Reply:
        return Reply(
            await corrections.propose(
                session,
                legs=body.legs,
                reason=body.reason,
                actor=caller.actor,
                kind=body.kind,
                subject=body.subject,
            )
        )

    return await once.run(work)


@router.get("", summary="Corrections", responses=responses(*CODES, Code.CURSOR_INVALID))
async def history(
    query: Annotated[schemas.CorrectionQuery, Query()], caller: Finance, services: CurrentServices
) -> schemas.CorrectionPage:
    """Newest first."""
    async with services.database.read() as session:
        rows = await corrections.page_of(session, query.page, query.status)
    return schemas.CorrectionPage(data=rows.items, has_more=rows.has_more)


@router.post("/{correction_id}/approve", summary="Approve: the transfer is written", responses=DECISIONS)
async def approve(
    correction_id: CorrectionIdPath, body: schemas.Decision, caller: Finance, services: CurrentServices
) -> Correction:
    """By another person than the one who proposed it. Saying it again changes nothing."""
    async with services.database.transaction() as session:
        return await corrections.approve(session, correction_id, caller.actor, body.note)


@router.post("/{correction_id}/reject", summary="Reject, or take back", responses=DECISIONS)
async def reject(
    correction_id: CorrectionIdPath, body: schemas.Decision, caller: Finance, services: CurrentServices
) -> Correction:
    async with services.database.transaction() as session:
        return await corrections.reject(session, correction_id, caller.actor, body.note)
