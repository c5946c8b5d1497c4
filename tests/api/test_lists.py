from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from db.engine import Database
from tests.api.acts import Person, assert_problem, create_job, fail, run, succeed
from tests.api.serving import Api


async def walk(person: Person, path: str, limit: int, cursor: str = "starting_after") -> list[str]:
    """Ids of a whole list, page by page; `ending_before` starts at its foot."""
    found: list[str] = []
    params: dict[str, Any] = {"limit": limit}
    if cursor == "ending_before":
        last = (await walk(person, path, 100))[-1]
        found, params = [last], {"limit": limit, cursor: last}
    while True:
        page = (await person.get(path, params=params)).json()
        ids = [row["id"] for row in page["data"]]
        assert len(ids) == limit or not page["has_more"]
        found = found + ids if cursor == "starting_after" else ids + found
        if not page["has_more"]:
            return found
        params[cursor] = ids[-1] if cursor == "starting_after" else ids[0]


@pytest.fixture
async def seven_jobs(alice: Person) -> list[str]:
    """Newest first."""
    return [(await create_job(alice))["id"] for _ in range(7)][::-1]


@pytest.mark.parametrize("limit", [1, 2, 3, 6, 7, 8, 100])
async def test_pages_of_any_size_show_every_job_once_newest_first_in_both_directions(
    limit: int, alice: Person, seven_jobs: list[str]
) -> None:
    assert await walk(alice, "/v1/videos/jobs", limit) == seven_jobs
    assert await walk(alice, "/v1/videos/jobs", limit, "ending_before") == seven_jobs


@pytest.mark.parametrize("limit", [1, 3, 8])
async def test_the_books_are_paged_alike(limit: int, alice: Person, seven_jobs: list[str]) -> None:
    whole = (await alice.get("/v1/credits/history", params={"limit": 100})).json()["data"]

    assert [entry["kind"] for entry in whole] == ["hold"] * 7 + ["grant"]
    assert [entry["job_id"] for entry in whole] == [*seven_jobs, None]
    assert sum(entry["available_change"] for entry in whole) == 30
    assert sum(entry["held_change"] for entry in whole) == 70
    ids = [entry["id"] for entry in whole]
    assert await walk(alice, "/v1/credits/history", limit) == ids
    assert await walk(alice, "/v1/credits/history", limit, "ending_before") == ids


async def test_a_page_stays_right_while_jobs_are_added(alice: Person, seven_jobs: list[str]) -> None:
    first = (await alice.get("/v1/videos/jobs", params={"limit": 3})).json()["data"]
    await create_job(alice)

    params = {"limit": 100, "starting_after": first[-1]["id"]}
    rest = (await alice.get("/v1/videos/jobs", params=params)).json()["data"]

    assert [job["id"] for job in first + rest] == seven_jobs


async def test_jobs_are_filtered_by_status_kind_and_date(
    alice: Person, database: Database, seven_jobs: list[str]
) -> None:
    await fail(database, seven_jobs[0])
    await run(database, seven_jobs[1])

    async def ids(**params: Any) -> list[str]:
        answer = await alice.get("/v1/videos/jobs", params=params)
        assert answer.status_code == 200, answer.text
        return [job["id"] for job in answer.json()["data"]]

    assert await ids(status="FAILED") == seven_jobs[:1]
    assert await ids(status=["FAILED", "RUNNING"]) == seven_jobs[:2]
    assert await ids(status="SUCCEEDED") == []
    assert await ids(kind="enhance") == seven_jobs
    third = (await alice.get(f"/v1/jobs/{seven_jobs[2]}")).json()["created_at"]
    assert await ids(created_from=third) == seven_jobs[:3]
    assert await ids(created_to=third) == seven_jobs[3:]
    later = (datetime.fromisoformat(third) + timedelta(days=1)).isoformat()
    assert await ids(created_from=third, created_to=later, status="CREATED") == seven_jobs[2:3]


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=101",
        "limit=x",
        "status=BUSY",
        "kind=dance",
        "created_from=yesterday",
        "created_from=2026-01-01T00:00:00",
        "starting_after=job_1",
        "starting_after=vid_00000000000000000000000000000000",
        "created_to=0.5",
        "surprise=1",
    ],
)
async def test_a_bad_query_is_refused(query: str, alice: Person) -> None:
    assert_problem(await alice.get(f"/v1/videos/jobs?{query}"), 422, "validation_failed")


async def test_a_page_is_walked_in_one_direction(alice: Person, seven_jobs: list[str]) -> None:
    params = {"starting_after": seven_jobs[0], "ending_before": seven_jobs[-1]}
    assert_problem(await alice.get("/v1/videos/jobs", params=params), 400, "cursor_invalid")


async def test_a_cursor_of_somebody_else_is_no_cursor(alice: Person, admin: Person) -> None:
    [grant] = (await alice.get("/v1/credits/history")).json()["data"]
    answer = await admin.get("/v1/credits/history", params={"starting_after": grant["id"]})
    assert_problem(answer, 400, "cursor_invalid")


async def test_finished_videos_are_listed_newest_first(alice: Person, api: Api, database: Database) -> None:
    jobs = [await create_job(alice) for _ in range(3)]
    for job in jobs:
        await succeed(database, api.services.store, job["id"])

    listed = (await alice.get("/v1/videos/processed", params={"limit": 2})).json()

    assert [video["job_id"] for video in listed["data"]] == [jobs[2]["id"], jobs[1]["id"]]
    assert listed["has_more"] is True
    assert len(await walk(alice, "/v1/videos/processed", 1)) == 3


async def test_usage_counts_what_was_captured(alice: Person, api: Api, database: Database) -> None:
    await create_job(alice)
    for _ in range(2):
        await succeed(database, api.services.store, (await create_job(alice))["id"])

    [month] = (await alice.get("/v1/credits/usage")).json()["data"]

    assert (month["kind"], month["credits"], month["jobs"]) == ("enhance", 20, 2)
    assert month["period"].endswith("-01")
    [day] = (await alice.get("/v1/credits/usage", params={"by": "day"})).json()["data"]
    assert day["credits"] == 20
    earlier = {"from": "2020-01-01T00:00:00Z", "to": "2020-02-01T00:00:00Z"}
    assert (await alice.get("/v1/credits/usage", params=earlier)).json()["data"] == []
    to_only = {"to": "0001-01-01T00:00:00Z"}
    assert (await alice.get("/v1/credits/usage", params=to_only)).json()["data"] == []
