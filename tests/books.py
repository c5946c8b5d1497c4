"""What money tests share: people with credits, jobs with holds, and the audit that ends every one of them."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any
from uuid import uuid4

from sqlalchemy import Row, text

from contracts.ids import JobId, TransferId, UserId, job_workflow_id
from contracts.jobs import JobStatus
from contracts.ledger import Bucket, TransferOrigin
from contracts.media import Artifact, Check, MediaInfo, Thumbnail, Verification, VideoInfo
from contracts.pricing import Quote
from contracts.video_job import Complete, PipelineResult, StatusChange
from db import jobs, ledger, settlement, users, videos
from db.books import check_books
from db.engine import Database
from db.tables import Job, User, Video

SHA = "ab" * 32
ORIGIN = TransferOrigin(actor="system:test", step="test")


async def assert_books_coherent(database: Database) -> None:
    async with database.read() as session:
        assert await check_books(session) == []


async def run_sql(database: Database, *statements: str, **values: Any) -> Sequence[Row[Any]]:
    """Statements of one transaction, as somebody with a SQL prompt would send them; the last one's rows."""
    async with database.transaction() as session:
        rows: Sequence[Row[Any]] = []
        for statement in statements:
            clause = text(statement)
            named = {name: values[name] for name in clause.compile().params}
            result = await session.execute(clause, named)
            rows = result.all() if result.returns_rows else []  # type: ignore[attr-defined]
        return rows


def new_transfer_id() -> TransferId:
    return TransferId(uuid4())


async def a_user(database: Database, *, promo: int = 0, paid: int = 0) -> User:
    async with database.transaction() as session:
        user = await users.ensure_user(
            session, issuer="https://test", subject=uuid4().hex, email="", locale="ko"
        )
        for bucket, credits in ((Bucket.PROMO, promo), (Bucket.PAID, paid)):
            if credits:
                await ledger.grant(session, new_transfer_id(), user.id, credits, bucket, ORIGIN)
    return user


async def a_source(database: Database, user: User) -> Video:
    async with database.transaction() as session:
        return await videos.create_source(
            session,
            user_id=user.id,
            filename="stage.mp4",
            content_type="video/mp4",
            bytes_=1000,
            sha256=None,
            object_key=f"source/{uuid4().hex}",
            duration_ms=None,
        )


def a_quote(credits: int = 10) -> Quote:
    return Quote(credits=credits, started_minutes=1, credits_per_minute=credits, basis="assumed")


async def a_job(
    database: Database, user: User, *, credits: int = 10, status: JobStatus = JobStatus.CREATED
) -> Job:
    """A job with its hold, brought to an active `status`."""
    video = await a_source(database, user)
    async with database.transaction() as session:
        job = await settlement.open_job(
            session, user=user, kind="enhance", params={}, video=video, quote=a_quote(credits), uploaded=False
        )
        for step in (JobStatus.INGESTED, JobStatus.QUEUED, JobStatus.RUNNING):
            if job.status == status:
                break
            await jobs.set_status(session, StatusChange(job_id=job.id, status=step))
    return job


def step_of(job: Job, step: str = "test") -> TransferOrigin:
    return TransferOrigin(
        actor="system:VideoJobWorkflow",
        step=step,
        workflow_id=job_workflow_id(job.id),
        run_id=uuid4().hex,
        job_id=job.id,
    )


def media_info() -> MediaInfo:
    video = VideoInfo(
        codec="h264",
        pixel_format="yuv420p",
        bit_depth=8,
        width=320,
        height=180,
        average_fps=Fraction(60),
        frame_count=60,
        start_s=Fraction(0),
        duration_s=Fraction(1),
        variable_rate=False,
    )
    return MediaInfo(container="mp4", bytes=1000, sha256=SHA, duration_s=Fraction(1), video=video)


def an_artifact(key: str) -> Artifact:
    return Artifact(key=key, bytes=1000, sha256=SHA, content_type="video/mp4")


def an_outcome(job_id: JobId, *, verified: bool = True) -> PipelineResult:
    return PipelineResult(
        result=an_artifact(f"result/{job_id}/video.mp4"),
        info=media_info(),
        manifest=an_artifact(f"result/{job_id}/manifest.json"),
        thumbnails=(Thumbnail(at_percent=10, artifact=an_artifact("thumb"), width=32, height=18),),
        verification=Verification(
            checks=(Check(name="frame_count", expected="60", found="60", ok=verified),)
        ),
    )


def completion(job: Job, credits: int, *, verified: bool = True) -> Complete:
    return Complete(job_id=job.id, credits=credits, outcome=an_outcome(job.id, verified=verified))


async def balance_of(database: Database, user_id: UserId) -> tuple[int, int]:
    """(available, held)"""
    async with database.read() as session:
        balance = await ledger.balance(session, user_id)
    return balance.available, balance.held
