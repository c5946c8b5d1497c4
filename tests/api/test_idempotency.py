from __future__ import annotations

import asyncio

import pytest

from tests.api.acts import Login, Person, assert_problem, create_job, grant, key, upload_request


async def test_a_job_without_a_key_is_refused(alice: Person) -> None:
    assert_problem(await alice.post("/v1/jobs", json=upload_request()), 400, "idempotency_key_missing")


@pytest.mark.parametrize("bad", ["", "a" * 256, "two words"])
async def test_a_key_is_a_short_word(bad: str, alice: Person) -> None:
    answer = await alice.post("/v1/jobs", json=upload_request(), headers={"Idempotency-Key": bad})
    assert_problem(answer, 422, "validation_failed")


async def test_a_repeated_request_is_answered_alike_and_done_once(alice: Person) -> None:
    headers = key()
    first = await alice.post("/v1/jobs", json=upload_request(), headers=headers)

    again = await alice.post("/v1/jobs", json=upload_request(), headers=headers)

    assert again.status_code == first.status_code == 201
    assert again.json() == first.json()
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    assert len((await alice.get("/v1/videos/jobs")).json()["data"]) == 1
    assert (await alice.get("/v1/credits/balance")).json()["held"] == 10


async def test_a_key_belongs_to_one_body(alice: Person) -> None:
    headers = key()
    await alice.post("/v1/jobs", json=upload_request(), headers=headers)

    answer = await alice.post("/v1/jobs", json=upload_request(b"another file"), headers=headers)

    assert_problem(answer, 422, "idempotency_key_reused")


async def test_a_key_belongs_to_one_user(alice: Person, bob: Person, admin: Person) -> None:
    await grant(admin, bob)
    headers = key()

    first = await alice.post("/v1/jobs", json=upload_request(), headers=headers)
    second = await bob.post("/v1/jobs", json=upload_request(), headers=headers)

    assert second.status_code == 201
    assert second.json()["id"] != first.json()["id"]


async def test_many_twins_at_once_make_one_job(alice: Person) -> None:
    headers = key()

    answers = await asyncio.gather(
        *(alice.post("/v1/jobs", json=upload_request(), headers=headers) for _ in range(8))
    )

    made = [answer for answer in answers if answer.status_code == 201]
    assert len({answer.json()["id"] for answer in made}) == 1
    assert len([answer for answer in made if "idempotent-replayed" not in answer.headers]) == 1
    for answer in answers:
        if answer.status_code != 201:
            assert assert_problem(answer, 409, "idempotency_in_flight")["retryable"] is True
    assert (await alice.get("/v1/credits/balance")).json()["held"] == 10


async def test_a_refused_request_leaves_its_key_free(bob: Person, admin: Person) -> None:
    headers = key()
    assert_problem(await bob.post("/v1/jobs", json=upload_request(), headers=headers), 402, "credits_short")
    await grant(admin, bob)

    answer = await bob.post("/v1/jobs", json=upload_request(), headers=headers)

    assert answer.status_code == 201


async def test_a_grant_is_booked_once(admin: Person, bob: Person) -> None:
    headers = key()
    body = {"user": {"subject": bob.subject}, "credits": 7, "bucket": "paid", "reason": "goodwill"}

    for _ in range(2):
        answer = await admin.post("/v1/admin/credits/grants", json=body, headers=headers)
        assert (answer.status_code, answer.json()["balance"]["available_paid"]) == (201, 7)

    assert (await bob.get("/v1/credits/balance")).json()["available"] == 7


async def test_a_grant_keeps_what_the_user_said_of_themselves(admin: Person, login: Login) -> None:
    person = login("kim", locale="ko")
    before = (await person.get("/v1/me")).json()

    await grant(admin, person)

    body = {"user": {"user_id": before["user_id"]}, "credits": 1, "reason": "by id"}
    answer = await admin.post("/v1/admin/credits/grants", json=body, headers=key())
    assert answer.json()["user_id"] == before["user_id"]
    assert answer.json()["balance"]["available"] == 101
    assert (await person.get("/v1/me")).json() == before


async def test_a_grant_to_nobody_is_not_found(admin: Person) -> None:
    body = {"user": {"user_id": "usr_" + "0" * 32}, "credits": 1, "reason": "typo"}
    assert_problem(await admin.post("/v1/admin/credits/grants", json=body, headers=key()), 404, "not_found")


async def test_a_naturally_idempotent_post_needs_no_key(alice: Person) -> None:
    job = await create_job(alice)
    assert (await alice.post(f"/v1/jobs/{job['id']}/upload")).status_code == 200
