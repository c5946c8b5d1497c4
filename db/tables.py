"""Every table that is read and written row by row, at one look (those of purchases: db/tables_money.py). Checks,
triggers and indexes are in the migrations; the ledger's three tables are used in SQL alone. No
relationships, so nothing is ever loaded lazily.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import BigInteger, DateTime, ForeignKey, Integer, Text, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from contracts.ids import ClipId, JobId, PurchaseId, RefundId, ShareId, UserId, VideoId
from contracts.jobs import Attention, EventType, JobStatus, Stage, StageState
from contracts.ledger import CreditEffect
from contracts.media import MediaInfo, Thumbnail
from contracts.pricing import Quote
from db.columns import Json, Word


class Base(DeclarativeBase):
    # Values that the server computes come back with the write itself, never by a later hidden query.
    __mapper_args__ = {"eager_defaults": True}  # noqa: RUF012 - the base class declares it so
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        str: Text,
        int: BigInteger,
        JobId: Text,
        UserId: Text,
        VideoId: Text,
        PurchaseId: Text,
        RefundId: Text,
        ClipId: Text,
        ShareId: Text,
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB,
    }


class User(Base):
    __tablename__ = "users"

    id: Mapped[UserId] = mapped_column(primary_key=True)
    issuer: Mapped[str]
    subject: Mapped[str]
    email: Mapped[str]
    locale: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class VideoRole(StrEnum):
    SOURCE = "source"
    RESULT = "result"


class VideoState(StrEnum):
    PENDING = "pending"
    """Announced; the object may be missing or partial."""
    UPLOADED = "uploaded"
    """The client says it is whole; not checked yet."""
    READY = "ready"
    """Size, hash and content checked by us."""
    REJECTED = "rejected"
    DELETED = "deleted"
    """The row stays for the books; the objects are gone."""


class Video(Base):
    __tablename__ = "videos"

    id: Mapped[VideoId] = mapped_column(primary_key=True)
    user_id: Mapped[UserId] = mapped_column(ForeignKey("users.id"))
    role: Mapped[VideoRole] = mapped_column(Word(VideoRole))
    state: Mapped[VideoState] = mapped_column(Word(VideoState))
    object_key: Mapped[str]
    filename: Mapped[str]
    content_type: Mapped[str]
    bytes: Mapped[int]
    duration_ms: Mapped[int | None]
    """As the client declared it; the measured one is in `info`."""
    sha256: Mapped[str | None]
    """As the client declared it."""
    verified_sha256: Mapped[str | None]
    info: Mapped[MediaInfo | None] = mapped_column(Json(MediaInfo))
    rejected_code: Mapped[str | None]
    job_id: Mapped[JobId | None] = mapped_column(ForeignKey("jobs.id", use_alter=True))
    """The job that made it; None for sources."""
    manifest_key: Mapped[str | None]
    thumbnails: Mapped[tuple[Thumbnail, ...] | None] = mapped_column(Json(tuple[Thumbnail, ...]))
    expires_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    deleted_at: Mapped[datetime | None]


class UploadState(StrEnum):
    OPEN = "open"
    COMPLETED = "completed"
    ABORTED = "aborted"


class Upload(Base):
    __tablename__ = "uploads"

    id: Mapped[str] = mapped_column(primary_key=True)
    video_id: Mapped[VideoId] = mapped_column(ForeignKey("videos.id"))
    s3_upload_id: Mapped[str]
    part_bytes: Mapped[int]
    state: Mapped[UploadState] = mapped_column(Word(UploadState))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    closed_at: Mapped[datetime | None]


class Job(Base):
    __tablename__ = "jobs"

    id: Mapped[JobId] = mapped_column(primary_key=True)
    user_id: Mapped[UserId] = mapped_column(ForeignKey("users.id"))
    kind: Mapped[str]
    status: Mapped[JobStatus] = mapped_column(Word(JobStatus))
    params: Mapped[dict[str, Any]]
    video_id: Mapped[VideoId] = mapped_column(ForeignKey("videos.id"))
    filename: Mapped[str]
    quote: Mapped[Quote] = mapped_column(Json(Quote))
    quote_credits: Mapped[int]
    hold_id: Mapped[UUID | None]
    """The hold that stands for this job now; an adjustment replaces it."""
    purchase_id: Mapped[PurchaseId | None]
    """The charge that pays for it; nothing is held until the card has paid."""
    result_key: Mapped[str | None]
    """Set when it has succeeded: its row in `results`."""
    result_video_id: Mapped[VideoId | None] = mapped_column(ForeignKey("videos.id"))
    """When the result is a video."""
    attention: Mapped[Attention | None] = mapped_column(Word(Attention))
    failure_code: Mapped[str | None]
    detail: Mapped[str] = mapped_column(default="")
    version: Mapped[int] = mapped_column(default=1)
    """Rises with every change that the owner can see: the ETag."""
    event_seq: Mapped[int] = mapped_column(default=0)
    progress_at: Mapped[datetime | None]
    """When the last progress event was sent."""
    progress_shown: Mapped[int] = mapped_column(Integer, default=0)
    """Sum of the stages' percentages in that event."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    queued_at: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class Result(Base):
    __tablename__ = "results"

    job_id: Mapped[JobId] = mapped_column(ForeignKey("jobs.id"), primary_key=True)
    key: Mapped[str]
    content_type: Mapped[str]
    bytes: Mapped[int]
    sha256: Mapped[str]
    manifest_key: Mapped[str]
    product: Mapped[dict[str, Any]]
    """As the kind's own contract says; empty where the file says it all."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime | None]
    """None: kept as long as the job's source."""
    deleted_at: Mapped[datetime | None]


class JobStage(Base):
    __tablename__ = "job_stages"

    job_id: Mapped[JobId] = mapped_column(ForeignKey("jobs.id"), primary_key=True)
    stage: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(Integer)
    state: Mapped[StageState] = mapped_column(Word(StageState))
    total: Mapped[int]
    done: Mapped[int] = mapped_column(default=0)
    percent: Mapped[int] = mapped_column(Integer, default=0)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]

    def contract(self) -> Stage:
        return Stage(
            name=self.stage,
            state=self.state,
            percent=self.percent,
            started_at=self.started_at,
            finished_at=self.finished_at,
        )


class StagePart(Base):
    __tablename__ = "stage_parts"

    job_id: Mapped[JobId] = mapped_column(primary_key=True)
    stage: Mapped[str] = mapped_column(primary_key=True)
    part: Mapped[int] = mapped_column(Integer, primary_key=True)
    done: Mapped[int]
    total: Mapped[int]


class JobEventRow(Base):
    __tablename__ = "job_events"

    job_id: Mapped[JobId] = mapped_column(ForeignKey("jobs.id"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    type: Mapped[EventType] = mapped_column(Word(EventType))
    status: Mapped[JobStatus] = mapped_column(Word(JobStatus))
    credit_effect: Mapped[CreditEffect] = mapped_column(Word(CreditEffect))
    credits: Mapped[int]
    stages: Mapped[tuple[Stage, ...]] = mapped_column(Json(tuple[Stage, ...]))
    eta_s: Mapped[int | None] = mapped_column(Integer)
    attention: Mapped[Attention | None] = mapped_column(Word(Attention))
    failure_code: Mapped[str | None]


class SagaLogRow(Base):
    __tablename__ = "saga_log"

    job_id: Mapped[JobId] = mapped_column(ForeignKey("jobs.id"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str]
    """What makes a re-run of the step write nothing."""
    at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    step: Mapped[str]
    outcome: Mapped[str]
    actor: Mapped[str]
    workflow_id: Mapped[str]
    run_id: Mapped[str]
    credit_effect: Mapped[CreditEffect] = mapped_column(Word(CreditEffect))
    credits: Mapped[int]
    transfer_id: Mapped[UUID | None]
    detail: Mapped[str]


class IdempotencyKey(Base):
    __tablename__ = "idempotency_keys"

    user_id: Mapped[UserId] = mapped_column(ForeignKey("users.id"), primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    method: Mapped[str]
    path: Mapped[str]
    body_hash: Mapped[str]
    status: Mapped[int] = mapped_column(Integer)
    body: Mapped[Any] = mapped_column(JSONB(none_as_null=True), nullable=True)
    headers: Mapped[dict[str, str]] = mapped_column(JSONB)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
