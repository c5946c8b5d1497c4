from __future__ import annotations

import httpx

from contracts.ids import VideoId
from db import videos
from db.engine import Database
from tests.api.acts import Person, assert_problem, create_job, fail, run, succeed
from tests.api.serving import Api

RESULT = b"0123456789"


async def test_a_result_redirects_to_a_url_that_honours_range(
    alice: Person, api: Api, database: Database, anonymous: httpx.AsyncClient
) -> None:
    job = await create_job(alice)
    await succeed(database, api.services.store, job["id"], RESULT)

    answer = await alice.get(job["result_url"])

    assert answer.status_code == 302
    whole = await anonymous.get(answer.headers["location"])
    assert (whole.status_code, whole.content) == (200, RESULT)
    assert whole.headers["content-type"] == "video/mp4"
    assert 'filename="stage-echoshot.mp4"' in whole.headers["content-disposition"]
    part = await anonymous.get(answer.headers["location"], headers={"Range": "bytes=3-5"})
    assert (part.status_code, part.content) == (206, b"345")


async def test_a_result_is_described_on_request(
    alice: Person, api: Api, database: Database, anonymous: httpx.AsyncClient
) -> None:
    job = await create_job(alice)
    await succeed(database, api.services.store, job["id"], RESULT)

    answer = await alice.get(job["result_url"], headers={"Accept": "application/json"})

    assert answer.status_code == 200
    result = answer.json()
    assert result["bytes"] == len(RESULT)
    assert result["info"]["video"]["frame_count"] == 3660
    assert (await anonymous.get(result["url"])).content == RESULT
    assert (await anonymous.get(result["manifest_url"])).content == b"{}"
    assert [thumbnail["at_percent"] for thumbnail in result["thumbnails"]] == [10, 50, 90]
    for thumbnail in result["thumbnails"]:
        assert (await anonymous.get(thumbnail["url"])).content == b"jpeg %d" % thumbnail["at_percent"]
    view = (await alice.get(job["status_url"])).json()
    assert view["result_video_id"] == result["video_id"]
    assert (view["credit_effect"], view["credits_held"], view["eta_s"]) == ("captured", 0, None)
    video = (await alice.get(f"/v1/videos/{result['video_id']}")).json()
    assert (video["role"], video["job_id"], video["result_url"]) == ("result", job["id"], job["result_url"])


async def test_a_thumbnail_is_found_by_its_place(
    alice: Person, api: Api, database: Database, anonymous: httpx.AsyncClient
) -> None:
    job = await create_job(alice)
    await succeed(database, api.services.store, job["id"])
    url = f"/v1/jobs/{job['id']}/thumbnail"

    for query, expected in (("", b"jpeg 50"), ("?at=10", b"jpeg 10"), ("?at=90", b"jpeg 90")):
        answer = await alice.get(url + query)
        assert answer.status_code == 302
        still = await anonymous.get(answer.headers["location"])
        assert (still.content, still.headers["content-type"]) == (expected, "image/jpeg")
    assert_problem(await alice.get(url + "?at=20"), 422, "validation_failed")


async def test_a_result_is_not_there_before_its_time_nor_ever_for_a_failed_job(
    alice: Person, database: Database
) -> None:
    job = await create_job(alice)
    await run(database, job["id"])
    early = assert_problem(await alice.get(job["result_url"]), 409, "result_not_ready")
    assert early["retryable"] is True

    await fail(database, job["id"])
    never = assert_problem(await alice.get(job["result_url"]), 409, "job_state_conflict")
    assert never["retryable"] is False


async def test_an_expired_result_is_gone_and_its_job_remains(
    alice: Person, api: Api, database: Database
) -> None:
    job = await create_job(alice)
    await succeed(database, api.services.store, job["id"])
    video_id = (await alice.get(job["status_url"])).json()["result_video_id"]
    async with database.transaction() as session:
        await videos.mark_deleted(session, VideoId(video_id))

    assert_problem(await alice.get(job["result_url"]), 410, "result_expired")
    assert_problem(await alice.get(f"/v1/jobs/{job['id']}/thumbnail"), 410, "result_expired")
    assert (await alice.get(job["status_url"])).json()["status"] == "SUCCEEDED"
    assert (await alice.get("/v1/videos/processed")).json()["data"] == []


async def test_a_deleted_result_takes_its_files_along(
    alice: Person, api: Api, database: Database, anonymous: httpx.AsyncClient
) -> None:
    job = await create_job(alice)
    await succeed(database, api.services.store, job["id"])
    result = (await alice.get(job["result_url"], headers={"Accept": "application/json"})).json()

    assert (await alice.delete(f"/v1/videos/{result['video_id']}")).status_code == 204

    for url in (result["url"], result["manifest_url"], result["thumbnails"][0]["url"]):
        assert (await anonymous.get(url)).status_code == 404
