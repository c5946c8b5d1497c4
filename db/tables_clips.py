"""Tables of music and clips (migration 0015); see db/tables.py for the house's own."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, Integer, func
from sqlalchemy.orm import Mapped, mapped_column

from contracts.ids import ClipId, JobId, ShareId, UserId, VideoId
from contracts.kinds.clip import ClipFormat, ClipMade, ClipSpec
from contracts.kinds.music import Analysis, Section, SectionType
from db.columns import Json, Word
from db.tables import Base


class MusicAnalysis(Base):
    __tablename__ = "music_analyses"

    video_id: Mapped[VideoId] = mapped_column(ForeignKey("videos.id"), primary_key=True)
    job_id: Mapped[JobId] = mapped_column(ForeignKey("jobs.id"))
    analysis: Mapped[Analysis] = mapped_column(Json(Analysis))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class SectionAuthor(StrEnum):
    ENGINE = "engine"
    USER = "user"


class SectionList(Base):
    __tablename__ = "section_lists"

    video_id: Mapped[VideoId] = mapped_column(ForeignKey("music_analyses.video_id"), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    """1: as the engine first found them. The greatest one counts."""
    author: Mapped[SectionAuthor] = mapped_column(Word(SectionAuthor))
    sections: Mapped[tuple[Section, ...]] = mapped_column(Json(tuple[Section, ...]))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class ClipState(StrEnum):
    PENDING = "pending"
    """Its job is under way."""
    READY = "ready"
    FAILED = "failed"
    """Nothing was charged for it."""
    DELETED = "deleted"


class Clip(Base):
    __tablename__ = "clips"

    id: Mapped[ClipId] = mapped_column(primary_key=True)
    user_id: Mapped[UserId] = mapped_column(ForeignKey("users.id"))
    video_id: Mapped[VideoId] = mapped_column(ForeignKey("videos.id"))
    job_id: Mapped[JobId] = mapped_column(ForeignKey("jobs.id"))
    position: Mapped[int] = mapped_column(Integer)
    """Index of its wish in the job's params."""
    state: Mapped[ClipState] = mapped_column(Word(ClipState))
    spec: Mapped[ClipSpec] = mapped_column(Json(ClipSpec))
    format: Mapped[ClipFormat] = mapped_column(Word(ClipFormat))
    length: Mapped[int | None] = mapped_column(Integer)
    """Of a highlight: 15, 30 or 60. None: a range of the user's own."""
    credits: Mapped[int]
    """Its price, earned when it is made; 0: regenerated for nothing."""
    regenerated_from: Mapped[ClipId | None] = mapped_column(ForeignKey("clips.id"))
    failure_code: Mapped[str | None]
    type: Mapped[SectionType | None] = mapped_column(Word(SectionType))
    """Of the section that fills most of it; known once it is made."""
    made: Mapped[ClipMade | None] = mapped_column(Json(ClipMade))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    ready_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]
    deleted_at: Mapped[datetime | None]


class ClipShare(Base):
    __tablename__ = "clip_shares"

    id: Mapped[ShareId] = mapped_column(primary_key=True)
    clip_id: Mapped[ClipId] = mapped_column(ForeignKey("clips.id"))
    token: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
    views: Mapped[int]
