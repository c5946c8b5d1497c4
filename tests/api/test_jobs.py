from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from pydantic import TypeAdapter
from temporalio.client import Client

from api.jobs.schemas import JobRequest
from contracts.ids import JobId, VideoId, job_workflow_id
from contracts.jobs import Attention, JobStatus
from contracts.kinds import KINDS
from contracts.media import Artifact, AudioInfo
from contracts.settings import Settings
from contracts.video_job import StatusChange
from db import jobs, progress, videos
from db.engine import Database
from storage.keys import source_key
from tests.api.acts import (
    CONTENT,
    Login,
    Person,
    assert_problem,
    create_job,
    fail,
    grant,
    key,
    media_info,
    run,
    upload_request,
)
from tests.api.serving import served

SONG = AudioInfo(codec="mp3", sample_rate=44100, channels=2, start_s=Fraction(0), duration_s=Fraction(61))


async def history_of(client: Client, job_id: str) -> list[str]:
    """Types of the events in the history of a job's workflow."""
    handle = client.get_workflow_handle(f"job/{job_id}")
    return [event.WhichOneof("attributes") or "" async for event in handle.fetch_history_events()]


async def check_source(
    database: Database, job: dict, content: bytes = CONTENT, *, sound_only: bool = False
) -> str:
    """What the ingest step records of a job's source, whose SHA-256 it returns."""
    info = media_info(content, Fraction(61))
    if sound_only:
        info = info.model_copy(update={"container": "mp3", "video": None, "audio": (SONG,)})
    async with database.transaction() as session:
        row = await jobs.get_job(session, JobId(job["id"]))
        assert row is not None
        video_id = VideoId(job["source_video_id"])
        object_key = source_key(row.user_id, video_id)
        artifact = Artifact(key=object_key, bytes=len(content), sha256=info.sha256, content_type="video/mp4")
        await videos.mark_ready(session, video_id, info, artifact)
    return info.sha256


async def test_a_new_job_holds_its_price_and_says_where_to_upload(alice: Person) -> None:
    answer = await alice.post("/v1/jobs", json=upload_request(duration_ms=61_000), headers=key())

    assert answer.status_code == 201
    job = answer.json()
    assert answer.headers["location"] == job["status_url"]
    assert job["status"] == "CREATED"
    assert job["quote"] == {
        "credits": 20,
        "started_minutes": 2,
        "credits_per_minute": 10,
        "pieces": 0,
        "credits_per_piece": 0,
        "basis": "declared",
    }
    assert (job["credit_effect"], job["credits"], job["credits_held"]) == ("held", 20, 20)
    assert [stage["name"] for stage in job["stages"]] == ["ingest", "upscale", "interpolate", "mux"]
    assert job["upload"]["method"] == "PUT"
    assert job["duplicate"] is False
    balance = (await alice.get("/v1/credits/balance")).json()
    assert (balance["available"], balance["held"]) == (80, 20)


async def test_a_new_job_starts_its_workflow(alice: Person, temporal_client: Client) -> None:
    job = await create_job(alice)

    assert "workflow_execution_started_event_attributes" in await history_of(temporal_client, job["id"])


async def test_a_job_is_taken_while_temporal_is_away_and_read_as_any_other(
    api_settings: Settings, login: Login, admin: Person
) -> None:
    person = login("carol")
    await grant(admin, person)
    away = api_settings.model_copy(update={"temporal_address": "127.0.0.1:9"})
    async with served(away) as api:
        person.base_url = api.url

        job = await create_job(person)

        read = await person.get(f"/v1/jobs/{job['id']}")
        assert read.json()["status"] == "CREATED"
        assert b"echoshot_jobs_unstarted_total 1.0" in (await person.get("/metrics")).content
        assert_problem(await person.post(job["cancel_url"]), 503, "unavailable")


async def test_a_job_without_enough_credits_is_refused_and_leaves_nothing(bob: Person, admin: Person) -> None:
    await grant(admin, bob, 9)

    answer = await bob.post("/v1/jobs", json=upload_request(), headers=key())

    body = assert_problem(answer, 402, "credits_short")
    assert (body["required"], body["available"]) == (10, 9)
    assert (await bob.get("/v1/videos/jobs")).json() == {"data": [], "has_more": False}
    balance = (await bob.get("/v1/credits/balance")).json()
    assert (balance["available"], balance["held"]) == (9, 0)


async def test_a_file_above_the_limits_is_refused_before_anything_is_held(alice: Person) -> None:
    answer = await alice.post("/v1/jobs", json=upload_request(bytes=5 * 1024**3 + 1), headers=key())
    assert assert_problem(answer, 413, "upload_too_large")["bytes_max"] == 5 * 1024**3

    answer = await alice.post("/v1/jobs", json=upload_request(duration_ms=7_200_001), headers=key())
    assert assert_problem(answer, 422, "too_long")["duration_s_max"] == 7200

    assert (await alice.get("/v1/credits/balance")).json()["held"] == 0


async def test_a_known_hash_needs_no_second_upload_and_is_priced_as_measured(
    alice: Person, database: Database
) -> None:
    first = await create_job(alice)
    sha256 = await check_source(database, first)

    second = await create_job(alice, upload_request(sha256=sha256))

    assert second["duplicate"] is True
    assert second["upload"] is None
    assert second["source_video_id"] == first["source_video_id"]
    assert second["status"] == "INGESTED"
    assert (second["quote"]["basis"], second["quote"]["credits"]) == ("measured", 20)


async def test_a_declared_hash_proves_nothing_until_it_was_checked(alice: Person) -> None:
    first = await create_job(alice, upload_request(sha256="ab" * 32))

    second = await create_job(alice, upload_request(sha256="ab" * 32))

    assert second["duplicate"] is False
    assert second["source_video_id"] != first["source_video_id"]


async def test_another_users_file_is_never_offered(
    alice: Person, bob: Person, admin: Person, database: Database
) -> None:
    sha256 = await check_source(database, await create_job(alice))
    await grant(admin, bob)

    job = await create_job(bob, upload_request(sha256=sha256))

    assert job["duplicate"] is False
    assert job["upload"] is not None


async def test_a_source_that_lacks_what_a_kind_needs_is_refused_before_anything_is_held(
    alice: Person, database: Database
) -> None:
    sound, picture = (
        await create_job(alice, upload_request(content_type="audio/mpeg")),
        await create_job(alice),
    )
    sha256 = await check_source(database, sound, b"song", sound_only=True)
    await check_source(database, picture)
    before = (await alice.get("/v1/credits/balance")).json()

    for kind, source, code in [
        ("enhance", {"video_id": sound["source_video_id"]}, "no_video"),
        ("enhance", upload_request(sha256=sha256)["source"], "no_video"),
        ("music", {"video_id": picture["source_video_id"]}, "no_audio"),
    ]:
        refused = await alice.post("/v1/jobs", json={"kind": kind, "source": source}, headers=key())
        assert_problem(refused, 422, code)

    assert (await alice.get("/v1/credits/balance")).json() == before
    shown = (await alice.get(f"/v1/videos/{sound['source_video_id']}")).json()
    assert (shown["state"], shown["info"]["container"], shown["info"]["video"]) == ("ready", "mp3", None)
    assert shown["info"]["audio"][0]["codec"] == "mp3"


async def test_a_job_takes_an_existing_video_once_it_was_checked(alice: Person, database: Database) -> None:
    first = await create_job(alice)
    request = {"kind": "enhance", "source": {"video_id": first["source_video_id"]}}

    early = await alice.post("/v1/jobs", json=request, headers=key())
    assert_problem(early, 409, "video_not_ready")

    await check_source(database, first)
    job = await create_job(alice, request)
    assert (job["status"], job["upload"], job["duplicate"]) == ("INGESTED", None, False)


async def test_a_rejected_video_is_refused_with_the_reason_of_its_rejection(
    alice: Person, database: Database
) -> None:
    first = await create_job(alice)
    async with database.transaction() as session:
        await videos.mark_rejected(session, VideoId(first["source_video_id"]), "truncated")

    request = {"kind": "enhance", "source": {"video_id": first["source_video_id"]}}
    answer = await alice.post("/v1/jobs", json=request, headers=key())

    assert_problem(answer, 422, "truncated")


async def test_an_unchanged_job_is_not_sent_again(alice: Person, database: Database) -> None:
    job = await create_job(alice)
    first = await alice.get(job["status_url"])
    etag = first.headers["etag"]

    unchanged = await alice.get(job["status_url"], headers={"If-None-Match": f'"other", W/{etag}'})
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert unchanged.headers["etag"] == etag

    await run(database, job["id"])
    changed = await alice.get(job["status_url"], headers={"If-None-Match": etag})
    assert changed.status_code == 200
    assert changed.json()["status"] == "RUNNING"


async def test_a_failed_job_says_why_in_the_readers_language(alice: Person, database: Database) -> None:
    job = await create_job(alice)
    await fail(database, job["id"], "no_frames")

    english = (await alice.get(job["status_url"])).json()
    korean = (await alice.get(job["status_url"], headers={"Accept-Language": "ko-KR,ko;q=0.9"})).json()

    assert (english["status"], english["credit_effect"], english["credits_held"]) == ("FAILED", "released", 0)
    assert english["failure"] == {"code": "no_frames", "message": "The video has no frames."}
    assert korean["failure"]["message"] == "영상에 프레임이 없습니다."


async def test_cancel_reaches_the_workflow_and_may_be_repeated(
    alice: Person, temporal_client: Client
) -> None:
    job = await create_job(alice)

    for _ in range(2):
        answer = await alice.post(job["cancel_url"])
        assert answer.status_code == 202, answer.text

    history = await history_of(temporal_client, job["id"])
    assert "workflow_execution_cancel_requested_event_attributes" in history


async def test_a_settled_job_cannot_be_canceled_resumed_or_uploaded_to(
    alice: Person, database: Database
) -> None:
    job = await create_job(alice)
    await fail(database, job["id"])

    assert_problem(await alice.post(job["cancel_url"]), 409, "job_settled")
    assert_problem(await alice.post(f"/v1/jobs/{job['id']}/resume"), 409, "job_settled")
    assert_problem(await alice.post(f"/v1/jobs/{job['id']}/upload"), 409, "job_settled")
    assert_problem(await alice.patch(job["ingested_url"]), 409, "job_settled")


async def test_resume_tells_only_a_job_that_waits_for_credits(
    alice: Person, database: Database, temporal_client: Client
) -> None:
    job = await create_job(alice)
    assert (await alice.post(f"/v1/jobs/{job['id']}/resume")).status_code == 202
    assert "workflow_execution_signaled_event_attributes" not in await history_of(temporal_client, job["id"])

    waits = StatusChange(job_id=JobId(job["id"]), status=JobStatus.INGESTED, attention=Attention.FUNDS)
    async with database.transaction() as session:
        await jobs.set_status(session, waits)

    answer = await alice.post(f"/v1/jobs/{job['id']}/resume")
    assert (answer.status_code, answer.json()["attention"]) == (202, "funds")
    assert "workflow_execution_signaled_event_attributes" in await history_of(temporal_client, job["id"])


async def test_a_grant_tells_the_jobs_that_wait_for_credits(
    alice: Person, admin: Person, database: Database, temporal_client: Client
) -> None:
    waiting, other = await create_job(alice), await create_job(alice)
    waits = StatusChange(job_id=JobId(waiting["id"]), status=JobStatus.INGESTED, attention=Attention.FUNDS)
    async with database.transaction() as session:
        await jobs.set_status(session, waits)

    await grant(admin, alice)

    told = "workflow_execution_signaled_event_attributes"
    assert told in await history_of(temporal_client, waiting["id"])
    assert told not in await history_of(temporal_client, other["id"])


async def test_a_grant_tells_the_others_when_one_has_lost_its_workflow(
    alice: Person, admin: Person, database: Database, temporal_client: Client
) -> None:
    lost, waiting = await create_job(alice), await create_job(alice)
    for job in (lost, waiting):
        waits = StatusChange(job_id=JobId(job["id"]), status=JobStatus.INGESTED, attention=Attention.FUNDS)
        async with database.transaction() as session:
            await jobs.set_status(session, waits)
    await temporal_client.get_workflow_handle(job_workflow_id(JobId(lost["id"]))).terminate()

    await grant(admin, alice)
    told = "workflow_execution_signaled_event_attributes"
    assert told in await history_of(temporal_client, waiting["id"])


async def test_a_job_whose_workflow_has_ended_is_left_to_the_sweeper_when_cancelled(
    alice: Person, temporal_client: Client
) -> None:
    job = await create_job(alice)
    await temporal_client.get_workflow_handle(f"job/{job['id']}").terminate()

    answer = await alice.post(job["cancel_url"])
    assert (answer.status_code, answer.json()["credits_held"]) == (202, 10)


@pytest.mark.parametrize(("kind", "rate"), [("enhance", 10), ("music", 1)])
async def test_a_quote_by_time_holds_nothing(alice: Person, kind: str, rate: int) -> None:
    answer = await alice.post("/v1/jobs/quote", json={"kind": kind, "duration_ms": 60_001})

    assert answer.json() == {
        "credits": 2 * rate,
        "started_minutes": 2,
        "credits_per_minute": rate,
        "pieces": 0,
        "credits_per_piece": 0,
        "basis": "declared",
    }
    assert (await alice.get("/v1/credits/balance")).json()["held"] == 0


@pytest.mark.parametrize("duration_ms", [None, 60_001])
async def test_a_quote_by_piece_counts_what_is_wished_and_not_the_minutes(
    alice: Person, duration_ms: int | None
) -> None:
    clips = [{"length": 30, "type": "chorus"}, {"length": 15}, {"start": 1.5, "end": 9, "format": "square"}]
    body = {"kind": "clip", "params": {"clips": clips}, "duration_ms": duration_ms}

    answer = await alice.post("/v1/jobs/quote", json=body)

    assert answer.json() == {
        "credits": 9,
        "started_minutes": 0,
        "credits_per_minute": 0,
        "pieces": 3,
        "credits_per_piece": 3,
        "basis": "assumed" if duration_ms is None else "declared",
    }
    assert (await alice.get("/v1/credits/balance")).json()["held"] == 0


@pytest.mark.parametrize(
    "params",
    [
        None,
        {},
        {"clips": []},
        {"clips": [{"length": 30}] * 21},
        {"clips": [{"length": 20}]},
        {"clips": [{"length": 30, "type": "solo"}]},
        {"clips": [{"start": 5, "end": 5.5}]},
        {"clips": [{"start": 5}]},
    ],
)
async def test_a_quote_by_piece_needs_wishes_that_can_be(
    alice: Person, params: dict[str, Any] | None
) -> None:
    body = {"kind": "clip"} | ({} if params is None else {"params": params})
    assert_problem(await alice.post("/v1/jobs/quote", json=body), 422, "validation_failed")


async def test_support_reads_every_job_and_its_saga_but_owns_none(
    alice: Person, bob: Person, login: Login
) -> None:
    job = await create_job(alice)
    support, finance = login("support", "support"), login("finance", "finance")

    assert (await support.get(job["status_url"])).json()["id"] == job["id"]
    saga = (await support.get(job["saga_url"])).json()
    assert saga["workflow_id"] == f"job/{job['id']}"
    assert saga["workflow_url"].endswith(f"/namespaces/default/workflows/job%2F{job['id']}")
    assert [(step["step"], step["credit_effect"], step["credits"]) for step in saga["steps"]] == [
        ("hold", "held", 10)
    ]
    assert_problem(await support.post(job["cancel_url"]), 404, "not_found")

    assert (await finance.get(job["saga_url"])).status_code == 200
    assert_problem(await finance.get(job["status_url"]), 404, "not_found")
    assert (await alice.get(job["saga_url"])).json()["workflow_url"] is None
    assert_problem(await bob.get(job["saga_url"]), 404, "not_found")


async def test_an_outside_engine_reports_progress_until_the_job_has_ended(
    alice: Person, login: Login, database: Database
) -> None:
    worker = login("engine", "worker")
    job = await create_job(alice)
    await run(database, job["id"])
    async with database.transaction() as session:
        await progress.declare_stages(session, JobId(job["id"]), {"upscale": 100, "mux": 10})
    beat = {"stage": "upscale", "part": 0, "done": 40, "total": 100}
    url = f"/v1/jobs/{job['id']}/heartbeat"

    assert_problem(await alice.patch(url, json=beat), 403, "forbidden")
    assert (await worker.patch(url, json=beat)).status_code == 204
    assert (await worker.patch(url, json={**beat, "done": 20})).status_code == 204

    stages = (await alice.get(job["status_url"])).json()["stages"]
    assert {stage["name"]: stage["percent"] for stage in stages} == {"upscale": 40, "mux": 0}

    await fail(database, job["id"])
    assert_problem(await worker.patch(url, json=beat), 409, "job_settled")


def test_every_kind_of_the_registry_can_be_asked_for() -> None:
    wishes = {"clip": {"clips": [{"start": 1, "end": 4}]}}
    for name in KINDS:
        asked = {**upload_request(), "kind": name, "params": wishes.get(name, {})}
        assert TypeAdapter(JobRequest).validate_python(asked).kind == name
