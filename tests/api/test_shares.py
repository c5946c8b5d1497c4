"""Links to clips: for everybody who has them, for as long as they are meant to work."""

from __future__ import annotations

import asyncio
import logging
import re
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from db.engine import Database
from tests.api.acts import Person, assert_problem, key
from tests.api.cutting import a_video, make, pass_time
from tests.api.serving import Api
from tests.books import run_sql


async def a_clip(alice: Person, api: Api, database: Database, filename: str = "stage.mp4") -> dict[str, Any]:
    body = {"video_id": await a_video(database, alice, filename=filename), "length": 15}
    asked = (await alice.post("/v1/clips", json=body, headers=key())).json()
    await make(database, api.services.store, asked["job"]["id"])
    return (await alice.get(asked["clips"][0]["clip_url"])).json()


async def share(alice: Person, clip: dict[str, Any], **wish: Any) -> dict[str, Any]:
    answer = await alice.post(clip["share_url"], json=wish, headers=key())
    assert answer.status_code == 201, answer.text
    return answer.json()


async def views(alice: Person, clip: dict[str, Any]) -> list[int]:
    return [each["views"] for each in (await alice.get(clip["shares_url"])).json()["data"]]


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


async def test_a_link_leads_everybody_to_a_page_with_a_player(
    alice: Person, api: Api, database: Database, anonymous: httpx.AsyncClient
) -> None:
    clip = await a_clip(alice, api, database)

    made = await share(alice, clip, hours=2)

    assert moment(made["expires_at"]) - moment(made["created_at"]) == timedelta(hours=2)
    assert (made["views"], made["revoked_at"], made["clip_id"]) == (0, None, clip["id"])
    page = await anonymous.get(made["url"])
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    for expected in (
        '<meta property="og:title" content="stage">',
        f'<meta property="og:image" content="{made["url"]}/poster">',
        f'<meta property="og:video" content="{made["url"]}/video">',
        '<meta property="og:video:width" content="64">',
        '<meta property="og:video:height" content="36">',
        '<meta name="twitter:card" content="player">',
        '<meta name="robots" content="noindex">',
        f'poster="{made["url"]}/poster"',
        f'<source src="{made["url"]}/video" type="video/mp4">',
        "A clip of 15 seconds · chorus",
    ):
        assert expected in page.text
    me = (await alice.get("/v1/me")).json()
    for hidden in (me["user_id"], alice.subject, clip["id"], clip["video_id"], clip["job_id"]):
        assert hidden not in page.text
    for leaf, content in (("video", b"clip 0"), ("poster", b"poster.jpg")):
        answer = await anonymous.get(f"{made['url']}/{leaf}")
        assert (answer.status_code, answer.headers["cache-control"]) == (302, "no-store")
        assert (await anonymous.get(answer.headers["location"])).content == content
        asked = await anonymous.head(f"{made['url']}/{leaf}")
        there = await anonymous.head(asked.headers["location"])
        assert (there.status_code, there.headers["content-length"]) == (200, str(len(content)))


async def test_the_page_runs_nothing_and_may_load_only_the_clip(
    alice: Person, api: Api, database: Database, anonymous: httpx.AsyncClient
) -> None:
    made = await share(alice, await a_clip(alice, api, database, filename='"><script>alert(1)</script>&.mp4'))

    page = await anonymous.get(made["url"])

    assert "<script" not in page.text
    assert page.text.count("&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;&amp;") >= 4
    policy = dict(part.strip().split(" ", 1) for part in page.headers["content-security-policy"].split(";"))
    store = str(api.settings.s3_endpoint)
    assert policy["default-src"] == "'none'"
    assert policy["media-src"] == policy["img-src"] == f"'self' {store}"
    assert policy["style-src"].startswith("'sha256-")
    assert (policy["form-action"], policy["base-uri"]) == ("'none'", "'none'")
    assert "script-src" not in policy
    for name, value in (
        ("x-robots-tag", "noindex"),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
        ("cache-control", "no-store"),
    ):
        assert page.headers[name] == value
    assert not re.search(r" on\w+=| style=", page.text)


async def test_the_page_speaks_korean_and_english(
    alice: Person, api: Api, database: Database, anonymous: httpx.AsyncClient
) -> None:
    made = await share(alice, await a_clip(alice, api, database, filename="무대.mp4"))

    korean = await anonymous.get(made["url"], headers={"Accept-Language": "ko-KR,ko;q=0.9,en;q=0.8"})

    assert korean.headers["content-language"] == "ko"
    assert "Accept-Language" in korean.headers["vary"]
    assert '<html lang="ko">' in korean.text
    assert "<h1>무대</h1><p>15초 클립 · 후렴</p>" in korean.text
    english = await anonymous.get(made["url"], headers={"Accept-Language": "fr"})
    assert '<html lang="en">' in english.text
    gone = await anonymous.get(made["url"] + "x", headers={"Accept-Language": "ko"})
    assert (gone.status_code, "클립이 없습니다" in gone.text) == (404, True)


async def test_every_opening_is_counted_once_and_files_are_not(
    alice: Person, api: Api, database: Database, anonymous: httpx.AsyncClient
) -> None:
    clip = await a_clip(alice, api, database)
    first, second = await share(alice, clip), await share(alice, clip)

    await asyncio.gather(*(anonymous.get(first["url"]) for _ in range(5)))
    await anonymous.get(second["url"])
    for leaf in ("video", "poster"):
        await anonymous.get(f"{first['url']}/{leaf}")
    assert (await anonymous.head(first["url"])).status_code == 200

    assert await views(alice, clip) == [1, 5]


@pytest.mark.parametrize("end", ["expired", "revoked", "deleted"])
async def test_a_link_that_has_ended_says_so_and_leads_nowhere(
    end: str, alice: Person, api: Api, database: Database, anonymous: httpx.AsyncClient
) -> None:
    clip = await a_clip(alice, api, database)
    made, other = await share(alice, clip, hours=1), await share(alice, clip, hours=720)
    match end:
        case "expired":
            await run_sql(
                database,
                """UPDATE clip_shares SET created_at = created_at - interval '1 hour',
                          expires_at = expires_at - interval '1 hour' WHERE id = :id""",
                id=made["id"],
            )
        case "revoked":
            url = f"{clip['shares_url']}/{made['id']}"
            assert [(await alice.delete(url)).status_code for _ in range(2)] == [204, 204]
        case _:
            assert (await alice.delete(clip["clip_url"])).status_code == 204

    for leaf in ("", "/video", "/poster"):
        answer = await anonymous.get(made["url"] + leaf)
        assert answer.status_code == 410
        assert answer.headers["content-type"].startswith("text/html")
        assert "no longer shared" in answer.text
        assert "stage" not in answer.text
    assert (await anonymous.get(other["url"])).status_code == (410 if end == "deleted" else 200)
    rows = await run_sql(database, "SELECT views FROM clip_shares WHERE id = :id", id=made["id"])
    assert rows[0].views == 0


async def test_nobody_finds_a_link_by_trying(anonymous: httpx.AsyncClient) -> None:
    for token in ("x", "x" * 32, "%00", "..%2f", "x" * 2000):
        for leaf in ("", "/video", "/poster"):
            answer = await anonymous.get(f"/s/{token}{leaf}")
            assert answer.status_code == 404, token


async def test_a_link_is_made_of_what_is_there_by_its_owner_once_a_key(
    alice: Person, bob: Person, api: Api, database: Database
) -> None:
    clip, headers = await a_clip(alice, api, database), key()
    for hours in (0, 721):
        answer = await alice.post(clip["share_url"], json={"hours": hours}, headers=key())
        assert_problem(answer, 422, "validation_failed")
    assert_problem(await bob.post(clip["share_url"], json={}, headers=key()), 404, "not_found")
    assert_problem(await alice.post(clip["share_url"], json={}), 400, "idempotency_key_missing")
    answers = [await alice.post(clip["share_url"], json={}, headers=headers) for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    assert len((await alice.get(clip["shares_url"])).json()["data"]) == 1
    other = await a_clip(alice, api, database)
    url = f"{other['shares_url']}/{answers[0].json()['id']}"
    assert_problem(await alice.delete(url), 404, "not_found")
    pending = {"video_id": clip["video_id"], "length": 15}
    [new] = (await alice.post("/v1/clips", json=pending, headers=key())).json()["clips"]
    assert_problem(await alice.post(new["share_url"], json={}, headers=key()), 409, "result_not_ready")


async def test_no_link_outlives_its_clip(alice: Person, api: Api, database: Database) -> None:
    clip = await a_clip(alice, api, database)
    await pass_time(database, clip["id"], 24 * api.settings.result_days - 10)

    made = await share(alice, clip, hours=720)

    assert made["expires_at"] == (await alice.get(clip["clip_url"])).json()["expires_at"]
    await pass_time(database, clip["id"], 11)
    assert_problem(await alice.post(clip["share_url"], json={}, headers=key()), 410, "result_expired")


async def test_the_log_does_not_tell_the_token(
    alice: Person,
    api: Api,
    database: Database,
    anonymous: httpx.AsyncClient,
    caplog: pytest.LogCaptureFixture,
) -> None:
    made = await share(alice, await a_clip(alice, api, database))
    with caplog.at_level(logging.INFO, logger="echoshot.api"):
        await anonymous.get(made["url"])
        await anonymous.get(made["url"] + "/video")

    paths = [vars(record)["fields"]["path"] for record in caplog.records if "fields" in vars(record)]
    assert paths[-2:] == ["/s/{token}", "/s/{token}/video"]
