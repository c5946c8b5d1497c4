"""Taking a job on: its source, its price, its hold and its upload, in one transaction."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from api.auth import Caller
from api.jobs import schemas
from api.links import Links
from api.payments.opening import chosen, refuse_small
from api.services import Services
from contracts import pricing
from contracts.errors import Code, EchoError
from contracts.ids import JobId, PurchaseId, UserId, VideoId
from contracts.kinds import KINDS, needs
from contracts.pricing import Quote
from contracts.settings import Settings
from db import purchases, tables, tables_money, videos
from db.ids import new_id
from db.jobs import get_job
from db.settlement import open_job
from db.tables import VideoState
from db.users import get_user
from storage.keys import source_key


@dataclass(frozen=True)
class Opened:
    job: tables.Job
    video: tables.Video
    duplicate: bool


async def open_requested(
    session: AsyncSession,
    request: schemas.JobRequestBase,
    caller: Caller,
    purchase_id: PurchaseId,
    settings: Settings,
    quote: Quote | None = None,
) -> Opened:
    """Hold the credits, or write the charge down as `purchase_id`, and write the job. CREDITS_SHORT, and every other
    error, leaves nothing behind. `quote`: a price other than the kind's own."""
    known = await purchases.get(session, purchase_id)
    if known is not None:
        return await _the_same(session, known, request)
    duplicate = False
    if isinstance(request.source, schemas.ExistingVideo):
        video = await existing(session, request.source.video_id, caller.user_id)
    else:
        upload = request.source.upload
        found = await videos.find_duplicate(session, caller.user_id, upload.sha256) if upload.sha256 else None
        duplicate = found is not None
        video = found or await _announced(session, upload, caller.user_id, settings)
    if video.info is not None:
        needs.judge(KINDS[request.kind], video.info)
        KINDS[request.kind].refuse_impossible(request.params, video.info)
    user, job_id = await _user(session, caller), JobId(new_id("job"))
    quote = quote or quote_of(request, video)
    charge = None
    if isinstance(request.funding, schemas.ByCharge):
        charge = await _charge(session, request.funding, user, quote, job_id, purchase_id, settings)
    job = await open_job(
        session,
        user=user,
        kind=request.kind,
        params=request.params.model_dump(mode="json"),
        video=video,
        quote=quote,
        uploaded=video.state is VideoState.READY,
        job_id=job_id,
        purchase_id=charge.id if charge else None,
    )
    return Opened(job, video, duplicate)


async def _charge(
    session: AsyncSession,
    funding: schemas.ByCharge,
    user: tables.User,
    quote: Quote,
    job_id: JobId,
    purchase_id: PurchaseId,
    settings: Settings,
) -> tables_money.Purchase:
    """What the card will pay for the job."""
    provider = chosen(funding.provider, settings)
    amount_krw = quote.credits * pricing.CHARGE_KRW_PER_CREDIT
    refuse_small(amount_krw)
    return await purchases.create(
        session,
        purchase_id=purchase_id,
        user_id=user.id,
        provider=provider,
        credits=quote.credits,
        amount_krw=amount_krw,
        price_id=None,
        job_id=job_id,
        payment_method=funding.payment_method,
        refund_to=funding.refund_to,
    )


async def _the_same(
    session: AsyncSession, known: tables_money.Purchase, request: schemas.JobRequestBase
) -> Opened:
    """Answers are kept for two days, charges for ever: a later repeat must find its job, not pay again."""
    job = await get_job(session, known.job_id) if known.job_id else None
    video = None if job is None else await videos.get_video(session, job.user_id, job.video_id)
    if (
        job is None
        or video is None
        or (job.kind, job.params) != (request.kind, request.params.model_dump(mode="json"))
        or not _is_source(video, request.source)
        or not _is_charge(known, request.funding)
    ):
        raise EchoError(Code.IDEMPOTENCY_KEY_REUSED)
    return Opened(job, video, duplicate=False)


def _is_source(video: tables.Video, source: schemas.NewUpload | schemas.ExistingVideo) -> bool:
    if isinstance(source, schemas.ExistingVideo):
        return source.video_id == video.id
    upload = source.upload
    if upload.sha256 is not None and upload.sha256 == video.sha256:
        return True  # perhaps of another name: the job took a video that the user had
    asked = (upload.filename, upload.bytes, upload.content_type)
    return upload.sha256 is None and asked == (video.filename, video.bytes, video.content_type)


def _is_charge(known: tables_money.Purchase, funding: schemas.Funding) -> bool:
    """Without a provider in the request it was the platform's choice of then."""
    if not isinstance(funding, schemas.ByCharge):
        return False
    asked = (funding.payment_method, funding.provider or known.provider, funding.refund_to)
    return asked == (known.payment_method, known.provider, known.refund_to)


def quote_of(request: schemas.JobRequestBase, video: tables.Video) -> Quote:
    kind = KINDS[request.kind]
    if video.info is not None:
        return kind.measured(request.params, video.info)
    return kind.quote(request.params, video.duration_ms, "declared" if video.duration_ms else "assumed")


def upload_target(video: tables.Video, services: Services, links: Links) -> schemas.UploadTarget:
    """A presigned PUT for a file of moderate size, and the address of the multipart upload for any size."""
    multipart_url = links.video(video.id, "uploads")
    if video.bytes > services.settings.single_put_bytes_max:
        return schemas.UploadTarget(
            video_id=video.id, url=None, headers={}, expires_at=None, multipart_url=multipart_url
        )
    put = services.presigner.put(video.object_key, video.bytes, video.content_type)
    return schemas.UploadTarget(
        video_id=video.id,
        url=put.url,
        headers=put.headers,
        expires_at=put.expires_at,
        multipart_url=multipart_url,
    )


async def _user(session: AsyncSession, caller: Caller) -> tables.User:
    user = await get_user(session, caller.user_id)
    if user is None:
        raise EchoError(Code.UNAUTHENTICATED, f"user {caller.user_id} is gone")
    return user


async def existing(session: AsyncSession, video_id: str, user_id: UserId) -> tables.Video:
    """A checked video of the user, which nobody deletes before this transaction ends."""
    video = await videos.get_video(session, user_id, VideoId(video_id), keep=True)
    if video is None or video.state is VideoState.DELETED:
        raise EchoError(Code.NOT_FOUND, f"no video {video_id}")
    if video.state is VideoState.REJECTED:
        raise EchoError(Code(video.rejected_code or Code.CORRUPT), f"video {video_id} was rejected")
    if video.state is not VideoState.READY:
        raise EchoError(Code.VIDEO_NOT_READY, f"video {video_id}", {"video_state": video.state})
    return video


async def _announced(
    session: AsyncSession, upload: schemas.UploadSpec, user_id: UserId, settings: Settings
) -> tables.Video:
    if upload.bytes > settings.upload_bytes_max:
        raise EchoError(Code.UPLOAD_TOO_LARGE, fields={"bytes_max": settings.upload_bytes_max})
    if upload.duration_ms and upload.duration_ms > settings.limits.duration_s_max * 1000:
        raise EchoError(Code.TOO_LONG, fields={"duration_s_max": settings.limits.duration_s_max})
    video_id = VideoId(new_id("vid"))
    return await videos.create_source(
        session,
        user_id=user_id,
        filename=upload.filename,
        content_type=upload.content_type,
        bytes_=upload.bytes,
        sha256=upload.sha256,
        object_key=source_key(user_id, video_id),
        duration_ms=upload.duration_ms,
        video_id=video_id,
    )
