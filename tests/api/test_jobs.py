from __future__ import annotations

import httpx

from tests.api.acts import CONTENT, assert_problem, create_job, grant, key, upload_request


async def test_a_new_job_holds_its_price_and_says_where_to_upload(
    alice: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    await grant(admin, "alice", 100)

    answer = await alice.post("/v1/jobs", json=upload_request(duration_ms=61_000), headers=key())

    assert answer.status_code == 201
    job = answer.json()
    assert answer.headers["location"] == job["status_url"]
    assert job["status"] == "CREATED"
    assert job["quote"] == {
        "credits": 20, "started_minutes": 2, "credits_per_minute": 10, "basis": "declared"
    }  # fmt: skip
    assert (job["credit_effect"], job["credits_held"]) == ("held", 20)
    assert [stage["name"] for stage in job["stages"]] == ["ingest", "upscale", "interpolate", "mux"]
    assert job["upload"]["method"] == "PUT"
    assert job["duplicate"] is False
    balance = (await alice.get("/v1/credits/balance")).json()
    assert (balance["available"], balance["held"]) == (80, 20)


async def test_a_job_without_enough_credits_is_refused_and_leaves_nothing(
    alice: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    await grant(admin, "alice", 9)

    answer = await alice.post("/v1/jobs", json=upload_request(), headers=key())

    body = assert_problem(answer, 402, "credits_short")
    assert (body["required"], body["available"]) == (10, 9)
    assert (await alice.get("/v1/videos/jobs")).json() == {"data": [], "has_more": False}
    assert (await alice.get("/v1/credits/balance")).json()["held"] == 0


async def test_an_announced_upload_lets_the_job_go_on(
    alice: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    await grant(admin, "alice")
    job = await create_job(alice)
    async with httpx.AsyncClient() as s3:
        put = await s3.put(job["upload"]["url"], content=CONTENT, headers=job["upload"]["headers"])
    assert put.status_code == 200

    answer = await alice.patch(job["ingested_url"])

    assert answer.status_code == 200, answer.text
