"""`/v1/clips`: ask for clips, watch, make one again, delete."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import APIRouter, Query, Response
from sqlalchemy.ext.asyncio import AsyncSession

from api.auth import CurrentCaller, Customer
from api.clips import schemas
from api.clips.creating import open_again, open_clips
from api.clips.reading import own_clip
from api.clips.view import clip_view, clip_views
from api.idempotency import IDEMPOTENCY_CODES, REPLAYED_HEADER, CurrentOnce, Once, Reply
from api.jobs.charging import charged_job, new_job
from api.jobs.creating import Opened
from api.jobs.schemas import NewJob
from api.jobs.starting import start
from api.jobs.view import CurrentLocale, job_view
from api.links import CurrentLinks, Links
from api.problems import responses
from api.services import CurrentServices, Services
from api.shapes import ClipIdPath, VideoIdPath
from api.videos.reading import own_video
from contracts.errors import Code, EchoError
from contracts.ids import JobId, purchase_id
from db import clips
from db.jobs import job_input
from db.tables_clips import ClipState
from storage.keys import clip_prefix

router = APIRouter(tags=["clips"])

COMMON = (Code.UNAUTHENTICATED, Code.NOT_FOUND, Code.VALIDATION_FAILED)
CREATING = (
    *COMMON, Code.BAD_REQUEST, Code.PAYLOAD_TOO_LARGE, *IDEMPOTENCY_CODES, Code.FORBIDDEN, Code.CREDITS_SHORT,
    Code.VIDEO_NOT_READY, Code.RANGE_OUTSIDE, Code.CLIP_LONGER_THAN_VIDEO, Code.NO_SUCH_HIGHLIGHT, Code.NO_AUDIO,
)  # fmt: skip
CREATED = {201: {"headers": {REPLAYED_HEADER: {"schema": {"type": "string", "enum": ["true"]}}}}}


@router.post(
    "/clips",
    status_code=201,
    response_model=schemas.NewClips,
    summary="Make clips of a video",
    responses={**CREATED, **responses(*CREATING, Code.PROVIDER_NOT_OFFERED, Code.AMOUNT_TOO_SMALL)},
)
async def create_clips(
    body: schemas.ClipRequest,
    once: CurrentOnce,
    caller: Customer,
    services: CurrentServices,
    links: CurrentLinks,
    locale: CurrentLocale,
) -> Response:
    """One highlight (`length`), one range (`start`, `end`), the best highlights (`highlights`), or a list (`clips`).

    All clips of a request are one job: their price is held (or charged) at once, taken for those that were made and
    given back for the others. What cannot be is refused before anything is held.
    """
    charge = purchase_id(caller.user_id, once.key)

    async def opened(session: AsyncSession) -> Opened:
        return await open_clips(session, body, caller, charge, services.settings)

    return await _taken_on(once, opened, services, links, locale)


@router.post(
    "/clips/{clip_id:id}/regenerate",
    status_code=201,
    response_model=schemas.NewClips,
    summary="Make a clip again",
    responses={**CREATED, **responses(*CREATING, Code.RANGE_NEEDED, Code.JOB_STATE_CONFLICT)},
)
async def regenerate(
    clip_id: ClipIdPath,
    body: schemas.AgainRequest,
    once: CurrentOnce,
    caller: Customer,
    services: CurrentServices,
    links: CurrentLinks,
    locale: CurrentLocale,
) -> Response:
    """The next best highlight (`{}`), another one, or another range. The clip itself stays.

    Costs nothing once within 24 hours of a clip that was paid for (`free_regeneration_until`), else what a clip costs,
    from the balance. One that fails leaves that right as it was.
    """
    charge = purchase_id(caller.user_id, once.key)

    async def opened(session: AsyncSession) -> Opened:
        return await open_again(session, clip_id, body, caller, charge, services.settings)

    return await _taken_on(once, opened, services, links, locale)


async def _taken_on(
    once: Once,
    open_: Callable[[AsyncSession], Awaitable[Opened]],
    services: Services,
    links: Links,
    locale: str,
) -> Response:
    """As `POST /v1/jobs` answers, with the clips beside the job."""
    opened: list[Opened] = []

    async def work(session: AsyncSession) -> Reply:
        new = await open_(session)
        opened.append(new)
        view = await job_view(session, new.job, links, locale)
        made = await clip_views(session, await clips.of_job(session, new.job.id), links, locale)
        body = schemas.NewClips(job=new_job(view, None, new.duplicate), clips=made)
        return Reply(body, headers={"Location": view.status_url})

    done = await once.perform(work)
    for new in opened:
        await start(services, job_input(new.job, new.video, services.settings.deadlines))
    if done.body["job"]["charge"] is None:
        return done.response()
    job = await charged_job(services, NewJob.model_validate(done.body["job"]), links, locale)
    async with services.database.read() as session:
        made = await clip_views(session, await clips.of_job(session, JobId(job.id)), links, locale)
    return done.response(schemas.NewClips(job=job, clips=made).model_dump(mode="json"))


@router.get(
    "/videos/{video_id:id}/clips",
    summary="Clips of a video",
    responses=responses(*COMMON, Code.CURSOR_INVALID),
)
async def list_clips(
    video_id: VideoIdPath,
    query: Annotated[schemas.ClipQuery, Query()],
    caller: CurrentCaller,
    services: CurrentServices,
    links: CurrentLinks,
    locale: CurrentLocale,
) -> schemas.ClipPage:
    """Newest first; several values of a filter mean any of them."""
    async with services.database.read() as session:
        video = await own_video(session, video_id, caller)
        rows = await clips.list_clips(
            session,
            caller.user_id,
            video.id,
            query.page,
            types=query.type,
            lengths=query.length,
            formats=query.format,
            states=[ClipState(state) for state in query.state],
        )
        views = await clip_views(session, rows.items, links, locale)
    return schemas.ClipPage(data=views, has_more=rows.has_more)


@router.get("/clips/{clip_id:id}", summary="One clip", responses=responses(*COMMON))
async def get_clip(
    clip_id: ClipIdPath,
    caller: CurrentCaller,
    services: CurrentServices,
    links: CurrentLinks,
    locale: CurrentLocale,
) -> schemas.Clip:
    async with services.database.read() as session:
        return await clip_view(session, await own_clip(session, clip_id, caller), links, locale)


@router.delete(
    "/clips/{clip_id:id}",
    status_code=204,
    summary="Delete a clip",
    responses=responses(*COMMON, Code.JOB_STATE_CONFLICT, Code.STORAGE_UNAVAILABLE),
)
async def delete_clip(clip_id: ClipIdPath, caller: CurrentCaller, services: CurrentServices) -> Response:
    """Deletes its files for good and ends its shared links. One that is pending is cancelled with its job."""
    async with services.database.transaction() as session:
        clip = await own_clip(session, clip_id, caller, lock=True)
        if clip.state is ClipState.PENDING:
            raise EchoError(Code.JOB_STATE_CONFLICT, f"clip {clip_id} is pending", {"job_id": clip.job_id})
        await clips.mark_deleted(session, clip)
        if clip.made is not None:
            # Before the commit: when the store is away nothing has happened and the request can be sent again.
            files = clip_prefix(clip.job_id, clip.position)
            await asyncio.to_thread(services.store.delete_prefix, files)
    return Response(status_code=204)
