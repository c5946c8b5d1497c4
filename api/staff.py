"""Staff at work: whoever reaches what belongs to somebody else is written down first, then served.

The row is committed before the call does anything, so a call that cannot be logged is not served (503). It says what
was asked for; what came of it stands in the books and saga logs under the same actor.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Request
from starlette.requests import HTTPConnection

from api.auth import Caller, CurrentCaller, Role
from api.middleware import route_of
from api.services import CurrentServices, Services, services_of
from api.shapes import JobIdPath
from contracts.cards import without_card_numbers
from contracts.errors import Code, EchoError
from contracts.ids import JobId
from contracts.text import storable
from db import staff as staff_log
from db.jobs import get_job

LOGGED_CHARS_MAX = 2_000
"""Of a request's body: enough for every request that staff can make."""


def staff(*roles: Role) -> Any:
    """Dependency: the caller, who must have one of `roles`, and whose call is in the log of staff."""

    async def logged(request: Request, caller: CurrentCaller, services: CurrentServices) -> Caller:
        if not caller.has(*roles):
            raise EchoError(Code.FORBIDDEN, fields={"roles": ", ".join(roles)})
        await log_call(services, request, caller, (await request.body()).decode(errors="replace"))
        return caller

    return Depends(logged)


async def log_reader(connection: HTTPConnection, job_id: str, caller: Caller) -> None:
    """Log staff who are about to read somebody else's job; everybody else passes unseen."""
    if caller.staff_role is None:
        return
    services = services_of(connection)
    async with services.database.read() as session:
        job = await get_job(session, JobId(job_id))
    if job is not None and job.user_id != caller.user_id:
        await log_call(services, connection, caller)


async def job_reader(request: Request, job_id: JobIdPath, caller: CurrentCaller) -> Caller:
    await log_reader(request, job_id, caller)
    return caller


JobReader = Annotated[Caller, Depends(job_reader)]
"""The caller of a route that staff may use on the jobs of others."""


async def log_call(services: Services, connection: HTTPConnection, caller: Caller, body: str = "") -> None:
    """One row, committed on return. `caller` is staff; `body` is what they said, as far as it may be kept."""
    assert caller.staff_role, "only staff is logged here"
    detail = dict(connection.query_params.items())
    if body:
        detail["body"] = without_card_numbers(body)[:LOGGED_CHARS_MAX]
    async with services.database.transaction() as session:
        await staff_log.append(
            session,
            user_id=caller.user_id,
            subject=caller.subject,
            role=caller.staff_role,
            action=f"{connection.scope.get('method', 'WEBSOCKET')} {route_of(connection.scope)}",
            object_=storable(" ".join(map(str, connection.path_params.values()))),
            detail={storable(name): storable(value) for name, value in detail.items()},
            request_id=connection.state.request_id,
        )
