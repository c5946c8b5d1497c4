"""`/v1/clips/{id}/download` and `/preview`: the files, by presigned URLs straight from the store."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Query, Response
from fastapi.responses import RedirectResponse

from api.auth import CurrentCaller
from api.clips.reading import clip_name, made_of, own_clip
from api.problems import responses
from api.services import CurrentServices, Services
from api.shapes import ClipIdPath
from contracts.errors import Code
from contracts.media import Artifact
from db import clips
from storage.presign import Method

router = APIRouter(prefix="/clips", tags=["clips"])

LOCATION_HEADER = {"Location": {"schema": {"type": "string", "format": "uri"}}}
CODES = (
    Code.UNAUTHENTICATED, Code.NOT_FOUND, Code.VALIDATION_FAILED, Code.RESULT_NOT_READY, Code.JOB_STATE_CONFLICT,
)  # fmt: skip


@router.get(
    "/{clip_id:id}/download",
    status_code=302,
    response_class=RedirectResponse,
    summary="The clip",
    responses={
        302: {"description": "To a presigned URL that honours Range.", "headers": LOCATION_HEADER},
        **responses(*CODES),
    },
)
async def download(clip_id: ClipIdPath, caller: CurrentCaller, services: CurrentServices) -> Response:
    async with services.database.read() as session:
        clip = await own_clip(session, clip_id, caller)
        made, standing = made_of(clip), (await clips.standings(session, [clip]))[clip.id]
    return to_file(services, made.video, clip_name(standing.filename, made))


@router.get(
    "/{clip_id:id}/preview",
    status_code=302,
    response_class=RedirectResponse,
    summary="A short loop of the clip, or its poster",
    responses={
        302: {
            "description": "To a presigned URL of an animated WebP of three seconds; with `poster=true`, or for who "
            "accepts JPEG but no WebP, of a JPEG.",
            "headers": LOCATION_HEADER,
        },
        **responses(*CODES),
    },
)
async def preview(
    clip_id: ClipIdPath,
    caller: CurrentCaller,
    services: CurrentServices,
    poster: Annotated[bool, Query(description="The still instead of the loop.")] = False,
    accept: Annotated[str, Header()] = "*/*",
) -> Response:
    async with services.database.read() as session:
        made = made_of(await own_clip(session, clip_id, caller))
    if poster or ("image/jpeg" in accept and "image/webp" not in accept):
        return to_file(services, made.poster, "poster.jpg")
    return to_file(services, made.preview, "preview.webp")


def to_file(services: Services, file: Artifact, name: str, method: Method = "GET") -> Response:
    url = services.presigner.get(file.key, name, file.content_type, method).url
    return RedirectResponse(url, 302, headers={"Cache-Control": "no-store"})
