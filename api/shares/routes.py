"""`/v1/clips/{id}/share`: links to a clip, made and withdrawn by its owner."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from fastapi import APIRouter, Response
from sqlalchemy.ext.asyncio import AsyncSession

from api.auth import CurrentCaller
from api.clips.reading import made_of, own_clip
from api.idempotency import IDEMPOTENCY_CODES, REPLAYED_HEADER, CurrentOnce, Reply
from api.links import CurrentLinks, Links
from api.problems import responses
from api.services import CurrentServices
from api.shapes import ClipIdPath, ShareIdPath
from api.shares import schemas
from contracts.errors import Code, EchoError
from contracts.ids import ShareId
from db import shares
from db.tables_clips import ClipShare

router = APIRouter(prefix="/clips", tags=["clips"])

COMMON = (Code.UNAUTHENTICATED, Code.NOT_FOUND, Code.VALIDATION_FAILED)


@router.post(
    "/{clip_id:id}/share",
    status_code=201,
    response_model=schemas.Share,
    summary="Share a clip by a link",
    responses={
        201: {"headers": {REPLAYED_HEADER: {"schema": {"type": "string", "enum": ["true"]}}}},
        **responses(
            *COMMON,
            Code.BAD_REQUEST,
            Code.PAYLOAD_TOO_LARGE,
            *IDEMPOTENCY_CODES,
            Code.RESULT_NOT_READY,
            Code.JOB_STATE_CONFLICT,
            Code.RESULT_EXPIRED,
        ),
    },
)
async def share(
    clip_id: ClipIdPath,
    body: schemas.ShareRequest,
    once: CurrentOnce,
    caller: CurrentCaller,
    services: CurrentServices,
    links: CurrentLinks,
) -> Response:
    """Everybody who has the link sees the clip, without signing in, until it expires or is withdrawn."""

    async def work(session: AsyncSession) -> Reply:
        clip = await own_clip(session, clip_id, caller, lock=True)
        made_of(clip)
        if clip.expires_at is None or clip.expires_at <= datetime.now(UTC):
            raise EchoError(Code.RESULT_EXPIRED, f"clip {clip_id}")
        made = await shares.create(session, clip, timedelta(hours=body.hours))
        return Reply(_view(made, links))

    return await once.run(work)


@router.get("/{clip_id:id}/shares", summary="Links to a clip", responses=responses(*COMMON))
async def list_shares(
    clip_id: ClipIdPath, caller: CurrentCaller, services: CurrentServices, links: CurrentLinks
) -> schemas.Shares:
    async with services.database.read() as session:
        clip = await own_clip(session, clip_id, caller)
        rows = await shares.list_shares(session, clip.id)
    return schemas.Shares(data=tuple(_view(row, links) for row in rows))


@router.delete(
    "/{clip_id:id}/shares/{share_id:id}",
    status_code=204,
    summary="Withdraw a link",
    responses=responses(*COMMON),
)
async def revoke(
    clip_id: ClipIdPath, share_id: ShareIdPath, caller: CurrentCaller, services: CurrentServices
) -> Response:
    """At once and for good. May be repeated."""
    async with services.database.transaction() as session:
        clip = await own_clip(session, clip_id, caller)
        if not await shares.revoke(session, clip.id, ShareId(share_id)):
            raise EchoError(Code.NOT_FOUND, f"no link {share_id}")
    return Response(status_code=204)


def _view(share: ClipShare, links: Links) -> schemas.Share:
    return schemas.Share(
        id=share.id,
        clip_id=share.clip_id,
        url=links.share(share.token),
        created_at=share.created_at,
        expires_at=share.expires_at,
        revoked_at=share.revoked_at,
        views=share.views,
    )
