"""`/v1/videos`: what a user has uploaded and what has been made of it."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query, Response

from api.auth import CurrentCaller
from api.jobs.schemas import JobPage, JobQuery
from api.jobs.view import CurrentLocale, job_views
from api.links import CurrentLinks
from api.problems import responses
from api.services import CurrentServices
from api.shapes import VideoIdPath, VideoPageQuery
from api.videos.reading import own_video, video_view
from api.videos.schemas import Video, VideoPage
from contracts.errors import Code, EchoError
from db import jobs, retention, videos
from db.tables import VideoRole
from storage.keys import music_prefix, result_prefix, source_prefix

router = APIRouter(prefix="/videos", tags=["videos"])


@router.get(
    "/processed",
    summary="Finished videos",
    responses=responses(Code.UNAUTHENTICATED, Code.CURSOR_INVALID, Code.VALIDATION_FAILED),
)
async def list_processed(
    query: Annotated[VideoPageQuery, Query()],
    caller: CurrentCaller,
    services: CurrentServices,
    links: CurrentLinks,
) -> VideoPage:
    """Results, newest first."""
    async with services.database.read() as session:
        rows = await videos.list_results(session, caller.user_id, query.page)
    return VideoPage(data=tuple(video_view(video, links) for video in rows.items), has_more=rows.has_more)


@router.get(
    "/jobs",
    summary="Jobs",
    responses=responses(Code.UNAUTHENTICATED, Code.CURSOR_INVALID, Code.VALIDATION_FAILED),
)
async def list_jobs(
    query: Annotated[JobQuery, Query()],
    caller: CurrentCaller,
    services: CurrentServices,
    links: CurrentLinks,
    locale: CurrentLocale,
) -> JobPage:
    """The caller's jobs, newest first; several values of a filter mean any of them."""
    async with services.database.read() as session:
        rows = await jobs.list_jobs(
            session,
            caller.user_id,
            query.page,
            statuses=query.status,
            kinds=query.kind,
            created_from=query.created_from,
            created_to=query.created_to,
        )
        views = await job_views(session, rows.items, links, locale)
    return JobPage(data=views, has_more=rows.has_more)


@router.get(
    "/{video_id:id}",
    summary="One video",
    responses=responses(Code.UNAUTHENTICATED, Code.NOT_FOUND, Code.VALIDATION_FAILED),
)
async def get_video(
    video_id: VideoIdPath, caller: CurrentCaller, services: CurrentServices, links: CurrentLinks
) -> Video:
    async with services.database.read() as session:
        return video_view(await own_video(session, video_id, caller), links)


@router.delete(
    "/{video_id:id}",
    status_code=204,
    summary="Delete a video",
    responses=responses(
        Code.UNAUTHENTICATED,
        Code.NOT_FOUND,
        Code.VALIDATION_FAILED,
        Code.JOB_STATE_CONFLICT,
        Code.STORAGE_UNAVAILABLE,
    ),
)
async def delete_video(video_id: VideoIdPath, caller: CurrentCaller, services: CurrentServices) -> Response:
    """Deletes the file and what belongs to it for good. A source is kept while a job works on it."""
    async with services.database.transaction() as session:
        video = await own_video(session, video_id, caller)
        if not await retention.give_up_video(session, video.id):
            raise EchoError(Code.JOB_STATE_CONFLICT, "a job still needs it", {"video_id": video.id})
        if video.role is VideoRole.RESULT and video.job_id:
            prefix = result_prefix(video.job_id)
        else:
            prefix = source_prefix(caller.user_id, video.id)
        # Before the commit: when the store is away nothing has happened and the request can be sent again.
        for belonging in (prefix, music_prefix(video.id)):
            await asyncio.to_thread(services.store.delete_prefix, belonging)
    return Response(status_code=204)
