"""Which jobs a caller may see. Whatever they may not see is not there: 404, never 403."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncSession

from api.auth import Caller, Role
from contracts.errors import Code, EchoError
from contracts.ids import JobId
from db.jobs import get_job
from db.tables import Job


async def own_job(session: AsyncSession, job_id: str, caller: Caller) -> Job:
    job = await get_job(session, JobId(job_id), user_id=caller.user_id)
    if job is None:
        raise EchoError(Code.NOT_FOUND, f"no job {job_id}")
    return job


async def readable_job(session: AsyncSession, job_id: str, caller: Caller, *staff: Role) -> Job:
    """Support and administrators (and `staff`) see every job."""
    if not caller.has(Role.SUPPORT, Role.ADMIN, *staff):
        return await own_job(session, job_id, caller)
    job = await get_job(session, JobId(job_id))
    if job is None:
        raise EchoError(Code.NOT_FOUND, f"no job {job_id}")
    return job
