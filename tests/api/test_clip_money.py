"""What clips cost: one hold for a batch, the price of what was made, and one free second try."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from api.clips.creating import FREE
from contracts.kinds import CLIP
from contracts.kinds.clip import ClipParams, ClipSpec
from contracts.kinds.music import SectionType
from db.engine import Database
from tests.api.acts import Person, assert_problem, fail, grant, key
from tests.api.cutting import a_video, an_analysis, make, pass_time
from tests.api.serving import Api
from tests.api.test_charges import held, refunded
from tests.api.till import VISA, Till
from tests.books import assert_books_coherent, run_sql

FOUR = [{"length": 15}, {"length": 30}, {"start": 1, "end": 9}, {"length": 60}]


@pytest.fixture(autouse=True)
async def books(database: Database) -> AsyncIterator[None]:
    yield
    await assert_books_coherent(database)


async def ask(person: Person, video_id: str, **wish: Any) -> dict[str, Any]:
    answer = await person.post("/v1/clips", json={"video_id": video_id, **wish}, headers=key())
    assert answer.status_code == 201, answer.text
    return answer.json()


async def again(person: Person, clip: dict[str, Any], **wish: Any) -> dict[str, Any]:
    answer = await person.post(clip["regenerate_url"], json=wish, headers=key())
    assert answer.status_code == 201, answer.text
    return answer.json()


async def ready(alice: Person, api: Api, database: Database, **wish: Any) -> dict[str, Any]:
    """A clip that was paid for."""
    asked = await ask(alice, await a_video(database, alice), **(wish or {"length": 15, "type": "chorus"}))
    await make(database, api.services.store, asked["job"]["id"])
    return await now(alice, asked["clips"][0])


async def now(person: Person, clip: dict[str, Any]) -> dict[str, Any]:
    return (await person.get(clip["clip_url"])).json()


async def balance(person: Person) -> tuple[int, int]:
    found = (await person.get("/v1/credits/balance")).json()
    return found["available"], found["held"]


async def kinds_of_transfers(database: Database, job_id: str) -> list[tuple[str, int]]:
    rows = await run_sql(
        database, "SELECT kind, amount FROM transfers WHERE job_id = :job_id ORDER BY seq", job_id=job_id
    )
    return [(row.kind, row.amount) for row in rows]


async def test_a_batch_is_one_hold_and_takes_the_price_of_what_was_made(
    alice: Person, api: Api, database: Database
) -> None:
    asked = await ask(alice, await a_video(database, alice), clips=FOUR)
    assert await balance(alice) == (88, 12)

    await make(database, api.services.store, asked["job"]["id"], failed={1: "no_such_highlight"})

    assert await balance(alice) == (91, 0)
    assert await kinds_of_transfers(database, asked["job"]["id"]) == [("hold", 12), ("capture", 9)]
    clips = [await now(alice, clip) for clip in asked["clips"]]
    assert [(clip["state"], clip["credit_effect"], clip["credits"]) for clip in clips] == [
        ("ready", "captured", 3),
        ("failed", "released", 3),
        ("ready", "captured", 3),
        ("ready", "captured", 3),
    ]


async def test_a_batch_of_which_nothing_is_made_costs_nothing(alice: Person, database: Database) -> None:
    asked = await ask(alice, await a_video(database, alice), clips=FOUR)

    await fail(database, asked["job"]["id"], "no_such_highlight")

    assert await balance(alice) == (100, 0)
    assert {(await now(alice, clip))["credit_effect"] for clip in asked["clips"]} == {"released"}


async def test_too_few_credits_leave_neither_job_nor_clips(
    bob: Person, admin: Person, database: Database
) -> None:
    await grant(admin, bob, 2)
    video_id = await a_video(database, bob)

    answer = await bob.post("/v1/clips", json={"video_id": video_id, "length": 15}, headers=key())

    assert assert_problem(answer, 402, "credits_short")["required"] == 3
    assert (await bob.get(f"/v1/videos/{video_id}/clips")).json()["data"] == []
    assert (await bob.get("/v1/videos/jobs")).json()["data"] == []


async def test_a_repeat_asks_for_nothing_new(alice: Person, database: Database) -> None:
    video_id, headers = await a_video(database, alice), key()
    body = {"video_id": video_id, "length": 15}
    answers = [await alice.post("/v1/clips", json=body, headers=headers) for _ in range(2)]

    assert answers[0].json() == answers[1].json()
    assert answers[1].headers["idempotent-replayed"] == "true"
    assert len((await alice.get(f"/v1/videos/{video_id}/clips")).json()["data"]) == 1
    other = {**body, "length": 30}
    assert_problem(await alice.post("/v1/clips", json=other, headers=headers), 422, "idempotency_key_reused")
    assert await balance(alice) == (97, 3)


async def test_the_database_refuses_a_job_that_takes_more_or_less_than_its_clips_cost(
    alice: Person, api: Api, database: Database
) -> None:
    asked = await ask(alice, await a_video(database, alice), length=15)
    await make(database, api.services.store, asked["job"]["id"])
    clip = asked["clips"][0]["id"]
    with pytest.raises(Exception, match="what it is about cannot change"):
        await run_sql(database, "UPDATE clips SET credits = 1 WHERE id = :clip", clip=clip)
    with pytest.raises(Exception, match="what it is about cannot change"):
        await run_sql(database, "UPDATE clips SET made = NULL WHERE id = :clip", clip=clip)
    with pytest.raises(Exception, match="cannot go from ready to failed"):
        await run_sql(
            database,
            "UPDATE clips SET state = 'failed', failure_code = 'corrupt' WHERE id = :clip",
            clip=clip,
        )


async def test_the_next_best_is_made_once_for_nothing(alice: Person, api: Api, database: Database) -> None:
    clip = await ready(alice, api, database)
    assert clip["free_regeneration_until"] > clip["ready_at"]

    asked = await again(alice, clip)

    [new], job = asked["clips"], asked["job"]
    assert (new["regenerated_from"], new["credits"], new["credit_effect"]) == (clip["id"], 0, "none")
    assert (new["wish"]["length"], new["wish"]["type"], new["wish"]["rank"]) == (15, "chorus", 1)
    assert (job["quote"]["credits"], job["credit_effect"], job["credits_held"]) == (0, "none", 0)
    assert (await now(alice, clip))["free_regeneration_until"] is None
    await make(database, api.services.store, job["id"])
    assert await balance(alice) == (97, 0)
    assert await kinds_of_transfers(database, job["id"]) == []
    new = await now(alice, new)
    assert (new["state"], new["credit_effect"], new["free_regeneration_until"]) == ("ready", "none", None)
    assert (await alice.get(job["status_url"])).json()["credit_effect"] == "none"

    later = await again(alice, clip, rank=2)
    assert (later["clips"][0]["credits"], later["clips"][0]["credit_effect"]) == (3, "held")
    [unseen] = (await again(alice, clip))["clips"]
    assert unseen["wish"]["rank"] == 3
    [of_the_free] = (await again(alice, new))["clips"]
    assert (of_the_free["credits"], of_the_free["wish"]["rank"]) == (3, 2)
    assert await balance(alice) == (88, 9)


def test_what_was_free_when_it_was_asked_for_stays_free_when_it_is_measured() -> None:
    params = ClipParams(clips=(ClipSpec(length=15),), regenerates="clp_1")
    assert CLIP.quote(params, 61_000, "measured", first=FREE).credits == 0
    assert CLIP.quote(params, 61_000, "measured").credits == 3


async def test_other_wishes_keep_what_they_do_not_name(alice: Person, api: Api, database: Database) -> None:
    clip = await ready(alice, api, database, length=15, type="chorus", format="square", bytes_max=2_000_000)
    for wish, expected in (
        ({"start": 3, "end": 8}, {"start": 3, "end": 8, "length": None, "format": "square"}),
        ({"length": 30, "type": "climax"}, {"length": 30, "type": "climax", "rank": 0}),
        (
            {"rank": 4, "format": "original"},
            {"length": 15, "type": "chorus", "rank": 4, "format": "original"},
        ),
    ):
        [new] = (await again(alice, clip, **wish))["clips"]
        assert new["wish"] == {**new["wish"], **expected, "bytes_max": 2_000_000}
    assert (await alice.get(f"/v1/videos/{clip['video_id']}/clips")).json()["data"][0]["id"] == new["id"]


async def test_what_cannot_be_made_again_is_refused(alice: Person, api: Api, database: Database) -> None:
    clip = await ready(alice, api, database, start=1, end=9)
    for wish, code in (
        ({}, "range_needed"),
        ({"rank": 2}, "range_needed"),
        ({"start": 60, "end": 80}, "range_outside"),
        ({"start": 2}, "validation_failed"),
        ({"start": 2, "end": 9, "rank": 1}, "validation_failed"),
        ({"type": "chorus"}, "validation_failed"),
    ):
        assert_problem(await alice.post(clip["regenerate_url"], json=wish, headers=key()), 422, code)
    highlight = await ready(alice, api, database, length=15, rank=19)
    answer = await alice.post(highlight["regenerate_url"], json={}, headers=key())
    assert_problem(answer, 422, "no_such_highlight")
    [pending] = (await again(alice, clip, start=2, end=9))["clips"]
    answer = await alice.post(pending["regenerate_url"], json={"start": 1, "end": 2}, headers=key())
    assert_problem(answer, 409, "job_state_conflict")
    await alice.delete(clip["clip_url"])
    answer = await alice.post(clip["regenerate_url"], json={"start": 1, "end": 2}, headers=key())
    assert_problem(answer, 404, "not_found")


async def test_of_requests_at_once_one_is_free(alice: Person, api: Api, database: Database) -> None:
    clip = await ready(alice, api, database)

    asked = await asyncio.gather(*(again(alice, clip, rank=rank) for rank in range(1, 6)))

    prices = sorted(each["clips"][0]["credits"] for each in asked)
    assert prices == [0, 3, 3, 3, 3]
    assert await balance(alice) == (85, 12)


async def test_a_repeat_of_the_free_one_is_the_same_one(alice: Person, api: Api, database: Database) -> None:
    clip, headers = await ready(alice, api, database), key()
    answers = [await alice.post(clip["regenerate_url"], json={}, headers=headers) for _ in range(2)]

    assert answers[0].json() == answers[1].json()
    assert answers[1].headers["idempotent-replayed"] == "true"
    assert await balance(alice) == (97, 0)


@pytest.mark.parametrize("end", ["failed", "canceled"])
async def test_a_free_one_that_is_not_made_gives_the_right_back(
    end: str, alice: Person, api: Api, database: Database
) -> None:
    clip = await ready(alice, api, database)
    asked = await again(alice, clip)

    code = "no_such_highlight" if end == "failed" else "canceled_by_user"
    await fail(database, asked["job"]["id"], code)

    failed = await now(alice, asked["clips"][0])
    assert (failed["state"], failed["credit_effect"]) == ("failed", "none")
    assert (await now(alice, clip))["free_regeneration_until"] == clip["free_regeneration_until"]
    assert (await alice.delete(failed["clip_url"])).status_code == 204
    [new] = (await again(alice, clip, rank=3))["clips"]
    assert new["credits"] == 0
    assert await balance(alice) == (97, 0)


async def test_after_a_day_it_costs_what_a_clip_costs(alice: Person, api: Api, database: Database) -> None:
    clip = await ready(alice, api, database)
    await pass_time(database, clip["id"], 24)
    assert (await now(alice, clip))["free_regeneration_until"] is None

    [new] = (await again(alice, clip))["clips"]

    assert new["credits"] == 3
    with pytest.raises(Exception, match="cannot be free"):
        await run_sql(
            database,
            """INSERT INTO clips (id, user_id, video_id, job_id, position, state, spec, format, credits,
                      regenerated_from) SELECT 'clp_free', user_id, video_id, job_id, 9, 'pending', spec, format, 0, id
                 FROM clips WHERE id = :clip""",
            clip=clip["id"],
        )


async def test_a_foreign_clip_is_not_made_again_by_a_job_either(
    alice: Person, bob: Person, admin: Person, api: Api, database: Database
) -> None:
    clip = await ready(alice, api, database)
    await grant(admin, bob)
    video_id = await a_video(database, bob)
    body = {
        "kind": "clip",
        "params": {"clips": [{"length": 15}], "regenerates": clip["id"]},
        "source": {"video_id": video_id},
    }
    assert_problem(await bob.post("/v1/jobs", json=body, headers=key()), 404, "not_found")
    assert_problem(await bob.post(clip["regenerate_url"], json={}, headers=key()), 404, "not_found")


async def test_a_card_pays_for_a_batch_and_gets_back_what_was_not_made(till: Till) -> None:
    till.shop.house.stand_ins.on["ingest"] = asyncio.Event().wait  # type: ignore[assignment]
    alice = till.person("alice")
    body = {
        "video_id": await a_video(till.database, alice),
        "highlights": {"lengths": [15, 30], "count": 2},
        "funding": {"type": "charge", "payment_method": VISA},
    }
    headers = key()

    first = await alice.post("/v1/clips", json=body, headers=headers)

    assert first.status_code == 201, first.text
    job, clips = first.json()["job"], first.json()["clips"]
    assert job["charge"]["amount_krw"] == 1_200
    await held(alice, job)
    assert (await now(alice, clips[0]))["credit_effect"] == "held"
    again = await alice.post("/v1/clips", json=body, headers=headers)
    assert (again.json()["job"]["id"], again.json()["job"]["charge"]["status"]) == (job["id"], "PAID")
    assert {clip["credit_effect"] for clip in again.json()["clips"]} == {"held"}
    analysis = an_analysis((15, SectionType.CHORUS))
    await make(
        till.database, till.api.services.store, job["id"], failed={3: "no_such_highlight"}, analysis=analysis
    )

    ended = await refunded(till, alice, job)
    assert (ended["credit_effect"], ended["charge"]["refunds"][0]["amount_krw"]) == ("captured", 300)
    assert await balance(alice) == (0, 0)
    assert [(await now(alice, clip))["credit_effect"] for clip in clips] == [*["captured"] * 3, "released"]
    # Days later, when the video is analysed and a new request would be for one clip.
    await till.execute("DELETE FROM idempotency_keys")
    late = await alice.post("/v1/clips", json=body, headers=headers)
    assert late.json()["job"]["id"] == job["id"]
    assert [clip["id"] for clip in late.json()["clips"]] == [clip["id"] for clip in clips]
    other = {**body, "highlights": {"lengths": [15], "count": 2}}
    await till.execute("DELETE FROM idempotency_keys")
    assert_problem(await alice.post("/v1/clips", json=other, headers=headers), 422, "idempotency_key_reused")
    assert len(await till.shop.payments()) == 1
    await till.shop.assert_agreed()


async def test_a_card_is_not_charged_for_one_clip(till: Till) -> None:
    alice = till.person("alice")
    funding = {"type": "charge", "payment_method": VISA}
    body = {"video_id": await a_video(till.database, alice), "length": 15, "funding": funding}
    assert_problem(await alice.post("/v1/clips", json=body, headers=key()), 422, "amount_too_small")
    assert await till.rows("SELECT id FROM clips") == []
