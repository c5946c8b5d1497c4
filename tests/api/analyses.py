"""A job of kind `music` that has ended well, as its pipeline would have ended it."""

from __future__ import annotations

import asyncio
import hashlib
from fractions import Fraction
from typing import Any

from contracts.ids import VideoId
from contracts.kinds.music import (
    Analysis,
    Highlight,
    Loudness,
    Music,
    Part,
    PartType,
    Reason,
    Section,
    SectionType,
    Song,
)
from contracts.media import Artifact, AudioInfo, EngineUse
from contracts.video_job import PipelineResult
from db import videos
from db.engine import Database
from db.tables import Video
from storage import keys
from storage.store import Store
from tests.api.acts import CONTENT, Person, complete, create_job, media_info, put, run, upload_request

DURATION_S = 60.9996
STRIP = b"a picture of sixty seconds"


def section(start_s: float, end_s: float, type_: SectionType, label: str, **more: Any) -> Section:
    fields = {"energy": 0.5, "confidence": 0.6, "song": 0, **more}
    return Section(start_s=start_s, end_s=end_s, type=type_, label=label, **fields)


def song(start_s: float, end_s: float) -> Song:
    return Song(
        start_s=start_s, end_s=end_s, tempo_bpm=120.0, tempo_confidence=0.9, beats_per_bar=4,
        downbeat_confidence=0.8, key="A minor", key_confidence=0.7,
        beats_s=(start_s, start_s + 0.5), downbeats_s=(start_s,),
    )  # fmt: skip


def found_music() -> Music:
    """Two songs in a minute, five seconds of applause between them."""
    return Music(
        duration_s=DURATION_S,
        parts=(Part(start_s=0.0, end_s=DURATION_S, type=PartType.MUSIC, confidence=0.9),),
        songs=(song(0.0, 40.0), song(45.0, DURATION_S)),
        sections=(
            section(0.0, 10.25, SectionType.INTRO, "A", energy=0.2),
            section(10.25, 20.123456, SectionType.VERSE, "B", energy=0.4),
            section(20.123456, 40.0, SectionType.CHORUS, "C", energy=1.0),
            section(45.0, DURATION_S, SectionType.VERSE, "A", energy=0.8, song=1),
        ),
        highlights=(
            Highlight(
                length_s=15, start_s=22.0, end_s=37.0, type=SectionType.CHORUS, score=0.9,
                reasons=(Reason.REPETITION, Reason.LOUDNESS), song=0,
            ),
        ),
        loudness=Loudness(integrated_lufs=-9.5, range_lu=4.0, true_peak_dbtp=0.1),
        energy=(0.1, 0.9),
        engine=EngineUse(role="analyse", name="test", version="1"),
    )  # fmt: skip


async def analyse(database: Database, store: Store, job_id: str, video_id: str, music: Music) -> None:
    """Run the job and register what it has found, under the names that the activity gives its files."""
    await run(database, job_id)
    content = music.model_dump_json().encode()
    digest = hashlib.sha256(content).hexdigest()

    def put_both() -> Analysis:
        video = VideoId(video_id)
        return Analysis(
            music=put(store, keys.music_key(video, digest, "music.json"), content, "application/json"),
            strip=put(store, keys.music_key(video, digest, "strip.png"), STRIP, "image/png"),
            summary=music.summary(),
        )

    analysis = await asyncio.to_thread(put_both)
    product = analysis.model_dump(mode="json")
    await complete(
        database, job_id, PipelineResult(result=analysis.music, manifest=analysis.music, product=product)
    )


async def analysed_job(
    person: Person, database: Database, store: Store, music: Music | None = None
) -> dict[str, Any]:
    """A new video whose music is known; its job as it was taken on."""
    job = await create_job(person, upload_request(kind="music"))
    await analyse(database, store, job["id"], job["source_video_id"], music or found_music())
    return job


async def check(database: Database, video_id: str) -> None:
    """As ingest does when the file is what it claims to be."""
    async with database.transaction() as session:
        video = await session.get_one(Video, VideoId(video_id))
        sound = AudioInfo(
            codec="aac", sample_rate=48_000, channels=2, start_s=Fraction(0), duration_s=Fraction(61)
        )
        info = media_info(CONTENT).model_copy(update={"audio": (sound,)})
        source = Artifact(
            key=video.object_key, bytes=info.bytes, sha256=info.sha256, content_type=video.content_type
        )
        await videos.mark_ready(session, video.id, info, source)
