"""`/v1/jobs/{id}/result` and `/thumbnail`: the finished files, by presigned URLs straight from the store."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Query, Response
from fastapi.responses import JSONResponse, RedirectResponse

from api.auth import Caller, CurrentCaller
from api.jobs import schemas
from api.jobs.reading import own_job
from api.problems import responses
from api.services import CurrentServices, Services
from api.shapes import JobIdPath
from contracts.errors import Code, EchoError
from contracts.jobs import JobStatus
from contracts.media import Thumbnail
from db import tables, videos
from db.tables import VideoState

router = APIRouter(prefix="/jobs", tags=["jobs"])

COMMON = (Code.UNAUTHENTICATED, Code.NOT_FOUND, Code.VALIDATION_FAILED)
LOCATION_HEADER = {"Location": {"schema": {"type": "string", "format": "uri"}}}


@router.get(
    "/{job_id:id}/result",
    response_model=schemas.Result,
    summary="The finished video",
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
    accept: Annotated[str, Header()] = "*/*",
) -> Response:
    video = await _result_video(services, job_id, caller)
    presigned = services.presigner.get(video.object_key, _result_name(video.filename), video.content_type)
    if "application/json" not in accept:
        return RedirectResponse(presigned.url, 302, headers={"Cache-Control": "no-store"})
    thumbnails = [
        schemas.ThumbnailLink(
            at_percent=thumbnail.at_percent,
            url=_thumbnail_url(services, thumbnail),
            width=thumbnail.width,
            height=thumbnail.height,
        )
        for thumbnail in video.thumbnails or ()
    ]
    assert video.verified_sha256
    assert video.info
    assert video.manifest_key
    manifest = services.presigner.get(video.manifest_key, "manifest.json", "application/json")
    body = schemas.Result(
        video_id=video.id,
        url=presigned.url,
        expires_at=presigned.expires_at,
        bytes=video.bytes,
        sha256=video.verified_sha256,
        info=video.info,
        manifest_url=manifest.url,
        thumbnails=tuple(thumbnails),
    )
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
    video = await _result_video(services, job_id, caller)
    for candidate in video.thumbnails or ():
        if candidate.at_percent == at:
            url = _thumbnail_url(services, candidate)
            return RedirectResponse(url, 302, headers={"Cache-Control": "no-store"})
    raise EchoError(Code.NOT_FOUND, f"job {job_id} has no thumbnail at {at} percent")


async def _result_video(services: Services, job_id: str, caller: Caller) -> tables.Video:
    async with services.database.read() as session:
        job = await own_job(session, job_id, caller)
        if job.status is not JobStatus.SUCCEEDED:
            code = Code.JOB_STATE_CONFLICT if job.status.settled else Code.RESULT_NOT_READY
            raise EchoError(code, f"job {job_id}", {"state": job.status})
        assert job.result_video_id, "a job succeeds together with its result"
        video = await videos.get_video(session, job.user_id, job.result_video_id)
    if video is None or video.state is VideoState.DELETED:
        raise EchoError(Code.RESULT_EXPIRED, f"the result of job {job_id} is deleted")
    return video


def _thumbnail_url(services: Services, thumbnail: Thumbnail) -> str:
    artifact = thumbnail.artifact
    return services.presigner.get(
        artifact.key, f"thumbnail-{thumbnail.at_percent}.jpg", artifact.content_type
    ).url


def _result_name(filename: str) -> str:
    return f"{filename.rpartition('.')[0] or filename}-echoshot.mp4"
