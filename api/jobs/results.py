"""`/v1/jobs/{id}/result` and `/thumbnail`: the finished files, by presigned URLs straight from the store."""

from __future__ import annotations

import posixpath
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Response
from fastapi.responses import JSONResponse, RedirectResponse
from sqlalchemy.ext.asyncio import AsyncSession

from api.auth import Caller, CurrentCaller
from api.jobs import schemas
from api.jobs.reading import own_job
from api.links import CurrentLinks, Links, download_name
from api.problems import responses
from api.services import CurrentServices, Services
from api.shapes import JobIdPath
from contracts.errors import Code, EchoError
from contracts.jobs import JobStatus
from contracts.kinds import KINDS
from contracts.media import Thumbnail
from db import results, tables, videos
from storage.presign import Presigned

router = APIRouter(prefix="/jobs", tags=["jobs"])

COMMON = (Code.UNAUTHENTICATED, Code.NOT_FOUND, Code.VALIDATION_FAILED)
LOCATION_HEADER = {"Location": {"schema": {"type": "string", "format": "uri"}}}


@router.get(
    "/{job_id:id}/result",
    response_model=schemas.VideoResult | schemas.ProductResult,
    summary="What a job has made",
    responses={
        200: {"description": "With `Accept: application/json`: where the files are, and what is in them."},
        302: {"description": "To a presigned URL that honours Range.", "headers": LOCATION_HEADER},
        **responses(*COMMON, Code.RESULT_NOT_READY, Code.JOB_STATE_CONFLICT, Code.RESULT_EXPIRED),
    },
)
async def result(
    job_id: JobIdPath,
    caller: CurrentCaller,
    services: CurrentServices,
    links: CurrentLinks,
    accept: Annotated[str, Header()] = "*/*",
) -> Response:
    """A finished video; of kinds that make none, what they have found or made, as a file and as JSON."""
    async with services.database.read() as session:
        job, row, video = await _result(session, job_id, caller)
    # Videos keep the name that they have had before there were other results.
    name = "echoshot.mp4" if video is not None else posixpath.basename(row.key)
    file = services.presigner.get(row.key, download_name(job.filename, name), row.content_type)
    if "application/json" not in accept:
        return RedirectResponse(file.url, 302, headers={"Cache-Control": "no-store"})
    body = _view(services, links, job, row, video, file)
    return JSONResponse(body.model_dump(mode="json"), headers={"Cache-Control": "no-store"})


@router.get(
    "/{job_id:id}/thumbnail",
    status_code=302,
    response_class=RedirectResponse,
    summary="A still of the finished video",
    responses={
        302: {"description": "To a presigned URL of a JPEG.", "headers": LOCATION_HEADER},
        **responses(*COMMON, Code.RESULT_NOT_READY, Code.JOB_STATE_CONFLICT, Code.RESULT_EXPIRED),
    },
)
async def thumbnail(
    job_id: JobIdPath,
    caller: CurrentCaller,
    services: CurrentServices,
    at: Annotated[
        schemas.ThumbnailPlace, Query(description="Percent of the duration.")
    ] = schemas.ThumbnailPlace.MIDDLE,
) -> Response:
    """Only of kinds that make a video."""
    async with services.database.read() as session:
        _, _, video = await _result(session, job_id, caller)
    for candidate in (video and video.thumbnails) or ():
        if candidate.at_percent == at:
            url = _thumbnail_url(services, candidate)
            return RedirectResponse(url, 302, headers={"Cache-Control": "no-store"})
    raise EchoError(Code.NOT_FOUND, f"job {job_id} has no thumbnail at {at} percent")


async def _result(
    session: AsyncSession, job_id: str, caller: Caller
) -> tuple[tables.Job, tables.Result, tables.Video | None]:
    job = await own_job(session, job_id, caller)
    if job.status is not JobStatus.SUCCEEDED:
        code = Code.JOB_STATE_CONFLICT if job.status.settled else Code.RESULT_NOT_READY
        raise EchoError(code, f"job {job_id}", {"state": job.status})
    row = await results.get(session, job.id)
    assert row is not None, "a job succeeds together with its result"
    if row.deleted_at is not None:
        raise EchoError(Code.RESULT_EXPIRED, f"the result of job {job_id} is deleted")
    if job.result_video_id is None:
        return job, row, None
    return job, row, await videos.get_video(session, job.user_id, job.result_video_id)


def _view(
    services: Services,
    links: Links,
    job: tables.Job,
    row: tables.Result,
    video: tables.Video | None,
    file: Presigned,
) -> schemas.VideoResult | schemas.ProductResult:
    manifest = services.presigner.get(row.manifest_key, "manifest.json", "application/json")
    base = schemas.ResultBase(
        kind=job.kind,
        url=file.url,
        expires_at=file.expires_at,
        bytes=row.bytes,
        sha256=row.sha256,
        content_type=row.content_type,
        manifest_url=manifest.url,
    )
    if video is None:
        pages = {page: links.video(job.video_id, page) for page in KINDS[job.kind].pages}
        return schemas.ProductResult(**dict(base), product=_without_keys(row.product), links=pages)
    assert video.info
    thumbnails = tuple(
        schemas.ThumbnailLink(
            at_percent=thumbnail.at_percent,
            url=_thumbnail_url(services, thumbnail),
            width=thumbnail.width,
            height=thumbnail.height,
        )
        for thumbnail in video.thumbnails or ()
    )
    return schemas.VideoResult(**dict(base), video_id=video.id, info=video.info, thumbnails=thumbnails)


def _without_keys(found: Any) -> Any:
    """Files are described without their place in the store, which means nothing outside."""
    match found:
        case dict():
            hidden = {"key"} if "sha256" in found else set[str]()
            return {name: _without_keys(value) for name, value in found.items() if name not in hidden}
        case list():
            return [_without_keys(each) for each in found]
        case _:
            return found


def _thumbnail_url(services: Services, thumbnail: Thumbnail) -> str:
    artifact = thumbnail.artifact
    return services.presigner.get(
        artifact.key, f"thumbnail-{thumbnail.at_percent}.jpg", artifact.content_type
    ).url
