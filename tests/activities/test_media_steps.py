"""Ingest and the steps of `enhance` on real files, through the real store, engine process and database."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import text
from temporalio.testing import ActivityEnvironment

from activities.enhance import EnhancePlanning, EnhanceSegments
from activities.ingest import IngestActivities
from contracts.enhance_steps import MuxRequest, PlanRequest, SegmentRequest
from contracts.errors import Code, EchoError
from contracts.jobs import JobStatus, StageState
from contracts.kinds.enhance import EnhanceParams
from contracts.media import Artifact
from contracts.video_job import Ingested, JobInput, StatusChange
from db import events, jobs, videos
from db.tables import Video, VideoState
from tests.activities.settling import settle
from tests.workflows.house import House


@dataclass
class Uploaded:
    job: JobInput
    key: str


async def upload(
    house: House,
    file: Path,
    *,
    job: JobInput | None = None,
    announced: int | None = None,
    sha256: str | None = None,
    store: bool = True,
    content_type: str = "video/mp4",
    kind: str = "enhance",
) -> Uploaded:
    """`job`, else a new one of the kind, whose source is `file`, announced with these facts, as a client's upload
    leaves it."""
    job = job or await house.open_job(kind=kind)
    key = f"raw/{job.user_id}/{job.video_id}/source"
    if store:
        body = file.read_bytes()
        await asyncio.to_thread(
            house.rooms.store.client.put_object, Bucket=house.rooms.store.bucket, Key=key, Body=body
        )
    async with house.rooms.database.transaction() as session:
        await session.execute(
            text(
                "UPDATE videos SET object_key = :key, bytes = :bytes, sha256 = :sha, content_type = :type"
                " WHERE id = :id"
            ),
            {
                "key": key,
                "bytes": announced or file.stat().st_size,
                "sha": sha256,
                "type": content_type,
                "id": job.video_id,
            },
        )
    return Uploaded(job, key)


async def ingest(house: House, job: JobInput) -> Ingested:
    return await ActivityEnvironment().run(IngestActivities(house.rooms).ingest, job)


async def video_of(house: House, job: JobInput) -> Video:
    async with house.rooms.database.read() as session:
        video = await videos.get_video(session, job.user_id, job.video_id)
        assert video is not None
        return video


async def test_an_upload_is_checked_measured_and_priced(house: House, clip: Callable[[str], Path]) -> None:
    file = clip("plain")
    up = await upload(house, file, sha256=hashlib.sha256(file.read_bytes()).hexdigest())
    found = await ingest(house, up.job)

    assert (found.info.picture.frame_count, found.info.bytes, found.credits) == (30, file.stat().st_size, 10)
    assert found.source.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    video = await video_of(house, up.job)
    assert (video.state, video.verified_sha256, video.info) == (
        VideoState.READY,
        found.source.sha256,
        found.info,
    )
    assert (await house.job(up.job)).status is JobStatus.INGESTED
    async with house.rooms.database.read() as session:
        stages = await events.stages(session, up.job.job_id)
    assert [(stage.name, stage.state) for stage in stages][:2] == [
        ("ingest", StageState.DONE),
        ("upscale", StageState.WAITING),
    ]
    assert list((house.settings.work_dir / "scratch").iterdir()) == []


async def test_a_checked_source_is_not_fetched_again(house: House, clip: Callable[[str], Path]) -> None:
    up = await upload(house, clip("plain"))
    first = await ingest(house, up.job)
    # Were it read again, the changed bytes would be found out.
    await asyncio.to_thread(
        house.rooms.store.client.put_object, Bucket=house.rooms.store.bucket, Key=up.key, Body=b"x"
    )
    assert await ingest(house, up.job) == first


@pytest.mark.parametrize(
    ("name", "facts", "code"),
    [
        ("random_bytes", {}, Code.NOT_A_VIDEO),
        ("nothing_in_it", {}, Code.NO_VIDEO_STREAM),
        ("mp3", {}, Code.TYPE_MISMATCH),
        ("external_reference", {}, Code.EXTERNAL_REFERENCE),
        ("plain", {"announced": 5}, Code.SIZE_MISMATCH),
        ("plain", {"sha256": "0" * 64}, Code.HASH_MISMATCH),
        ("plain", {"store": False}, Code.SOURCE_MISSING),
    ],
    ids=lambda value: str(value),
)
async def test_a_bad_upload_is_rejected_with_its_code_and_leaves_no_file(
    house: House, clip: Callable[[str], Path], name: str, facts: dict, code: Code
) -> None:
    up = await upload(house, clip(name), **facts)
    with pytest.raises(EchoError) as raised:
        await ingest(house, up.job)
    assert raised.value.code is code
    assert not raised.value.retryable
    video = await video_of(house, up.job)
    assert (video.state, video.rejected_code) == (VideoState.REJECTED, code)
    scratch = house.settings.work_dir / "scratch"
    assert not scratch.exists() or list(scratch.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "content_type", "kind", "code"),
    [
        ("mp3_with_cover", "audio/mpeg", "enhance", Code.NO_VIDEO),
        ("silent", "video/mp4", "music", Code.NO_AUDIO),
    ],
)
async def test_a_file_that_lacks_what_one_kind_needs_stays_ready_for_others(
    house: House, clip: Callable[[str], Path], name: str, content_type: str, kind: str, code: Code
) -> None:
    up = await upload(house, clip(name), content_type=content_type, kind=kind)
    for _ in range(2):  # the second time it is a checked source
        with pytest.raises(EchoError) as raised:
            await ingest(house, up.job)
        assert (raised.value.code, raised.value.retryable) == (code, False)
    video = await video_of(house, up.job)
    assert (video.state, video.rejected_code) == (VideoState.READY, None)
    assert video.info is not None
    other = await house.open_job(kind="music" if kind == "enhance" else "enhance")
    async with house.rooms.database.transaction() as session:
        await session.execute(
            text("UPDATE videos SET object_key = :key, bytes = :bytes, content_type = :type WHERE id = :id"),
            {
                "key": up.key,
                "bytes": clip(name).stat().st_size,
                "type": content_type,
                "id": other.video_id,
            },
        )
    assert (await ingest(house, other)).info == video.info


async def test_the_pipeline_makes_a_verified_result_and_no_segment_twice(
    house: House, clip: Callable[[str], Path]
) -> None:
    up = await upload(house, clip("plain"))
    source = await ingest(house, up.job)
    async with house.rooms.database.transaction() as session:
        await jobs.set_status(session, StatusChange(job_id=up.job.job_id, status=JobStatus.QUEUED))
    common = {
        "job_id": up.job.job_id,
        "source": source.source,
        "info": source.info,
        "params": EnhanceParams(upscaler="lanczos"),
    }
    env = ActivityEnvironment()
    planning, segments = EnhancePlanning(house.rooms), EnhanceSegments(house.rooms)
    plan = await env.run(planning.plan, PlanRequest.model_validate(common))
    requests = [
        SegmentRequest.model_validate(
            common | {"plan": plan, "segment": segment, "segments_total": len(plan.segments)}
        )
        for segment in plan.segments
    ]
    made = [await env.run(segments.segment, request) for request in requests]
    again = [await env.run(segments.segment, request) for request in requests]
    assert [each.reused for each in made] == [False] * len(made)
    assert again == [each.model_copy(update={"reused": True}) for each in made]
    assert sum(each.frames for each in made) == plan.out_frames

    mux = MuxRequest.model_validate(common | {"plan": plan, "segments": tuple(made)})
    result = await env.run(planning.mux, mux)
    # An attempt that was thought dead publishes beside its successor, never over it.
    assert (await env.run(planning.mux, mux)).result == result.result
    assert result.verification.ok
    assert result.info is not None
    assert (result.info.picture.width, result.info.picture.height) == (320, 240)
    assert result.info.picture.frame_count == plan.out_frames
    assert len(result.thumbnails) == 3
    for artifact in (result.result, result.manifest, *(each.artifact for each in result.thumbnails)):
        await assert_stored(house, artifact)
    async with house.rooms.database.read() as session:
        stages = await events.stages(session, up.job.job_id)
    assert {stage.name: stage.percent for stage in stages} == {
        "ingest": 100,
        "upscale": 100,
        "interpolate": 100,
        "mux": 100,
    }
    assert list((house.settings.work_dir / "scratch").iterdir()) == []


async def assert_stored(house: House, artifact: Artifact) -> None:
    head = await asyncio.to_thread(house.rooms.store.head, artifact.key)
    assert head is not None
    assert (head.bytes, head.sha256) == (artifact.bytes, artifact.sha256)


async def test_a_segment_of_a_job_that_has_ended_is_not_begun(
    house: House, clip: Callable[[str], Path]
) -> None:
    up = await upload(house, clip("plain"))
    await settle(house, up.job)
    with pytest.raises(EchoError) as raised:
        await ingest(house, up.job)
    assert raised.value.code is Code.JOB_SETTLED
    assert (await video_of(house, up.job)).state is VideoState.UPLOADED
