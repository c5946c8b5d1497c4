"""`/v1/admin`: what only administrators may do."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Response
from sqlalchemy.ext.asyncio import AsyncSession

from api.admin.schemas import ById, BySubject, Granted, GrantRequest
from api.auth import Caller, Role
from api.idempotency import IDEMPOTENCY_CODES, REPLAYED_HEADER, CurrentOnce, Reply
from api.problems import responses
from api.services import CurrentServices, Services
from api.staff import staff
from contracts.errors import Code, EchoError
from contracts.ids import JobId, UserId
from db import jobs
from db.settlement import grant_credits
from db.tables import User
from db.users import ensure_user, find_user, get_user
from workflows.client import announce_funds

router = APIRouter(prefix="/admin", tags=["admin"])
log = logging.getLogger("echoshot.api")


@router.post(
    "/credits/grants",
    status_code=201,
    response_model=Granted,
    summary="Grant credits to a user",
    responses={
        201: {"headers": {REPLAYED_HEADER: {"schema": {"type": "string", "enum": ["true"]}}}},
        **responses(
            Code.UNAUTHENTICATED,
            Code.FORBIDDEN,
            Code.NOT_FOUND,
            Code.BAD_REQUEST,
            Code.VALIDATION_FAILED,
            Code.PAYLOAD_TOO_LARGE,
            Code.TRANSFER_CONFLICT,
            *IDEMPOTENCY_CODES,
        ),
    },
)
async def grant(
    body: GrantRequest,
    caller: Annotated[Caller, staff(Role.ADMIN)],
    once: CurrentOnce,
    services: CurrentServices,
) -> Response:
    """Jobs of the user that wait for credits go on at once."""
    granted: list[UserId] = []

    async def work(session: AsyncSession) -> Reply:
        user = await _user(session, body.user, services.settings.oidc_issuer)
        balance = await grant_credits(
            session,
            user_id=user.id,
            credits=body.credits,
            bucket=body.bucket,
            key=once.key,
            actor=caller.actor,
            reason=body.reason,
        )
        granted.append(user.id)
        return Reply(Granted(user_id=user.id, credits=body.credits, bucket=body.bucket, balance=balance))

    answer = await once.run(work)
    for user_id in granted:
        await _tell_waiting_jobs(services, user_id)
    return answer


async def _tell_waiting_jobs(services: Services, user_id: UserId) -> None:
    """The grant is committed, so the answer is 201 whatever happens here: an untold job looks for itself in a while."""
    try:
        async with services.database.read() as session:
            waiting = await jobs.waiting_for_funds(session, user_id)
    except EchoError as error:
        log.warning("jobs of %s are not told of their credits: %s", user_id, error)
        return
    # At once: one whose workflow is gone keeps the others from nothing, and Temporal's absence is waited for once.
    await asyncio.gather(*(_tell(services, job_id) for job_id in waiting))


async def _tell(services: Services, job_id: JobId) -> None:
    try:
        await services.temporal.call(partial(announce_funds, job_id=job_id))
    except EchoError as error:
        log.warning("job %s is not told of credits: %s", job_id, error)


async def _user(session: AsyncSession, wanted: BySubject | ById, issuer: str) -> User:
    if isinstance(wanted, BySubject):
        # `ensure_user` alone would overwrite what the user's own token has said of their address and language.
        return await find_user(session, issuer=issuer, subject=wanted.subject) or await ensure_user(
            session, issuer=issuer, subject=wanted.subject, email="", locale=""
        )
    user = await get_user(session, UserId(wanted.user_id))
    if user is None:
        raise EchoError(Code.NOT_FOUND, f"no user {wanted.user_id}")
    return user
