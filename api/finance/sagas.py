"""`/v1/finance/sagas/{job_id}` and `/v1/jobs/{job_id}/receipt`: everything that is known of one saga and its money."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse

from api.auth import CurrentCaller
from api.finance.access import Finance
from api.jobs.reading import own_job
from api.owner_view import audit_for_owner
from api.problems import responses
from api.services import CurrentServices, Services
from api.shapes import JobIdPath
from contracts.errors import Code, EchoError
from contracts.finance import SagaAudit
from contracts.ids import JobId
from contracts.signing import signed, signing_key
from db import audit

router = APIRouter(tags=["finance"])

RECEIPT: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The saga with a member `signature`: a detached JWS (Ed25519) over its canonical JSON."
    },
    **responses(
        Code.UNAUTHENTICATED, Code.FORBIDDEN, Code.NOT_FOUND, Code.VALIDATION_FAILED, Code.SIGNING_UNAVAILABLE
    ),
}


@router.get(
    "/finance/sagas/{job_id}",
    summary="The audit history of one saga",
    responses=responses(Code.UNAUTHENTICATED, Code.FORBIDDEN, Code.NOT_FOUND, Code.VALIDATION_FAILED),
)
async def saga(job_id: JobIdPath, caller: Finance, services: CurrentServices) -> SagaAudit:
    """Every step with time, actor, workflow and run; transfers, provider objects, webhook events, compensations and
    the staff who looked: oldest first."""
    return await _audit(services, job_id)


@router.get("/finance/sagas/{job_id}/receipt", summary="The same, signed", responses=RECEIPT)
async def signed_saga(job_id: JobIdPath, caller: Finance, services: CurrentServices) -> Response:
    """`echoshot finance verify` checks it offline."""
    return _sign(services, await _audit(services, job_id))


@router.get(
    "/jobs/{job_id:id}/receipt", tags=["jobs"], summary="A signed receipt of the job", responses=RECEIPT
)
async def receipt(job_id: JobIdPath, caller: CurrentCaller, services: CurrentServices) -> Response:
    """What happened to the job and its credits, for its owner to keep. Staff is left out."""
    async with services.database.read() as session:
        await own_job(session, job_id, caller)
        found = await audit.saga_audit(session, JobId(job_id))
    return _sign(services, audit_for_owner(found))


async def _audit(services: Services, job_id: str) -> SagaAudit:
    async with services.database.read() as session:
        return await audit.saga_audit(session, JobId(job_id))


def _sign(services: Services, found: SagaAudit) -> Response:
    key = signing_key(services.settings.signing_key.get_secret_value())
    if key is None:
        raise EchoError(Code.SIGNING_UNAVAILABLE)
    name = f"receipt-{found.job_id}.json"
    return JSONResponse(
        signed(found.document(), key), headers={"Content-Disposition": f'attachment; filename="{name}"'}
    )
