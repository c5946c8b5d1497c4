"""The steps of `music` and `clip` with their real engines, on a song whose form is known."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

import pytest
from temporalio.testing import ActivityEnvironment

from activities.clips import ClipActivities, fingerprint
from activities.music import MusicActivities
from contracts.clip_steps import Choice, Choices, ChooseRequest, ClipsFinish, CutRequest
from contracts.errors import Code, EchoError
from contracts.jobs import JobStatus
from contracts.kinds.clip import ClipFailed, ClipMade, ClipParams, Clips, ClipSpec, ClipType
from contracts.kinds.music import Analysis, Loudness, Music, Part, PartType, Section, SectionType, Song
from contracts.ledger import TransferOrigin
from contracts.media import EngineUse
from contracts.music_steps import AnalyseRequest
from contracts.video_job import Complete, Ingested, JobInput, PipelineResult, StatusChange
from db import events, jobs, settlement
from db.products.music import record_analysis
from db.tables_clips import SectionAuthor, SectionList
from storage import keys
from tests.activities.settling import settle
from tests.activities.test_media_steps import assert_stored, ingest, upload
from tests.media.music import songs
from tests.workflows.clipping import PRICE, open_clips, told
from tests.workflows.house import House

FORM = (("A", 6), ("B", 8), ("A", 6), ("B", 8))
SONG_S = 56
"""28 bars of two seconds."""
RANGE = ClipSpec(start=1.0, end=3.0)


@pytest.fixture(scope="session")
def concert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return songs.filmed(tmp_path_factory.mktemp("concert"), FORM)


@dataclass
class Job:
    """One that runs, its source checked."""

    house: House
    input: JobInput
    source: Ingested

    @property
    def clips(self) -> ClipActivities:
        return ClipActivities(self.house.rooms)

    async def analyse(self) -> Analysis:
        request = AnalyseRequest(
            job_id=self.input.job_id,
            video_id=self.input.video_id,
            source=self.source.source,
            info=self.source.info,
        )
        return await ActivityEnvironment().run(MusicActivities(self.house.rooms).analyse, request)

    async def choose(self, *, analysis: Analysis | None = None, no_music: Code | None = None) -> Choices:
        request = ChooseRequest(
            job_id=self.input.job_id,
            video_id=self.input.video_id,
            info=self.source.info,
            params=ClipParams.model_validate(self.input.params),
            analysis=analysis,
            no_music=no_music,
        )
        return await ActivityEnvironment().run(self.clips.choose, request)

    async def cut(self, choice: Choice) -> ClipMade:
        request = CutRequest(
            job_id=self.input.job_id,
            source=self.source.source,
            info=self.source.info,
            choice=choice,
            choices_total=1,
        )
        return await ActivityEnvironment().run(self.clips.cut, request)

    async def finish(self, *made: ClipMade, failed: tuple[ClipFailed, ...] = ()) -> PipelineResult:
        request = ClipsFinish(job_id=self.input.job_id, made=made, failed=failed, credits=PRICE * len(made))
        return await ActivityEnvironment().run(self.clips.finish, request)

    async def percents(self) -> dict[str, int]:
        async with self.house.rooms.database.read() as session:
            return {stage.name: stage.percent for stage in await events.stages(session, self.input.job_id)}


async def running(house: House, job: JobInput, file: Path) -> Job:
    up = await upload(house, file, job=job)
    source = await ingest(house, up.job)
    for status in (JobStatus.QUEUED, JobStatus.RUNNING):
        async with house.rooms.database.transaction() as session:
            await jobs.set_status(session, StatusChange(job_id=job.job_id, status=status))
    return Job(house, job, source)


async def stored(house: House, key: str) -> bytes:
    store = house.rooms.store
    answer = await asyncio.to_thread(store.client.get_object, Bucket=store.bucket, Key=key)
    return await asyncio.to_thread(answer["Body"].read)


async def test_a_song_is_analysed_into_two_files_that_a_second_run_finds(house: House, concert: Path) -> None:
    job = await running(house, await house.open_job(kind="music", quote=1), concert)
    analysis = await job.analyse()
    assert await job.analyse() == analysis

    for artifact in (analysis.music, analysis.strip):
        await assert_stored(house, artifact)
        assert artifact.key.startswith(keys.music_prefix(job.input.video_id))
    music = Music.model_validate_json(await stored(house, analysis.music.key))
    assert music.summary() == analysis.summary
    assert abs(music.songs[0].tempo_bpm - 120) < 1
    assert (await stored(house, analysis.strip.key)).startswith(b"\x89PNG")
    assert await job.percents() == {"ingest": 100, "analyse": 100}
    assert list((house.settings.work_dir / "scratch").iterdir()) == []


def section(start_s: float, end_s: float, type_: SectionType) -> Section:
    return Section(
        start_s=start_s, end_s=end_s, type=type_, label="A", energy=0.5, confidence=0.5, song=0
    )  # fmt: skip


def heard(*sections: Section) -> Music:
    return Music(
        duration_s=SONG_S,
        parts=(Part(start_s=0.0, end_s=SONG_S, type=PartType.MUSIC, confidence=0.9),),
        sections=sections,
        highlights=(),
        loudness=Loudness(integrated_lufs=-14.0, range_lu=5.0, true_peak_dbtp=-1.0),
        engine=EngineUse(role="analyse", name="test", version="1"),
        songs=(
            Song(
                start_s=0.0, end_s=SONG_S, tempo_bpm=120.0, tempo_confidence=0.9, beats_per_bar=4,
                downbeat_confidence=0.9, key=None, key_confidence=0.0,
                beats_s=tuple(beat / 2 for beat in range(SONG_S * 2)),
                downbeats_s=tuple(map(float, range(0, SONG_S, 2))),
            ),
        ),
        energy=(0.5,) * SONG_S * 2,
    )  # fmt: skip


async def keep(house: House, job: Job, music: Music) -> Analysis:
    key = keys.music_key(job.input.video_id, "d" * 64, "music.json")
    artifact = await asyncio.to_thread(house.rooms.store.put_json, key, music)
    return Analysis(music=artifact, strip=artifact, summary=music.summary())


async def test_wishes_are_understood_by_the_sections_as_their_owner_has_edited_them(
    house: House, concert: Path
) -> None:
    wishes = (
        ClipSpec(length=15, type=ClipType.CHORUS),
        ClipSpec(length=15, type=ClipType.BRIDGE),
        ClipSpec(start=50.0, end=70.0),
        ClipSpec(start=30.0, end=40.0),
    )
    job = await running(house, await open_clips(house, *wishes), concert)
    assert await job.choose() == Choices(analysis_needed=True)

    verse, chorus = SectionType.VERSE, SectionType.CHORUS
    analysis = await keep(house, job, heard(section(0, 20, chorus), section(20, SONG_S, verse)))
    found = await job.choose(analysis=analysis)
    assert [(choice.position, choice.type, choice.cut.start_s) for choice in found.choices] == [
        (0, chorus, 0.0),
        (3, verse, 30.0),
    ]
    assert [(each.position, each.code) for each in found.failed] == [
        (1, Code.NO_SUCH_HIGHLIGHT),
        (2, Code.RANGE_OUTSIDE),
    ]

    async with house.rooms.database.transaction() as session:
        await record_analysis(session, job.input.job_id, job.input.video_id, analysis, anew=False)
        edited = (section(0, 20, verse), section(20, SONG_S, chorus))
        session.add(
            SectionList(video_id=job.input.video_id, version=2, author=SectionAuthor.USER, sections=edited)
        )
    again = await job.choose()
    assert [(choice.type, choice.cut.start_s) for choice in again.choices] == [(chorus, 20.0), (chorus, 30.0)]
    assert (await job.percents())["analyse"] == 100


async def test_wishes_that_need_music_fail_with_what_is_wrong_with_it(house: House, concert: Path) -> None:
    job = await running(house, await open_clips(house, ClipSpec(length=15), RANGE), concert)
    found = await job.choose(no_music=Code.SILENT)
    assert [(each.position, each.code) for each in found.failed] == [(0, Code.SILENT)]
    assert [(choice.position, choice.type) for choice in found.choices] == [(1, None)]


async def test_a_clip_is_cut_once_and_made_again_only_when_a_file_of_it_is_gone(
    house: House, concert: Path
) -> None:
    job = await running(house, await open_clips(house, RANGE), concert)
    (choice,) = (await job.choose()).choices
    made = await job.cut(choice)
    assert (made.start_s, made.end_s, made.width, made.height) == (1.0, 3.0, 160, 120)
    for artifact in (made.video, made.preview, made.poster):
        await assert_stored(house, artifact)
        assert artifact.key.startswith(keys.clip_prefix(job.input.job_id, 0))

    record = keys.clip_record_key(job.input.job_id, fingerprint(choice))
    noted = made.model_copy(update={"width": 7})
    await asyncio.to_thread(house.rooms.store.put_json, record, noted)
    assert await job.cut(choice) == noted

    await asyncio.to_thread(house.rooms.store.delete, made.poster.key)
    assert await job.cut(choice) == made
    await assert_stored(house, made.poster)
    assert await job.cut(choice) == made
    assert list((house.settings.work_dir / "scratch").iterdir()) == []


async def test_a_job_of_two_clips_lists_them_reaches_the_end_of_its_stages_and_is_paid_for(
    house: House, concert: Path
) -> None:
    job = await running(house, await open_clips(house, RANGE, RANGE, RANGE), concert)
    first, second, third = (await job.choose()).choices
    assert fingerprint(first) != fingerprint(second)
    made = (await job.cut(first), await job.cut(second))
    assert (await job.percents())["cut"] == 66
    failed = (ClipFailed(position=third.position, code=Code.CLIP_TOO_LARGE),)
    outcome = await job.finish(*made, failed=failed)
    assert await job.finish(*made, failed=failed) == outcome

    await assert_stored(house, outcome.result)
    listed = Clips.model_validate_json(await stored(house, outcome.result.key))
    assert (listed, Clips.model_validate(outcome.product)) == (Clips(made=made, failed=failed),) * 2
    assert await job.percents() == {"ingest": 100, "analyse": 100, "cut": 100}

    complete = Complete(job_id=job.input.job_id, credits=outcome.credits or 0, outcome=outcome)
    async with house.rooms.database.transaction() as session:
        await settlement.complete_job(session, complete, TransferOrigin(actor="test", step="complete"))
    await house.assert_captured(job.input, 2 * PRICE)
    assert await told(house, job.input) == [("ready", None), ("ready", None), ("failed", Code.CLIP_TOO_LARGE)]


async def test_no_step_begins_for_a_job_that_has_ended(house: House, concert: Path) -> None:
    job = await running(house, await open_clips(house, RANGE), concert)
    (choice,) = (await job.choose()).choices
    await settle(house, job.input)
    for step in (job.analyse(), job.choose(), job.cut(choice), job.finish()):
        with pytest.raises(EchoError) as raised:
            await step
        assert raised.value.code is Code.JOB_SETTLED
