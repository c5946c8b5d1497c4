from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from contracts.ids import JobId
from contracts.kinds.sections import SECTIONS_MAX
from contracts.pricing import Quote
from db import settlement
from db.engine import Database
from db.tables import Job, User, Video
from tests.api.acts import Person, assert_problem, create_job, fail, run, upload_request
from tests.api.analyses import DURATION_S, STRIP, analyse, analysed_job, check, found_music
from tests.api.serving import Api

FIRST = {"If-Match": '"1"'}
HALVES = [
    {"start_s": 0, "end_s": 30, "type": "verse"},
    {"start_s": 30, "end_s": DURATION_S, "type": "chorus", "label": "X"},
]


@pytest.fixture
async def video(alice: Person, api: Api, database: Database) -> str:
    """The path of a video whose music is known."""
    job = await analysed_job(alice, database, api.services.store)
    return f"/v1/videos/{job['source_video_id']}"


async def test_what_was_found_is_told_with_its_files(
    alice: Person, video: str, anonymous: httpx.AsyncClient
) -> None:
    answer = await alice.get(f"{video}/music")

    assert answer.status_code == 200, answer.text
    known = answer.json()
    assert known["summary"] == found_music().summary().model_dump(mode="json")
    assert (known["sections_version"], known["strip_version"]) == (1, 1)
    whole = await anonymous.get(known["music_url"])
    assert whole.json() == found_music().model_dump(mode="json")
    assert 'filename="stage-music.json"' in whole.headers["content-disposition"]
    assert (await anonymous.get(known["strip_url"])).content == STRIP
    assert (await alice.get(known["sections_url"])).json()["version"] == 1


async def test_the_first_version_is_the_engines(alice: Person, video: str) -> None:
    answer = await alice.get(f"{video}/sections")

    assert answer.headers["etag"] == '"1"'
    found = answer.json()
    assert found["sections"] == [s.model_dump(mode="json") for s in found_music().sections]
    assert (found["version"], found["versions"], found["author"], found["original"]) == (1, 1, "engine", True)
    assert found["credit_effect"] == "none"


async def test_an_edit_is_a_new_version_and_the_first_is_kept(alice: Person, video: str) -> None:
    original = (await alice.get(f"{video}/sections")).json()["sections"]

    answer = await alice.patch(f"{video}/sections", json={"sections": HALVES}, headers=FIRST)

    assert answer.status_code == 200, answer.text
    assert answer.headers["etag"] == '"2"'
    edited = answer.json()
    assert (edited["version"], edited["versions"], edited["author"]) == (2, 2, "user")
    assert edited["original"] is False
    first, second = edited["sections"]
    # The verse of the first song keeps that song's label for verses; a name of one's own stands as it is.
    assert [(s["type"], s["label"], s["confidence"]) for s in (first, second)] == [
        ("verse", "B", 1.0),
        ("chorus", "X", 1.0),
    ]
    assert (first["song"], second["song"]) == (0, 1)
    assert 0.2 < first["energy"] < 1.0
    assert (await alice.get(f"{video}/sections")).json() == edited
    old = await alice.get(f"{video}/sections", params={"version": 1})
    assert (old.headers["etag"], old.json()["sections"], old.json()["versions"]) == ('"1"', original, 2)
    assert_problem(await alice.get(f"{video}/sections", params={"version": 3}), 404, "not_found")


async def test_highlights_follow_the_sections_as_they_were_edited(alice: Person, video: str) -> None:
    bridge = [{"start_s": 0, "end_s": 40, "type": "bridge"}]
    await alice.patch(f"{video}/sections", json={"sections": bridge}, headers=FIRST)

    known = (await alice.get(f"{video}/music")).json()

    assert [s["type"] for s in known["summary"]["sections"]] == ["bridge"]
    assert known["summary"]["highlights"][0]["type"] == "bridge"
    assert (known["sections_version"], known["strip_version"]) == (2, 1)


async def test_what_is_sent_as_it_was_stays_as_sure_as_it_was(alice: Person, video: str) -> None:
    before = (await alice.get(f"{video}/sections")).json()["sections"]
    wished = [{name: s[name] for name in ("start_s", "end_s", "type")} for s in before]
    wished[0]["type"] = "interlude"

    after = (await alice.patch(f"{video}/sections", json={"sections": wished}, headers=FIRST)).json()[
        "sections"
    ]

    assert [s["confidence"] for s in after] == [1.0, 0.6, 0.6, 0.6]
    assert [s["energy"] for s in after] == pytest.approx([s["energy"] for s in before])
    assert [s["label"] for s in after] == ["interlude", "B", "C", "A"]


async def test_an_earlier_version_can_be_restored(alice: Person, video: str) -> None:
    original = (await alice.get(f"{video}/sections")).json()["sections"]
    await alice.patch(f"{video}/sections", json={"sections": HALVES}, headers=FIRST)

    answer = await alice.patch(f"{video}/sections", json={"restore": 1}, headers={"If-Match": '"2"'})

    restored = answer.json()
    assert (restored["version"], restored["author"], restored["original"]) == (3, "user", True)
    assert restored["sections"] == original
    missing = await alice.patch(f"{video}/sections", json={"restore": 9}, headers={"If-Match": '"3"'})
    assert_problem(missing, 404, "not_found")


async def test_of_edits_of_one_version_at_once_one_wins(alice: Person, video: str) -> None:
    def attempt(number: int) -> Any:
        sections = [{"start_s": number, "end_s": number + 1, "type": "verse"}]
        return alice.patch(f"{video}/sections", json={"sections": sections}, headers=FIRST)

    answers = await asyncio.gather(*[attempt(number) for number in range(8)])

    assert sorted(answer.status_code for answer in answers) == [200, *[412] * 7]
    [won] = [answer.json() for answer in answers if answer.status_code == 200]
    assert (await alice.get(f"{video}/sections")).json() == won
    assert won["versions"] == 2


@pytest.mark.parametrize("stale", ['"0"', '"2"', 'W/"1"', "1", "*", '"x"', ""])
async def test_an_edit_of_another_version_writes_nothing(alice: Person, video: str, stale: str) -> None:
    answer = await alice.patch(f"{video}/sections", json={"sections": HALVES}, headers={"If-Match": stale})

    problem = assert_problem(answer, 412, "precondition_failed")
    assert (problem["version"], problem["detail"]) == (1, "It is at version 1 now.")
    assert (await alice.get(f"{video}/sections")).json()["versions"] == 1


async def test_an_edit_must_say_what_it_changes(alice: Person, video: str) -> None:
    answer = await alice.patch(f"{video}/sections", json={"sections": HALVES})
    assert_problem(answer, 428, "precondition_required")


@pytest.mark.parametrize(
    ("sections", "field", "korean"),
    [
        ([{"start_s": 1, "end_s": 1.4, "type": "verse"}], "shortest_ms", "500밀리초보다 짧습니다"),
        ([{"start_s": 9, "end_s": 2, "type": "verse"}], "shortest_ms", "500밀리초보다 짧습니다"),
        ([{"start_s": 1, "end_s": 61.1, "type": "verse"}], "duration_s", "61.000초를 넘습니다"),
        ([HALVES[1], HALVES[0]], "begins_before", "먼저 시작합니다"),
        ([HALVES[0], {**HALVES[1], "start_s": 29.9}], "begins_before", "30.000초보다 먼저"),
    ],
)
async def test_sections_that_cannot_be_are_refused_with_a_reason(
    alice: Person, video: str, sections: list[dict[str, Any]], field: str, korean: str
) -> None:
    headers = {**FIRST, "Accept-Language": "ko"}
    answer = await alice.patch(f"{video}/sections", json={"sections": sections}, headers=headers)

    problem = assert_problem(answer, 422, "sections_invalid")
    assert field in problem
    assert problem["section"] == len(sections) - 1
    assert korean in problem["detail"]
    assert (await alice.get(f"{video}/sections")).json()["versions"] == 1


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"sections": []},
        {"sections": HALVES, "restore": 1},
        {"sections": [{**HALVES[0], "type": "solo"}]},
        {"sections": [{**HALVES[0], "label": "line\nbreak"}]},
        {"sections": [{**HALVES[0], "confidence": 1}]},
        {"sections": [{**HALVES[0], "start_s": -1}]},
        {"sections": [{**HALVES[0], "end_s": 1e308}]},
        {"sections": [{**HALVES[0], "end_s": True}]},
        {"sections": [HALVES[0]] * (SECTIONS_MAX + 1)},
        {"restore": 0},
        {"restore": "1"},
    ],
)
async def test_what_is_no_edit_is_refused(alice: Person, video: str, body: dict[str, Any]) -> None:
    assert_problem(await alice.patch(f"{video}/sections", json=body, headers=FIRST), 422, "validation_failed")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"sections": [{**HALVES[0], "start_s": "0"}]}, "body.sections.0.start_s"),
        ({"restore": 0}, "body.restore"),
        ({}, "body.sections"),
        ({"sections": HALVES, "restore": 1}, "body.restore"),
    ],
)
async def test_a_mistake_is_told_of_the_form_that_was_meant(
    alice: Person, video: str, body: dict[str, Any], field: str
) -> None:
    answer = await alice.patch(f"{video}/sections", json=body, headers=FIRST)
    assert [error["field"] for error in answer.json()["errors"]] == [field]


async def test_a_video_that_was_not_analysed_says_what_to_do(alice: Person) -> None:
    job = await create_job(alice)
    video = f"/v1/videos/{job['source_video_id']}"

    problem = assert_problem(await alice.get(f"{video}/music"), 404, "not_analysed")
    assert "start a job of kind `music`" in problem["title"]
    assert_problem(await alice.get(f"{video}/sections"), 404, "not_analysed")
    edit = await alice.patch(f"{video}/sections", json={"sections": HALVES}, headers=FIRST)
    assert_problem(edit, 404, "not_analysed")


async def test_nobody_else_reads_or_edits_it(bob: Person, video: str) -> None:
    assert_problem(await bob.get(f"{video}/music"), 404, "not_found")
    assert_problem(await bob.get(f"{video}/sections"), 404, "not_found")
    edit = await bob.patch(f"{video}/sections", json={"sections": HALVES}, headers=FIRST)
    assert_problem(edit, 404, "not_found")


async def test_a_second_analysis_becomes_the_newest_version_and_edits_are_kept(
    alice: Person, api: Api, database: Database
) -> None:
    """The engine finds the same again, byte by byte: two jobs then have one file as their result."""
    store = api.services.store
    job = await analysed_job(alice, database, store)
    video = f"/v1/videos/{job['source_video_id']}"
    edited = (await alice.patch(f"{video}/sections", json={"sections": HALVES}, headers=FIRST)).json()
    await check(database, job["source_video_id"])
    again = await create_job(alice, {"kind": "music", "source": {"video_id": job["source_video_id"]}})

    await analyse(database, store, again["id"], job["source_video_id"], found_music())

    newest = (await alice.get(f"{video}/sections")).json()
    assert (newest["version"], newest["author"], newest["original"]) == (3, "engine", True)
    kept = (await alice.get(f"{video}/sections", params={"version": 2})).json()
    assert kept["sections"] == edited["sections"]
    known = (await alice.get(f"{video}/music")).json()
    assert (known["job_id"], known["strip_version"]) == (again["id"], 3)
    for result_url in (job["result_url"], again["result_url"]):
        assert (await alice.get(result_url)).status_code == 302


async def test_a_deleted_video_takes_what_is_known_of_it_along(
    alice: Person, api: Api, database: Database, anonymous: httpx.AsyncClient
) -> None:
    job = await analysed_job(alice, database, api.services.store)
    video = f"/v1/videos/{job['source_video_id']}"
    known = (await alice.get(f"{video}/music")).json()

    assert (await alice.delete(video)).status_code == 204

    for url in (known["music_url"], known["strip_url"]):
        assert (await anonymous.get(url)).status_code == 404
    assert_problem(await alice.get(f"{video}/music"), 404, "not_found")
    assert_problem(await alice.get(job["result_url"]), 410, "result_expired")
    assert (await alice.get(job["status_url"])).json()["status"] == "SUCCEEDED"


async def test_the_result_of_a_music_job_is_its_findings(
    alice: Person, api: Api, database: Database, anonymous: httpx.AsyncClient
) -> None:
    job = await analysed_job(alice, database, api.services.store)
    video_id = job["source_video_id"]

    described = (await alice.get(job["result_url"], headers={"Accept": "application/json"})).json()

    assert (described["kind"], described["content_type"]) == ("music", "application/json")
    whole = await anonymous.get(described["url"])
    assert whole.json() == found_music().model_dump(mode="json")
    assert described["bytes"] == len(whole.content)
    assert described["product"]["summary"] == found_music().summary().model_dump(mode="json")
    assert set(described["product"]["strip"]) == {"bytes", "sha256", "content_type"}
    assert set(described["links"]) == {"music", "sections"}
    for url in described["links"].values():
        assert (await alice.get(url)).json()["video_id"] == video_id
    redirect = await alice.get(job["result_url"])
    assert redirect.status_code == 302
    named = await anonymous.get(redirect.headers["location"])
    assert 'filename="stage-music.json"' in named.headers["content-disposition"]
    assert_problem(await alice.get(f"/v1/jobs/{job['id']}/thumbnail"), 404, "not_found")
    view = (await alice.get(job["status_url"])).json()
    assert (view["result_video_id"], view["credit_effect"], view["credits"]) == (None, "captured", 1)


async def test_a_music_job_without_a_result_says_so(alice: Person, database: Database) -> None:
    job = await create_job(alice, upload_request(kind="music"))
    await run(database, job["id"])
    assert_problem(await alice.get(job["result_url"]), 409, "result_not_ready")

    await fail(database, job["id"], "no_music")

    assert_problem(await alice.get(job["result_url"]), 409, "job_state_conflict")
    view = (await alice.get(job["status_url"])).json()
    assert (view["credit_effect"], view["credits"], view["credits_held"]) == ("released", 1, 0)
    assert view["failure"]["code"] == "no_music"
    assert_problem(await alice.get(f"/v1/videos/{job['source_video_id']}/music"), 404, "not_analysed")


async def test_a_job_that_costs_nothing_moves_nothing(alice: Person, api: Api, database: Database) -> None:
    paid = await analysed_job(alice, database, api.services.store)
    balance = (await alice.get("/v1/credits/balance")).json()
    await check(database, paid["source_video_id"])
    async with database.transaction() as session:
        before = await session.get_one(Job, JobId(paid["id"]))
        free = await settlement.open_job(
            session,
            user=await session.get_one(User, before.user_id),
            kind="music",
            params={},
            video=await session.get_one(Video, before.video_id),
            quote=Quote(credits=0, basis="measured"),
            uploaded=True,
        )
    path = f"/v1/jobs/{free.id}"

    waiting = (await alice.get(path)).json()
    await analyse(database, api.services.store, free.id, free.video_id, found_music())
    ended = (await alice.get(path)).json()

    for view in (waiting, ended):
        assert (view["credit_effect"], view["credits"], view["credits_held"]) == ("none", 0, 0)
    assert ended["status"] == "SUCCEEDED"
    assert (await alice.get("/v1/credits/balance")).json() == balance
