from __future__ import annotations

import asyncio

import pytest
from temporalio.client import Client

from contracts.settings import Settings
from db.engine import Database
from storage.keys import source_key
from tests.api.acts import (
    CONTENT,
    Person,
    assert_problem,
    create_job,
    fail,
    grant,
    key,
    upload,
    upload_request,
)
from tests.api.serving import Api, served

MIB = 1024**2
LARGE = bytes(range(256)) * (9 * MIB // 256)
"""Two parts: 8 MiB and 1 MiB."""


async def signals_of(client: Client, job_id: str) -> int:
    history = client.get_workflow_handle(f"job/{job_id}").fetch_history_events()
    return len([e async for e in history if e.HasField("workflow_execution_signaled_event_attributes")])


async def stored(api: Api, person: Person, video_id: str) -> bytes:
    user_id = (await person.get("/v1/me")).json()["user_id"]
    client = api.services.store.client
    found = client.get_object(Bucket=api.settings.s3_bucket, Key=source_key(user_id, video_id))  # pyright: ignore[reportArgumentType]
    with found["Body"] as body:
        return body.read()


# One PUT


async def test_a_small_file_is_uploaded_by_one_put_and_announced(
    alice: Person, api: Api, temporal_client: Client
) -> None:
    job = await create_job(alice)
    assert (await upload(job["upload"])).status_code == 200

    answer = await alice.patch(job["ingested_url"])

    assert answer.status_code == 200, answer.text
    assert await stored(api, alice, job["source_video_id"]) == CONTENT
    assert (await alice.get(f"/v1/videos/{job['source_video_id']}")).json()["state"] == "uploaded"
    assert await signals_of(temporal_client, job["id"]) == 1


async def test_announcing_again_is_harmless_and_mends_a_lost_signal(
    alice: Person, temporal_client: Client
) -> None:
    job = await create_job(alice)
    await upload(job["upload"])
    for _ in range(2):
        assert (await alice.patch(job["ingested_url"])).status_code == 200
    assert await signals_of(temporal_client, job["id"]) == 2


async def test_an_upload_is_not_announced_before_the_file_is_there(
    alice: Person, temporal_client: Client
) -> None:
    job = await create_job(alice)

    assert_problem(await alice.patch(job["ingested_url"]), 409, "upload_incomplete")

    assert await signals_of(temporal_client, job["id"]) == 0
    assert (await alice.get(f"/v1/videos/{job['source_video_id']}")).json()["state"] == "pending"


async def test_a_file_of_another_size_is_not_taken(alice: Person, api: Api) -> None:
    job = await create_job(alice)
    user_id = (await alice.get("/v1/me")).json()["user_id"]
    object_key = source_key(user_id, job["source_video_id"])
    store = api.services.store
    await asyncio.to_thread(store.client.put_object, Bucket=store.bucket, Key=object_key, Body=CONTENT[1:])

    body = assert_problem(await alice.patch(job["ingested_url"]), 422, "size_mismatch")

    assert (body["announced"], body["stored"]) == (len(CONTENT), len(CONTENT) - 1)


async def test_an_announcement_that_cannot_reach_the_workflow_may_be_repeated(
    api_settings: Settings, alice: Person, temporal_client: Client
) -> None:
    job = await create_job(alice)
    await upload(job["upload"])
    async with served(api_settings.model_copy(update={"temporal_address": "127.0.0.1:9"})) as cut_off:
        answer = await alice.patch(f"{cut_off.url}/v1/jobs/{job['id']}/ingested")
        assert assert_problem(answer, 503, "unavailable")["retryable"] is True

    assert (await alice.patch(job["ingested_url"])).status_code == 200
    assert await signals_of(temporal_client, job["id"]) == 1


@pytest.mark.parametrize("content", [CONTENT[:-1], CONTENT + b"!", b""])
async def test_a_put_of_another_length_is_refused_by_the_store(content: bytes, alice: Person) -> None:
    target = (await create_job(alice))["upload"]
    headers = {**target["headers"], "Content-Length": str(len(content))}

    answer = await upload({**target, "headers": headers}, content)

    assert answer.status_code == 403


async def test_a_put_of_another_type_or_to_another_place_is_refused_by_the_store(
    alice: Person, bob: Person, admin: Person
) -> None:
    await grant(admin, bob)
    target, other = (await create_job(alice))["upload"], (await create_job(bob))["upload"]

    retyped = {**target, "headers": {**target["headers"], "Content-Type": "text/html"}}
    assert (await upload(retyped)).status_code == 403

    signature = target["url"].partition("?")[2]
    forged = {**target, "url": other["url"].partition("?")[0] + "?" + signature}
    assert (await upload(forged)).status_code == 403

    anonymous = {**target, "url": target["url"].partition("?")[0]}
    assert (await upload(anonymous)).status_code == 403


async def test_an_expired_url_is_refused_and_a_fresh_one_is_given(
    api_settings: Settings, api: Api, alice: Person
) -> None:
    async with served(api_settings.model_copy(update={"presign_ttl_s": 1})) as short_lived:
        alice.base_url = short_lived.url
        job = await create_job(alice)
        while (answer := await upload(job["upload"])).status_code == 200:  # noqa: ASYNC110 - the store's clock decides
            await asyncio.sleep(0.1)
        assert answer.status_code == 403

    # By the API whose URLs live longer than it takes to use them.
    alice.base_url = api.url
    fresh = await alice.post(f"/v1/jobs/{job['id']}/upload")

    assert fresh.status_code == 200
    assert (await upload(fresh.json())).status_code == 200


# Parts


async def open_upload(person: Person, job: dict) -> dict:
    answer = await person.post(job["upload"]["multipart_url"])
    assert answer.status_code == 201, answer.text
    return answer.json()


async def send(person: Person, opened: dict, numbers: list[int], content: bytes = LARGE) -> None:
    signed = (await person.post(opened["parts_url"], json={"numbers": numbers})).json()["parts"]
    assert [part["number"] for part in signed] == numbers
    for part in signed:
        start = (part["number"] - 1) * opened["part_bytes"]
        answer = await upload({**part, "method": "PUT"}, content[start : start + part["bytes"]])
        assert answer.status_code == 200, answer.text


async def test_a_large_file_is_given_no_single_url(api_settings: Settings, alice: Person) -> None:
    job = await create_job(alice, upload_request(bytes=api_settings.single_put_bytes_max + 1))

    assert job["upload"]["url"] is None
    assert job["upload"]["multipart_url"].endswith(f"/v1/videos/{job['source_video_id']}/uploads")


async def test_an_upload_in_parts_is_resumed_where_it_broke(alice: Person, api: Api) -> None:
    job = await create_job(alice, upload_request(LARGE))
    opened = await open_upload(alice, job)
    assert (opened["part_bytes"], opened["parts_total"]) == (8 * MIB, 2)
    await send(alice, opened, [1])

    # The client has lost everything but the job.
    again = await open_upload(alice, job)
    assert again == opened
    there = (await alice.get(again["parts_url"])).json()
    assert [(part["number"], part["bytes"]) for part in there["parts"]] == [(1, 8 * MIB)]
    incomplete = assert_problem(await alice.post(again["complete_url"]), 409, "upload_incomplete")
    assert incomplete["parts_missing"] == 1
    await send(alice, again, [2])

    for _ in range(2):
        assert (await alice.post(again["complete_url"])).status_code == 204
    assert await stored(api, alice, job["source_video_id"]) == LARGE
    assert (await alice.patch(job["ingested_url"])).status_code == 200
    assert_problem(await alice.post(job["upload"]["multipart_url"]), 409, "job_state_conflict")


async def test_opening_at_once_gives_one_upload(alice: Person, api: Api) -> None:
    job = await create_job(alice, upload_request(LARGE))

    opened = await asyncio.gather(*(open_upload(alice, job) for _ in range(4)))

    assert len({upload["upload_id"] for upload in opened}) == 1
    found = api.services.store.client.list_multipart_uploads(Bucket=api.settings.s3_bucket)
    assert len([u for u in found.get("Uploads", []) if job["source_video_id"] in u.get("Key", "")]) == 1


async def test_an_aborted_upload_is_gone_and_another_may_be_opened(alice: Person) -> None:
    job = await create_job(alice, upload_request(LARGE))
    opened = await open_upload(alice, job)
    await send(alice, opened, [1])
    url = f"{job['upload']['multipart_url']}/{opened['upload_id']}"

    assert (await alice.delete(url)).status_code == 204

    assert_problem(await alice.delete(url), 404, "upload_not_found")
    assert_problem(await alice.get(opened["parts_url"]), 404, "upload_not_found")
    assert_problem(await alice.post(opened["complete_url"]), 404, "upload_not_found")
    assert (await open_upload(alice, job))["upload_id"] != opened["upload_id"]


async def test_only_parts_that_exist_are_signed(alice: Person) -> None:
    opened = await open_upload(alice, await create_job(alice, upload_request(LARGE)))
    for numbers in ([3], [0], [], [10_001], [1] * 501):
        answer = await alice.post(opened["parts_url"], json={"numbers": numbers})
        assert_problem(answer, 422, "validation_failed")


async def test_a_part_of_another_length_is_refused_by_the_store(alice: Person) -> None:
    opened = await open_upload(alice, await create_job(alice, upload_request(LARGE)))
    [part] = (await alice.post(opened["parts_url"], json={"numbers": [2]})).json()["parts"]

    answer = await upload({**part, "method": "PUT", "headers": {"Content-Length": "5"}}, b"short")

    assert answer.status_code == 403


# Deletion


async def test_a_deleted_video_is_gone_with_its_file(alice: Person, api: Api, database: Database) -> None:
    job = await create_job(alice)
    await upload(job["upload"])
    url = f"/v1/videos/{job['source_video_id']}"
    assert_problem(await alice.delete(url), 409, "job_state_conflict")
    await fail(database, job["id"])

    assert (await alice.delete(url)).status_code == 204

    assert_problem(await alice.get(url), 404, "not_found")
    assert_problem(await alice.delete(url), 404, "not_found")
    with pytest.raises(api.services.store.client.exceptions.NoSuchKey):
        await stored(api, alice, job["source_video_id"])
    request = {"kind": "enhance", "source": {"video_id": job["source_video_id"]}}
    assert_problem(await alice.post("/v1/jobs", json=request, headers=key()), 404, "not_found")
