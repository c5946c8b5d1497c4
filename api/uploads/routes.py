"""`/v1/videos/{id}/uploads`: a file sent in parts, straight to the object store, resumable at any time.

All of it is naturally idempotent, so no Idempotency-Key is asked for: opening returns the upload that is open,
signing signs again, completing what is complete answers alike.
"""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Response
from sqlalchemy.ext.asyncio import AsyncSession

from api.auth import Caller, CurrentCaller, Customer
from api.links import CurrentLinks, Links
from api.problems import responses
from api.services import CurrentServices
from api.shapes import UploadIdPath, VideoIdPath
from api.uploads.schemas import PartsRequest, PartTarget, PartTargets, StoredPart, StoredParts, Upload
from api.videos.reading import own_video
from contracts.errors import Code, EchoError
from db import tables, uploads
from storage.parts import part_bytes, part_count, part_size

router = APIRouter(prefix="/videos/{video_id:id}/uploads", tags=["uploads"])

COMMON = (Code.UNAUTHENTICATED, Code.NOT_FOUND, Code.VALIDATION_FAILED, Code.STORAGE_UNAVAILABLE)


@router.post(
    "",
    status_code=201,
    summary="Open a multipart upload, or find the open one",
    responses=responses(*COMMON, Code.FORBIDDEN, Code.JOB_STATE_CONFLICT),
)
async def open_upload(
    video_id: VideoIdPath, caller: Customer, services: CurrentServices, links: CurrentLinks
) -> Upload:
    async with services.database.read() as session:
        video = await _awaited_video(session, video_id, caller)
        upload = await uploads.get_open_upload(session, video.id)
    if upload is None:
        # Dying right after this leaves parts that `delete_prefix` removes together with the video.
        s3_id = await asyncio.to_thread(services.multipart.create, video.object_key, video.content_type)
        async with services.database.transaction() as session:
            upload = await uploads.record_upload(session, video.id, s3_id, part_bytes(video.bytes))
        if upload.s3_upload_id != s3_id:
            # A twin of this request was faster; both answer with the upload that is on record.
            await asyncio.to_thread(services.multipart.abort, video.object_key, s3_id)
    return _view(upload, video, links)


@router.post(
    "/{upload_id:id}/parts",
    summary="Sign parts",
    responses=responses(
        *COMMON, Code.BAD_REQUEST, Code.PAYLOAD_TOO_LARGE, Code.UPLOAD_NOT_FOUND, Code.JOB_STATE_CONFLICT
    ),
)
async def sign_parts(
    video_id: VideoIdPath,
    upload_id: UploadIdPath,
    body: PartsRequest,
    caller: CurrentCaller,
    services: CurrentServices,
) -> PartTargets:
    """Presigned PUT requests for the given part numbers, each bound to the length of its part."""
    async with services.database.read() as session:
        video = await _awaited_video(session, video_id, caller)
        upload = await _open(session, video, upload_id)
    signed = await asyncio.to_thread(
        services.multipart.sign_parts, video.object_key, upload.s3_upload_id, video.bytes, body.numbers
    )
    return PartTargets(
        parts=tuple(
            PartTarget(
                number=number,
                bytes=part_size(video.bytes, number),
                url=request.url,
                headers=request.headers,
                expires_at=request.expires_at,
            )
            for number, request in signed.items()
        )
    )


@router.get(
    "/{upload_id:id}/parts",
    summary="List the parts that have arrived",
    responses=responses(*COMMON, Code.UPLOAD_NOT_FOUND, Code.JOB_STATE_CONFLICT),
)
async def list_parts(
    video_id: VideoIdPath, upload_id: UploadIdPath, caller: CurrentCaller, services: CurrentServices
) -> StoredParts:
    async with services.database.read() as session:
        video = await _awaited_video(session, video_id, caller)
        upload = await _open(session, video, upload_id)
    stored = await asyncio.to_thread(services.multipart.list_parts, video.object_key, upload.s3_upload_id)
    return StoredParts(
        part_bytes=upload.part_bytes,
        parts_total=part_count(video.bytes),
        parts=tuple(StoredPart(number=part.number, bytes=part.bytes, etag=part.etag) for part in stored),
    )


@router.post(
    "/{upload_id:id}/complete",
    status_code=204,
    summary="Join the parts",
    responses=responses(*COMMON, Code.UPLOAD_NOT_FOUND, Code.UPLOAD_INCOMPLETE, Code.JOB_STATE_CONFLICT),
)
async def complete_upload(
    video_id: VideoIdPath, upload_id: UploadIdPath, caller: CurrentCaller, services: CurrentServices
) -> Response:
    """Announce the upload to its job afterwards (`PATCH /v1/jobs/{id}/ingested`)."""
    async with services.database.read() as session:
        video = await _awaited_video(session, video_id, caller)
        upload = await uploads.get_upload(session, video.id, upload_id)
    if upload is None or upload.state is tables.UploadState.ABORTED:
        raise EchoError(Code.UPLOAD_NOT_FOUND, f"no upload {upload_id}")
    await asyncio.to_thread(services.multipart.complete, video.object_key, upload.s3_upload_id, video.bytes)
    async with services.database.transaction() as session:
        await uploads.mark_completed(session, upload.id)
    return Response(status_code=204)


@router.delete(
    "/{upload_id:id}",
    status_code=204,
    summary="Abort an upload",
    responses=responses(*COMMON, Code.UPLOAD_NOT_FOUND, Code.JOB_STATE_CONFLICT),
)
async def abort_upload(
    video_id: VideoIdPath, upload_id: UploadIdPath, caller: CurrentCaller, services: CurrentServices
) -> Response:
    """Drops the parts. The job still waits: open another upload, or cancel the job."""
    async with services.database.read() as session:
        video = await _awaited_video(session, video_id, caller)
        upload = await _open(session, video, upload_id)
    await asyncio.to_thread(services.multipart.abort, video.object_key, upload.s3_upload_id)
    async with services.database.transaction() as session:
        await uploads.mark_aborted(session, upload.id)
    return Response(status_code=204)


async def _awaited_video(session: AsyncSession, video_id: str, caller: Caller) -> tables.Video:
    """The caller's video, which must still wait for its file: nobody may replace what is being checked."""
    video = await own_video(session, video_id, caller)
    if video.state is not tables.VideoState.PENDING:
        raise EchoError(Code.JOB_STATE_CONFLICT, f"video {video_id}", {"video_state": video.state})
    return video


async def _open(session: AsyncSession, video: tables.Video, upload_id: str) -> tables.Upload:
    upload = await uploads.get_upload(session, video.id, upload_id)
    if upload is None or upload.state is not tables.UploadState.OPEN:
        raise EchoError(Code.UPLOAD_NOT_FOUND, f"no open upload {upload_id}")
    return upload


def _view(upload: tables.Upload, video: tables.Video, links: Links) -> Upload:
    own = links.video(video.id, f"uploads/{upload.id}")
    return Upload(
        upload_id=upload.id,
        video_id=video.id,
        part_bytes=upload.part_bytes,
        parts_total=part_count(video.bytes),
        parts_url=f"{own}/parts",
        complete_url=f"{own}/complete",
    )
