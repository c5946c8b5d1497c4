"""`/v1/videos/{id}/music` and `/sections`: the structure of a video's music, and its owner's corrections of it."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import APIRouter, Header, Query, Response

from api.auth import CurrentCaller
from api.links import CurrentLinks
from api.music import schemas
from api.music.view import music_view, sections_view
from api.problems import responses
from api.services import CurrentServices
from api.shapes import VideoIdPath
from api.videos.reading import own_video
from contracts.errors import Code, EchoError
from db import music

router = APIRouter(prefix="/videos/{video_id:id}", tags=["music"])

COMMON = (Code.UNAUTHENTICATED, Code.NOT_FOUND, Code.NOT_ANALYSED, Code.VALIDATION_FAILED)
ETAG_HEADERS = {"ETag": {"schema": {"type": "string"}, "description": "The version, in quotes."}}
NO_VERSION = 0
"""What an `If-Match` that is no ETag of ours names: versions begin with 1."""


@router.get("/music", summary="Structure of a video's music", responses=responses(*COMMON))
async def get_music(
    video_id: VideoIdPath, caller: CurrentCaller, services: CurrentServices, links: CurrentLinks
) -> schemas.MusicView:
    """What the latest job of kind `music` has found, with the sections as they were corrected since."""
    async with services.database.read() as session:
        video = await own_video(session, video_id, caller)
        found = await music.known(session, video.id)
    return music_view(video, found, services.presigner, links)


@router.get(
    "/sections",
    summary="Sections of a video's music",
    responses={200: {"headers": ETAG_HEADERS}, **responses(*COMMON)},
)
async def get_sections(
    video_id: VideoIdPath,
    caller: CurrentCaller,
    services: CurrentServices,
    response: Response,
    version: Annotated[
        int | None, Query(ge=1, le=schemas.VERSION_MAX, description="By default the newest, which counts.")
    ] = None,
) -> schemas.SectionsView:
    async with services.database.read() as session:
        video = await own_video(session, video_id, caller)
        found = await music.known(session, video.id, version)
    return _answer(found, response)


@router.patch(
    "/sections",
    summary="Correct the sections",
    responses={
        200: {"headers": ETAG_HEADERS},
        **responses(
            *COMMON,
            Code.BAD_REQUEST,
            Code.PAYLOAD_TOO_LARGE,
            Code.SECTIONS_INVALID,
            Code.PRECONDITION_FAILED,
            Code.PRECONDITION_REQUIRED,
        ),
    },
)
async def edit_sections(
    video_id: VideoIdPath,
    body: schemas.SectionsChange,
    caller: CurrentCaller,
    services: CurrentServices,
    response: Response,
    if_match: Annotated[str | None, Header(description="The ETag of the sections that were changed.")] = None,
) -> schemas.SectionsView:
    """Writes a new version; every earlier one is kept. Clips that are made from now on follow it.

    A section that is sent as it was keeps its confidence and energy; of any other you are certain. A section without
    a label gets that of its type in its song. Of two changes of one version only the first is written.
    """
    async with services.database.transaction() as session:
        video = await own_video(session, video_id, caller)
        if if_match is None:
            raise EchoError(Code.PRECONDITION_REQUIRED)
        etag = re.fullmatch(r'"(\d{1,9})"', if_match.strip())
        changed_from = int(etag[1]) if etag else NO_VERSION
        if isinstance(body, schemas.SectionsRestore):
            new = await music.restore_sections(session, video.id, body.restore, changed_from=changed_from)
        else:
            new = await music.edit_sections(session, video.id, body.sections, changed_from=changed_from)
    return _answer(new, response)


def _answer(found: music.Known, response: Response) -> schemas.SectionsView:
    response.headers["ETag"] = f'"{found.sections.version}"'
    response.headers["Cache-Control"] = "private, no-cache"
    return sections_view(found)
