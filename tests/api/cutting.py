"""What a worker does to a job of kind `clip`, through the database and the store; and what it works on."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from fractions import Fraction
from typing import Any
from uuid import uuid4

from contracts.ids import JobId, UserId
from contracts.kinds.clip import ClipFailed, ClipMade, ClipParams, Clips
from contracts.kinds.music import (
    Analysis,
    Highlight,
    HighlightLength,
    Loudness,
    MusicSummary,
    Reason,
    Section,
    SectionType,
)
from contracts.media import Artifact, AudioInfo, EngineUse, Verification
from contracts.video_job import Complete, PipelineResult
from db import jobs, settlement, videos
from db.engine import Database
from storage import keys
from storage.store import Store
from tests.api.acts import ORIGIN, Person, media_info, run
from tests.books import an_artifact, run_sql

SOUND = AudioInfo(codec="aac", sample_rate=48_000, channels=2, start_s=Fraction(0), duration_s=Fraction(61))
FILES = {"clip.mp4": "video/mp4", "preview.webp": "image/webp", "poster.jpg": "image/jpeg"}


async def a_video(
    database: Database, person: Person, *, seconds: int = 61, sound: bool = True, filename: str = "stage.mp4"
) -> str:
    """Uploaded and checked; returns its id."""
    user_id = UserId((await person.get("/v1/me")).json()["user_id"])
    object_key = f"raw/{uuid4().hex}/source"
    info = media_info(b"x", Fraction(seconds)).model_copy(update={"audio": (SOUND,) if sound else ()})
    async with database.transaction() as session:
        video = await videos.create_source(
            session, user_id=user_id, filename=filename, content_type="video/mp4", bytes_=1, sha256=None,
            object_key=object_key, duration_ms=None,
        )  # fmt: skip
        await videos.mark_ready(session, video.id, info, an_artifact(object_key))
    return video.id


def an_analysis(
    *highlights: tuple[HighlightLength, SectionType], sections: tuple[SectionType, ...] = ()
) -> Analysis:
    """Of a minute of music, with just so many highlights, at its end, and sections, at its beginning."""
    summary = MusicSummary(
        duration_s=61.0, parts=(), songs=(),
        sections=tuple(
            Section(start_s=5.0 * at, end_s=5.0 * at + 5, type=type_, label="A", energy=1, confidence=1, song=0)
            for at, type_ in enumerate(sections)
        ),
        highlights=tuple(
            Highlight(
                length_s=length, start_s=61.0 - length, end_s=61.0, type=type_, score=1.0,
                reasons=(Reason.LOUDNESS,), song=0,
            )
            for length, type_ in highlights
        ),
        loudness=Loudness(integrated_lufs=-14.0, range_lu=5.0, true_peak_dbtp=-1.0),
        engine=EngineUse(role="analyse", name="test", version="1"),
    )  # fmt: skip
    return Analysis(music=an_artifact("music.json"), strip=an_artifact("strip.png"), summary=summary)


async def make(
    database: Database,
    store: Store,
    job_id: str,
    *,
    failed: Mapping[int, str] | None = None,
    type_: SectionType = SectionType.CHORUS,
    analysis: Analysis | None = None,
) -> None:
    """Run a job and make its clips, but for those that fail with a code; captures the price of those made."""
    failed, job = failed or {}, JobId(job_id)
    await run(database, job_id)
    async with database.read() as session:
        row = await jobs.get_job(session, job)
    assert row is not None
    params = ClipParams.model_validate(row.params)

    def put(object_key: str, content: bytes, content_type: str) -> Artifact:
        store.client.put_object(Bucket=store.bucket, Key=object_key, Body=content, ContentType=content_type)
        sha256 = hashlib.sha256(content).hexdigest()
        return Artifact(key=object_key, bytes=len(content), sha256=sha256, content_type=content_type)

    def made(position: int) -> ClipMade:
        wish, content = params.clips[position], f"clip {position}".encode()
        digest = hashlib.sha256(content).hexdigest()
        start_s = 12.3 if wish.start is None else wish.start
        files = [
            put(
                keys.clip_key(job, position, digest, name),
                content if name == "clip.mp4" else name.encode(),
                type_,
            )
            for name, type_ in FILES.items()
        ]
        return ClipMade(
            position=position, start_s=start_s, end_s=wish.end or start_s + (wish.length or 0), type=type_,
            format=wish.format, width=64, height=36, copied="inner", video=files[0], preview=files[1],
            poster=files[2], info=media_info(content), verification=Verification(checks=()),
        )  # fmt: skip

    def put_all() -> tuple[Clips, Artifact]:
        positions = [position for position in range(len(params.clips)) if position not in failed]
        clips = Clips(
            made=tuple(map(made, positions)),
            failed=tuple(ClipFailed(position=at, code=code) for at, code in failed.items()),
            analysis=analysis,
        )
        content = clips.model_dump_json().encode()
        key = keys.result_file_key(job, hashlib.sha256(content).hexdigest(), "clips.json")
        return clips, put(key, content, "application/json")

    clips, listed = await asyncio.to_thread(put_all)
    earned = row.quote.credits_per_piece * len(clips.made)
    outcome = PipelineResult(
        result=listed, manifest=listed, product=clips.model_dump(mode="json"), credits=earned
    )
    async with database.transaction() as session:
        await settlement.complete_job(session, Complete(job_id=job, credits=earned, outcome=outcome), ORIGIN)


async def pass_time(database: Database, clip_id: str, hours: int) -> None:
    """For a clip, which the triggers would not allow while they look."""
    await run_sql(
        database,
        "SET LOCAL session_replication_role = replica",
        """UPDATE clips SET created_at = created_at - make_interval(hours => :hours),
                  ready_at = ready_at - make_interval(hours => :hours),
                  expires_at = expires_at - make_interval(hours => :hours) WHERE id = :clip_id""",
        clip_id=clip_id,
        hours=hours,
    )


async def stored(store: Store, prefix: str) -> set[str]:
    """Names of what lies under a prefix, without it."""
    listing: Any = await asyncio.to_thread(store.client.list_objects_v2, Bucket=store.bucket, Prefix=prefix)
    return {item["Key"].removeprefix(prefix) for item in listing.get("Contents", [])}
