"""Clips are asked for, refused with a reason, found, fetched and deleted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from contracts.ids import JobId, VideoId
from contracts.kinds.music import SectionType
from db import retention
from db.engine import Database
from storage.keys import result_prefix
from tests.api.acts import Login, Person, assert_problem, create_job, fail, key
from tests.api.cutting import a_video, an_analysis, make, stored
from tests.api.serving import Api
from tests.books import assert_books_coherent

BEST = {"length": 30, "type": "chorus", "format": "vertical"}


@pytest.fixture(autouse=True)
async def books(database: Database) -> AsyncIterator[None]:
    yield
    await assert_books_coherent(database)


async def ask(person: Person, video_id: str, **wish: Any) -> dict[str, Any]:
    answer = await person.post("/v1/clips", json={"video_id": video_id, **wish}, headers=key())
    assert answer.status_code == 201, answer.text
    return answer.json()


async def one_made(alice: Person, api: Api, database: Database, **wish: Any) -> dict[str, Any]:
    asked = await ask(alice, await a_video(database, alice), **(wish or BEST))
    await make(database, api.services.store, asked["job"]["id"])
    return (await alice.get(asked["clips"][0]["clip_url"])).json()


async def test_a_clip_is_there_from_the_moment_it_is_asked_for(alice: Person, database: Database) -> None:
    video_id = await a_video(database, alice)

    answer = await alice.post("/v1/clips", json={"video_id": video_id, **BEST}, headers=key())

    job, [clip] = answer.json()["job"], answer.json()["clips"]
    assert answer.headers["location"] == job["status_url"]
    assert (job["kind"], job["status"], job["upload"]) == ("clip", "INGESTED", None)
    assert job["quote"]["pieces"] == 1
    assert (clip["state"], clip["job_id"], clip["video_id"]) == ("pending", job["id"], video_id)
    assert (clip["credit_effect"], clip["credits"]) == ("held", 3)
    assert (clip["length"], clip["type"], clip["format"], clip["start"]) == (30, None, "vertical", None)
    assert (clip["wish"]["type"], clip["wish"]["rank"]) == ("chorus", 0)
    assert (await alice.get(clip["clip_url"])).json() == clip
    early = assert_problem(await alice.get(clip["download_url"]), 409, "result_not_ready")
    assert early["retryable"]
    refusal = assert_problem(await alice.delete(clip["clip_url"]), 409, "job_state_conflict")
    assert job["id"] in refusal["detail"]


async def test_a_clip_that_is_made_says_what_it_is_and_where_its_files_are(
    alice: Person, api: Api, database: Database, anonymous: httpx.AsyncClient
) -> None:
    clip = await one_made(alice, api, database)

    assert (clip["state"], clip["credit_effect"], clip["credits"]) == ("ready", "captured", 3)
    assert (clip["type"], clip["start"], clip["end"], clip["duration"]) == ("chorus", 12.3, 42.3, 30)
    assert (clip["width"], clip["height"], clip["bytes"], clip["copied"]) == (64, 36, 6, "inner")
    assert clip["failure"] is None
    assert clip["expires_at"] > clip["ready_at"] > clip["created_at"]
    for url, headers, content, content_type in (
        (clip["download_url"], {}, b"clip 0", "video/mp4"),
        (clip["preview_url"], {}, b"preview.webp", "image/webp"),
        (clip["preview_url"], {"Accept": "image/jpeg"}, b"poster.jpg", "image/jpeg"),
        (clip["preview_url"], {"Accept": "image/webp,image/jpeg"}, b"preview.webp", "image/webp"),
        (clip["poster_url"], {}, b"poster.jpg", "image/jpeg"),
    ):
        answer = await alice.get(url, headers=headers)
        assert (answer.status_code, answer.headers["cache-control"]) == (302, "no-store")
        file = await anonymous.get(answer.headers["location"])
        assert (file.content, file.headers["content-type"]) == (content, content_type)
        if url == clip["download_url"]:
            assert 'filename="stage-00m12s-vertical.mp4"' in file.headers["content-disposition"]
            part = await anonymous.get(answer.headers["location"], headers={"Range": "bytes=1-2"})
            assert (part.status_code, part.content) == (206, b"li")


async def test_the_best_of_each_length_are_one_request(alice: Person, database: Database) -> None:
    video_id = await a_video(database, alice)

    asked = await ask(alice, video_id, highlights={"lengths": [15, 30, 15], "count": 3}, bytes_max=5_000_000)

    wishes = [(clip["wish"]["length"], clip["wish"]["rank"]) for clip in asked["clips"]]
    assert wishes == [(15, 0), (15, 1), (15, 2), (30, 0), (30, 1), (30, 2)]
    assert {clip["wish"]["bytes_max"] for clip in asked["clips"]} == {5_000_000}
    default = await ask(alice, video_id, highlights={})
    assert [clip["length"] for clip in default["clips"]] == [30] * 5


async def test_lengths_for_which_a_video_has_no_room_are_left_out_of_a_batch(
    alice: Person, database: Database
) -> None:
    video_id = await a_video(database, alice, seconds=20)
    asked = await ask(alice, video_id, highlights={"lengths": [15, 30, 60], "count": 1})
    assert [clip["length"] for clip in asked["clips"]] == [15]

    none = {"video_id": video_id, "highlights": {"lengths": [30, 60]}}
    assert_problem(await alice.post("/v1/clips", json=none, headers=key()), 422, "clip_longer_than_video")


async def test_of_an_analysed_video_a_batch_holds_only_what_exists(
    alice: Person, api: Api, database: Database
) -> None:
    video_id = await a_video(database, alice)
    chorus, intro = SectionType.CHORUS, SectionType.INTRO
    analysis = an_analysis((15, chorus), (15, SectionType.VERSE), (30, chorus), sections=(intro, chorus))
    first = await ask(alice, video_id, length=15)
    await make(database, api.services.store, first["job"]["id"], analysis=analysis)

    async def found(**highlights: Any) -> list[tuple[int, int]]:
        asked = await ask(alice, video_id, highlights=highlights)
        return [(clip["wish"]["length"], clip["wish"]["rank"]) for clip in asked["clips"]]

    assert await found(lengths=[15, 30, 60], count=4) == [(15, 0), (15, 1), (30, 0)]
    assert await found(lengths=[15], type="chorus") == [(15, 0), (15, 1)]
    assert await found(type="intro") == [(30, 0)]
    for none in ({"type": "bridge"}, {"lengths": [60]}):
        body = {"video_id": video_id, "highlights": none}
        answer = await alice.post("/v1/clips", json=body, headers=key())
        assert_problem(answer, 422, "no_such_highlight")
    for none in ({"length": 30, "type": "bridge"}, {"length": 15, "type": "chorus", "rank": 19}):
        answer = await alice.post("/v1/clips", json={"video_id": video_id, **none}, headers=key())
        assert_problem(answer, 422, "no_such_highlight")
        answer = await alice.post(first["clips"][0]["regenerate_url"], json=none, headers=key())
        assert_problem(answer, 422, "no_such_highlight")


async def test_a_list_of_wishes_takes_the_common_format_where_it_names_none(
    alice: Person, database: Database
) -> None:
    wishes = [{"length": 15}, {"start": 1, "end": 2.5, "format": "square"}]

    asked = await ask(alice, await a_video(database, alice), clips=wishes, format="vertical")

    assert [clip["format"] for clip in asked["clips"]] == ["vertical", "square"]
    assert (asked["clips"][1]["start"], asked["clips"][1]["end"]) == (1, 2.5)
    assert asked["job"]["quote"]["credits"] == 6


@pytest.mark.parametrize(
    ("wish", "code"),
    [
        ({"start": 60, "end": 70}, "range_outside"),
        ({"start": 100, "end": 110}, "range_outside"),
        ({"start": 0, "end": 90}, "clip_longer_than_video"),
        ({"clips": [{"length": 15}, {"start": 55, "end": 62}]}, "range_outside"),
        ({"start": 5, "end": 5}, "validation_failed"),
        ({"start": 9, "end": 5}, "validation_failed"),
        ({"start": 0, "end": 0.5}, "validation_failed"),
        ({"start": 0, "end": 181}, "validation_failed"),
        ({"start": -1, "end": 5}, "validation_failed"),
        ({"start": 5}, "validation_failed"),
        ({"length": 45}, "validation_failed"),
        ({"length": 30, "type": "verse"}, "validation_failed"),
        ({"length": 30, "start": 0, "end": 5}, "validation_failed"),
        ({"length": 30, "format": "round"}, "validation_failed"),
        ({"length": 30, "rank": 20}, "validation_failed"),
        ({"length": 30, "bytes_max": 10**13}, "validation_failed"),
        ({"length": 30, "bytes_max": 999_999}, "validation_failed"),
        ({"clips": []}, "validation_failed"),
        ({"clips": [{"length": 15}] * 21}, "validation_failed"),
        ({"clips": [{"start": 3, "end": 2}]}, "validation_failed"),
        ({"highlights": {"lengths": [15, 30, 60], "count": 7}}, "validation_failed"),
        ({}, "validation_failed"),
    ],
)
async def test_what_cannot_be_is_refused_and_nothing_is_held(
    wish: dict[str, Any], code: str, alice: Person, database: Database
) -> None:
    body = {"video_id": await a_video(database, alice), **wish}

    answer = await alice.post("/v1/clips", json=body, headers=key())

    assert_problem(answer, 422, code)
    await assert_nothing_is_held(alice)


async def test_a_list_with_one_wrong_wish_is_not_called_too_short_besides(
    alice: Person, database: Database
) -> None:
    body = {"video_id": await a_video(database, alice), "clips": [{"start": 3, "end": 2}]}

    problem = assert_problem(
        await alice.post("/v1/clips", json=body, headers=key()), 422, "validation_failed"
    )

    assert [error["message"] for error in problem["errors"]] == ["start must come before end"]


@pytest.mark.parametrize(
    ("wish", "code"),
    [({"start": 60, "end": 70}, "range_outside"), ({"start": 0, "end": 90}, "clip_longer_than_video")],
)
async def test_nor_does_a_plain_job_hold_anything_for_it(
    wish: dict[str, Any], code: str, alice: Person, database: Database
) -> None:
    video_id = await a_video(database, alice)
    body = {"kind": "clip", "source": {"video_id": video_id}, "params": {"clips": [{"length": 15}, wish]}}

    answer = await alice.post("/v1/jobs", json=body, headers=key())

    assert_problem(answer, 422, code)
    await assert_nothing_is_held(alice)


async def assert_nothing_is_held(who: Person) -> None:
    balance = (await who.get("/v1/credits/balance")).json()
    assert (balance["available"], balance["held"]) == (100, 0)
    assert (await who.get("/v1/videos/jobs")).json()["data"] == []


async def test_a_refusal_says_what_is_wrong_in_both_languages(alice: Person, database: Database) -> None:
    video_id = await a_video(database, alice)
    for wish, korean, english in (
        ({"start": 60, "end": 70}, "61.000초", "61.000 seconds"),
        ({"start": 0, "end": 90}, "클립은 90초", "would last 90"),
    ):
        body = {"video_id": video_id, **wish}
        for language, words in (("ko", korean), ("en", english)):
            headers = {**key(), "Accept-Language": language}
            assert words in (await alice.post("/v1/clips", json=body, headers=headers)).json()["detail"]
    body = {"video_id": video_id, "start": 9, "end": 5}
    answer = await alice.post("/v1/clips", json=body, headers={**key(), "Accept-Language": "ko"})
    [error] = answer.json()["errors"]
    assert (error["field"], error["message"]) == ("body", "start는 end보다 앞서야 합니다")
    body = {"video_id": video_id, "clips": [{"length": 15, "rank": -1}]}
    error, *_ = (await alice.post("/v1/clips", json=body, headers=key())).json()["errors"]
    assert error["field"] == "body.clips.0.rank"


async def test_sections_of_a_video_without_sound_are_refused_but_ranges_are_cut(
    alice: Person, database: Database
) -> None:
    video_id = await a_video(database, alice, sound=False)
    for wish in ({"length": 15}, {"highlights": {}}, {"clips": [{"start": 0, "end": 5}, {"length": 15}]}):
        answer = await alice.post("/v1/clips", json={"video_id": video_id, **wish}, headers=key())
        assert_problem(answer, 422, "no_audio")
    assert len((await ask(alice, video_id, start=0, end=5))["clips"]) == 1


async def test_only_ones_own_checked_videos_are_cut(
    alice: Person, bob: Person, login: Login, database: Database
) -> None:
    mine, pending = await a_video(database, alice), (await create_job(alice))["source_video_id"]
    for person, video_id, status, code in (
        (bob, mine, 404, "not_found"),
        (alice, "vid_" + "0" * 32, 404, "not_found"),
        (alice, pending, 409, "video_not_ready"),
        (login("fin", "finance"), mine, 403, "forbidden"),
    ):
        body = {"video_id": video_id, "length": 15}
        assert_problem(await person.post("/v1/clips", json=body, headers=key()), status, code)
    async with database.transaction() as session:
        assert await retention.give_up_video(session, VideoId(mine))
    body = {"video_id": mine, "length": 15}
    assert_problem(await alice.post("/v1/clips", json=body, headers=key()), 404, "not_found")


async def test_clips_of_a_video_are_listed_newest_first_and_filtered(
    alice: Person, bob: Person, api: Api, database: Database
) -> None:
    video_id = await a_video(database, alice)
    first = await ask(alice, video_id, clips=[{"length": 15}, {"length": 30, "format": "square"}])
    await make(database, api.services.store, first["job"]["id"], failed={1: "no_such_highlight"})
    second = await ask(alice, video_id, start=1, end=9)
    await ask(alice, await a_video(database, alice), start=1, end=9)
    old, failed = (clip["id"] for clip in first["clips"])
    new = second["clips"][0]["id"]
    url = f"/v1/videos/{video_id}/clips"

    async def listed(**query: Any) -> list[str]:
        answer = await alice.get(url, params=query)
        assert answer.status_code == 200, answer.text
        return [clip["id"] for clip in answer.json()["data"]]

    assert await listed() == [new, failed, old]
    assert await listed(state="failed") == [failed]
    assert await listed(state=["ready", "pending"]) == [new, old]
    assert await listed(type="chorus") == [old]
    assert await listed(length=[15, 60]) == [old]
    assert await listed(format="square") == [failed]
    page = (await alice.get(url, params={"limit": 2})).json()
    assert page["has_more"]
    assert await listed(starting_after=page["data"][-1]["id"]) == [old]
    assert_problem(await alice.get(url, params={"length": 20}), 422, "validation_failed")
    assert_problem(await bob.get(url), 404, "not_found")


async def test_a_clip_that_failed_says_why_in_the_readers_language(alice: Person, database: Database) -> None:
    asked = await ask(alice, await a_video(database, alice), length=15)
    await fail(database, asked["job"]["id"], "no_music")

    clip = (await alice.get(asked["clips"][0]["clip_url"], headers={"Accept-Language": "ko"})).json()

    assert (clip["state"], clip["credit_effect"]) == ("failed", "released")
    assert clip["failure"] == {"code": "no_music", "message": "소리는 있지만 음악이 없는 파일입니다."}
    assert_problem(await alice.get(clip["download_url"]), 409, "job_state_conflict")
    assert (await alice.delete(clip["clip_url"])).status_code == 204
    assert_problem(await alice.get(clip["clip_url"]), 404, "not_found")


async def test_a_clip_that_failed_for_what_no_version_of_the_api_knows_is_shown_all_the_same(
    alice: Person, database: Database
) -> None:
    """A worker of another version may name its fault in words of its own."""
    asked = await ask(alice, await a_video(database, alice), length=15)
    await fail(database, asked["job"]["id"], "NotFoundError")
    clip = (await alice.get(asked["clips"][0]["clip_url"])).json()
    assert clip["failure"]["code"] == "NotFoundError"
    assert clip["failure"]["message"]


async def test_a_deleted_clip_takes_its_files_with_it_and_no_others(
    alice: Person, api: Api, database: Database
) -> None:
    store = api.services.store
    asked = await ask(alice, await a_video(database, alice), clips=[{"length": 15}, {"length": 30}])
    await make(database, store, asked["job"]["id"])
    files = result_prefix(JobId(asked["job"]["id"]))
    one, other = asked["clips"]
    assert len(await stored(store, files)) == 7

    assert (await alice.delete(one["clip_url"])).status_code == 204

    left = await stored(store, files)
    assert len(left) == 4
    assert not any(name.startswith("clips/00/") for name in left)
    for url in (one["clip_url"], one["download_url"], one["preview_url"], one["shares_url"]):
        assert_problem(await alice.get(url), 404, "not_found")
    assert_problem(await alice.delete(one["clip_url"]), 404, "not_found")
    assert (await alice.get(other["download_url"])).status_code == 302
