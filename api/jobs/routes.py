"""`/v1/jobs`: take on, watch, cancel and fetch."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Annotated

from fastapi import APIRouter, Header, Response
from sqlalchemy.ext.asyncio import AsyncSession

from api.auth import Caller, CurrentCaller, Customer, Role, require
from api.idempotency import IDEMPOTENCY_CODES, REPLAYED_HEADER, CurrentOnce, Reply
from api.jobs import schemas
from api.jobs.charging import charged_job, new_job
from api.jobs.creating import Opened, open_requested, upload_target
from api.jobs.reading import own_job, readable_job
from api.jobs.starting import start
from api.jobs.view import CurrentLocale, job_view
from api.links import CurrentLinks, Links, workflow_ui_url
from api.owner_view import steps_for_owner
from api.problems import responses
from api.services import CurrentServices, Services
from api.shapes import JobIdPath
from api.staff import JobReader
from contracts.errors import Code, EchoError
from contracts.ids import JobId, job_workflow_id, purchase_id
from contracts.jobs import Attention, JobStatus
from contracts.kinds import KINDS
from contracts.pricing import Basis, Quote
from db import progress, saga_log, tables, videos
from db.jobs import job_input
from db.tables import VideoState
from workflows import client as workflow

router = APIRouter(prefix="/jobs", tags=["jobs"])

COMMON = (Code.UNAUTHENTICATED, Code.NOT_FOUND, Code.VALIDATION_FAILED)
BODY = (Code.BAD_REQUEST, Code.PAYLOAD_TOO_LARGE)
ETAG_HEADERS = {"ETag": {"schema": {"type": "string"}, "description": "Of this state of the job."}}


@router.post(
    "",
    status_code=201,
    response_model=schemas.NewJob,
    summary="Start a job",
    responses={
        201: {"headers": {REPLAYED_HEADER: {"schema": {"type": "string", "enum": ["true"]}}}},
        **responses(
            *COMMON,
            *BODY,
            *IDEMPOTENCY_CODES,
            Code.FORBIDDEN,
            Code.CREDITS_SHORT,
            Code.VIDEO_NOT_READY,
            Code.NO_VIDEO,
            Code.NO_AUDIO,
            Code.RANGE_OUTSIDE,
            Code.CLIP_LONGER_THAN_VIDEO,
            Code.UPLOAD_TOO_LARGE,
            Code.TOO_LONG,
            Code.PROVIDER_NOT_OFFERED,
            Code.AMOUNT_TOO_SMALL,
        ),
    },
)
async def create_job(
    body: schemas.JobRequest,
    once: CurrentOnce,
    caller: Customer,
    services: CurrentServices,
    links: CurrentLinks,
    locale: CurrentLocale,
) -> Response:
    """Holds the quoted credits, or charges a card for them, and says where to upload. Then send the file, and `PATCH`
    the `ingested_url`.

    With `video_id`, or with the SHA-256 of a video that you already have, there is nothing to upload. A job that is
    paid by card waits for its payment; when it ends without a result, what `funding.refund_to` says is done.
    """
    opened: list[Opened] = []
    charge = purchase_id(caller.user_id, once.key)

    async def work(session: AsyncSession) -> Reply:
        new = await open_requested(session, body, caller, charge, services.settings)
        opened.append(new)
        view = await job_view(session, new.job, links, locale)
        target = None if new.video.state is VideoState.READY else upload_target(new.video, services, links)
        return Reply(new_job(view, target, new.duplicate), headers={"Location": view.status_url})

    done = await once.perform(work)
    for new in opened:
        await start(services, job_input(new.job, new.video, services.settings.deadlines))
    if done.body["charge"] is None:
        return done.response()
    answer = await charged_job(services, schemas.NewJob.model_validate(done.body), links, locale)
    return done.response(answer.model_dump(mode="json"))


@router.post(
    "/quote",
    summary="Price of a job",
    responses=responses(Code.UNAUTHENTICATED, Code.VALIDATION_FAILED, *BODY),
)
async def quote(body: schemas.QuoteRequest, caller: CurrentCaller) -> Quote:
    """Nothing is started or held."""
    basis: Basis = "assumed" if body.duration_ms is None else "declared"
    return KINDS[body.kind].quote(body.params, body.duration_ms, basis)


@router.get(
    "/{job_id:id}",
    response_model=schemas.Job,
    summary="State of a job",
    responses={
        200: {"headers": ETAG_HEADERS},
        304: {"description": "Unchanged since the `If-None-Match` state."},
        **responses(*COMMON),
    },
)
async def get_job(
    job_id: JobIdPath,
    caller: JobReader,
    services: CurrentServices,
    links: CurrentLinks,
    locale: CurrentLocale,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    async with services.database.read() as session:
        job = await readable_job(session, job_id, caller)
        body = (await job_view(session, job, links, locale)).model_dump_json().encode()
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {"ETag": etag, "Cache-Control": "private, no-cache", "Vary": "Accept-Language, Authorization"}
    if if_none_match and etag in [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]:
        return Response(status_code=304, headers=headers)
    return Response(body, media_type="application/json", headers=headers)


@router.patch(
    "/{job_id:id}/ingested",
    summary="Announce that the upload is complete",
    responses=responses(
        *COMMON,
        Code.UPLOAD_INCOMPLETE,
        Code.JOB_SETTLED,
        Code.SIZE_MISMATCH,
        Code.STORAGE_UNAVAILABLE,
        Code.UNAVAILABLE,
    ),
)
async def announce_upload(
    job_id: JobIdPath,
    caller: CurrentCaller,
    services: CurrentServices,
    links: CurrentLinks,
    locale: CurrentLocale,
) -> schemas.Job:
    """Checks that the file is in the store with its announced size, and lets the job go on. May be repeated."""
    async with services.database.read() as session:
        job, video = await _awaiting(session, job_id, caller)
    if job.status is JobStatus.CREATED:
        await _check_stored(services, video)
        async with services.database.transaction() as session:
            await videos.mark_uploaded(session, video.id)
        # First the row, then the signal: when the signal fails, the client is told to announce again.
        given = job_input(job, video, services.settings.deadlines)
        await services.temporal.call(lambda client: workflow.start_job(client, services.settings, given))
        await services.temporal.call(lambda client: workflow.announce_upload(client, job.id))
    return await _now(services, job_id, caller, links, locale)


@router.post(
    "/{job_id:id}/upload",
    summary="A fresh upload URL",
    responses=responses(*COMMON, Code.JOB_STATE_CONFLICT, Code.JOB_SETTLED),
)
async def renew_upload(
    job_id: JobIdPath, caller: CurrentCaller, services: CurrentServices, links: CurrentLinks
) -> schemas.UploadTarget:
    """For a job that still waits for its file. Naturally idempotent: no Idempotency-Key is needed."""
    async with services.database.read() as session:
        job, video = await _awaiting(session, job_id, caller)
    if job.status is not JobStatus.CREATED or video.state is not VideoState.PENDING:
        raise EchoError(Code.JOB_STATE_CONFLICT, f"job {job_id}", {"video_state": video.state})
    return upload_target(video, services, links)


@router.post(
    "/{job_id:id}/cancel",
    status_code=202,
    summary="Cancel a job",
    responses=responses(*COMMON, Code.JOB_SETTLED, Code.UNAVAILABLE),
)
async def cancel(
    job_id: JobIdPath,
    caller: CurrentCaller,
    services: CurrentServices,
    links: CurrentLinks,
    locale: CurrentLocale,
) -> schemas.Job:
    """Asks the job to stop; its credits are released moments later. Naturally idempotent."""
    async with services.database.read() as session:
        job = await own_job(session, job_id, caller)
        video = await _source(session, job)
    if job.status is not JobStatus.CANCELED:
        _refuse_settled(job)
        given = job_input(job, video, services.settings.deadlines)
        await services.temporal.call(lambda client: workflow.cancel_job(client, services.settings, given))
    return await _now(services, job_id, caller, links, locale)


@router.post(
    "/{job_id:id}/resume",
    status_code=202,
    summary="Go on after credits were added",
    responses=responses(*COMMON, Code.JOB_SETTLED, Code.UNAVAILABLE),
)
async def resume(
    job_id: JobIdPath,
    caller: CurrentCaller,
    services: CurrentServices,
    links: CurrentLinks,
    locale: CurrentLocale,
) -> schemas.Job:
    """For a job whose `attention` is `funds`; any other active job is left alone. Naturally idempotent."""
    async with services.database.read() as session:
        job = await own_job(session, job_id, caller)
    _refuse_settled(job)
    if job.attention is Attention.FUNDS:
        await services.temporal.call(lambda client: workflow.announce_funds(client, job.id))
    return await _now(services, job_id, caller, links, locale)


@router.patch(
    "/{job_id:id}/heartbeat",
    status_code=204,
    summary="Report progress of an engine hosted elsewhere",
    responses=responses(*COMMON, *BODY, Code.FORBIDDEN, Code.JOB_SETTLED),
)
async def heartbeat(
    job_id: JobIdPath,
    body: schemas.Heartbeat,
    services: CurrentServices,
    caller: Annotated[Caller, require(Role.WORKER)],
) -> Response:
    """`job_settled` means: stop working on it. Progress never falls, so reports may repeat and overtake each other."""
    async with services.database.transaction() as session:
        if not await progress.report(session, JobId(job_id), body.stage, body.part, body.done, body.total):
            raise EchoError(Code.JOB_SETTLED, f"job {job_id}")
    return Response(status_code=204)


@router.get(
    "/{job_id:id}/saga", summary="Every step and what it did to the credits", responses=responses(*COMMON)
)
async def saga(job_id: JobIdPath, caller: JobReader, services: CurrentServices) -> schemas.Saga:
    """For the owner, support, finance and administrators."""
    async with services.database.read() as session:
        job = await readable_job(session, job_id, caller, Role.FINANCE)
        steps = await saga_log.list_steps(session, job.id)
    workflow_id = job_workflow_id(job.id)
    staff = caller.has(Role.SUPPORT, Role.FINANCE, Role.ADMIN)
    url = workflow_ui_url(services.settings, workflow_id) if staff else None
    return schemas.Saga(
        workflow_id=workflow_id, workflow_url=url, steps=tuple(steps) if staff else steps_for_owner(steps)
    )


async def _now(services: Services, job_id: str, caller: Caller, links: Links, locale: str) -> schemas.Job:
    async with services.database.read() as session:
        return await job_view(session, await own_job(session, job_id, caller), links, locale)


async def _awaiting(session: AsyncSession, job_id: str, caller: Caller) -> tuple[tables.Job, tables.Video]:
    """An active job of the caller and its source."""
    job = await own_job(session, job_id, caller)
    _refuse_settled(job)
    return job, await _source(session, job)


async def _source(session: AsyncSession, job: tables.Job) -> tables.Video:
    video = await videos.get_video(session, job.user_id, job.video_id)
    assert video is not None, "rows of videos are never deleted"
    return video


def _refuse_settled(job: tables.Job) -> None:
    if job.status.settled:
        raise EchoError(Code.JOB_SETTLED, f"job {job.id}", {"state": job.status})


async def _check_stored(services: Services, video: tables.Video) -> None:
    head = await asyncio.to_thread(services.store.head, video.object_key)
    if head is None:
        raise EchoError(Code.UPLOAD_INCOMPLETE, "nothing is stored yet")
    if head.bytes != video.bytes:
        raise EchoError(Code.SIZE_MISMATCH, fields={"announced": video.bytes, "stored": head.bytes})
