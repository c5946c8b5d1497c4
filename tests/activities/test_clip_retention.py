"""Clips are kept for a time, then they go with their files and links; what was paid for them stays in the books."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

from contracts.errors import Code
from contracts.ids import ClipId, JobId
from contracts.kinds import CLIP
from contracts.kinds.clip import ClipParams, ClipSpec
from contracts.ledger import Balance
from contracts.maintenance import RetentionReport
from db import clips, ledger, settlement, shares, videos
from db.tables import User, Video
from db.tables_clips import Clip, ClipState
from storage import keys
from tests.activities.test_housekeeping import grow_old, kept, put, retain
from tests.api.acts import media_info
from tests.api.cutting import make
from tests.books import an_artifact, run_sql
from tests.workflows.house import House

PARAMS = ClipParams(clips=(ClipSpec(length=15), ClipSpec(start=1, end=9), ClipSpec(length=60)))


async def three_clips(house: House, user: User) -> tuple[JobId, Video]:
    """Two made, one that failed."""
    async with house.rooms.database.transaction() as session:
        video = await videos.create_source(
            session, user_id=user.id, filename="stage.mp4", content_type="video/mp4", bytes_=1, sha256=None,
            object_key=f"raw/{uuid4().hex}/source", duration_ms=None,
        )  # fmt: skip
        await videos.mark_ready(session, video.id, media_info(b"x"), an_artifact(video.object_key))
        job = await settlement.open_job(
            session, user=user, kind=CLIP.name, params=PARAMS.model_dump(mode="json"), video=video,
            quote=CLIP.quote(PARAMS, 61_000, "measured"), uploaded=True,
        )  # fmt: skip
    await make(house.rooms.database, house.rooms.store, job.id, failed={2: Code.NO_SUCH_HIGHLIGHT})
    return job.id, video


async def states(house: House, job_id: JobId) -> list[str]:
    query = "SELECT state FROM clips WHERE job_id = :job_id ORDER BY position"
    return [row.state for row in await run_sql(house.rooms.database, query, job_id=job_id)]


async def balance(house: House, user: User) -> Balance:
    async with house.rooms.database.read() as session:
        return await ledger.balance(session, user.id)


async def test_clips_whose_time_is_over_go_with_their_files_and_links(house: House) -> None:
    user = await house.user(100)
    (old, _), (young, video) = [await three_clips(house, user) for _ in range(2)]
    database = house.rooms.database
    async with database.transaction() as session:
        clip = (await clips.of_job(session, old))[0]
        token = (await shares.create(session, clip, timedelta(days=20))).token
    music = keys.music_key(video.id, "d", "music.json")
    await put(house, music)
    young_files = {key for key in await kept(house) if key.startswith(keys.result_prefix(young))}
    assert len(young_files) == 7
    await grow_old(house, "results", "expires_at", "job_id", old)

    assert (await retain(house)).results_deleted == 1

    assert await kept(house) == {*young_files, music}
    assert await states(house, old) == ["deleted", "deleted", "failed"]
    assert await states(house, young) == ["ready", "ready", "failed"]
    async with database.read() as session:
        assert [clip.state for clip in await clips.of_job(session, old)] == [ClipState.FAILED]
        assert await clips.get_clip(session, user.id, clip.id) is None
        shared = await shares.find(session, token)
    assert shared is not None
    assert not shared.valid
    assert (await balance(house, user)).available == 88
    assert await retain(house) == RetentionReport()
    await house.assert_books_coherent()


async def test_a_clip_that_its_owner_deleted_is_not_deleted_again(house: House) -> None:
    user = await house.user(100)
    job_id, _ = await three_clips(house, user)
    database = house.rooms.database
    async with database.transaction() as session:
        clip: Clip = (await clips.of_job(session, job_id))[0]
        await clips.mark_deleted(session, clip)
    query = "SELECT deleted_at FROM clips WHERE id = :id"
    deleted_at = (await run_sql(database, query, id=clip.id))[0].deleted_at
    await grow_old(house, "results", "expires_at", "job_id", job_id)

    assert (await retain(house)).results_deleted == 1

    assert (await run_sql(database, query, id=ClipId(clip.id)))[0].deleted_at == deleted_at
    assert await states(house, job_id) == ["deleted", "deleted", "failed"]
    await house.assert_books_coherent()
