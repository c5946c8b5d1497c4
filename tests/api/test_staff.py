from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
import websockets
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from db.engine import Database
from tests.api.acts import Login, Person, assert_problem, create_job, key, upload_request
from tests.api.serving import Api


async def log_of(database: Database, person: Person) -> list[dict[str, Any]]:
    """What the log of staff says about one person, oldest first."""
    query = text("SELECT * FROM staff_log WHERE subject = :subject ORDER BY id")
    async with database.read() as session:
        rows = await session.execute(query, {"subject": person.subject})
        return [dict(row) for row in rows.mappings()]


async def test_support_who_read_somebody_elses_job_are_in_the_log_first(
    alice: Person, login: Login, database: Database
) -> None:
    job = await create_job(alice)
    sam = login("sam", "support")

    answer = await sam.get(f"/v1/jobs/{job['id']}", headers={"X-Request-ID": "ticket-7"})
    assert answer.status_code == 200
    assert (await sam.get(f"/v1/jobs/{job['id']}/saga")).status_code == 200

    first, second = await log_of(database, sam)
    assert (first["role"], first["action"], first["object"]) == (
        "support",
        "GET /v1/jobs/{job_id}",
        job["id"],
    )
    assert first["request_id"] == "ticket-7" == answer.headers["x-request-id"]
    assert first["user_id"] == (await sam.get("/v1/me")).json()["user_id"]
    assert second["action"] == "GET /v1/jobs/{job_id}/saga"


async def test_a_watched_socket_is_in_the_log_too(
    alice: Person, login: Login, database: Database, api: Api
) -> None:
    job = await create_job(alice)
    sam = login("sam", "support")
    url = f"{api.url.replace('http', 'ws')}/v1/jobs/{job['id']}/ws"

    async with websockets.connect(
        url, additional_headers={"Authorization": sam.headers["Authorization"]}, proxy=None
    ) as socket:
        await asyncio.wait_for(socket.recv(), 30)

    [row] = await log_of(database, sam)
    assert (row["action"], row["object"]) == ("WEBSOCKET /v1/jobs/{job_id}/ws", job["id"])


async def test_what_is_ones_own_and_what_users_do_is_not_in_the_log(
    alice: Person, login: Login, admin: Person, database: Database
) -> None:
    job = await create_job(alice)
    await alice.get(job["status_url"])
    sam = login("sam", "support")
    await sam.get("/v1/credits/balance")
    assert await log_of(database, alice) == await log_of(database, sam) == []


async def test_a_grant_is_in_the_log_with_what_was_asked_for(
    bob: Person, admin: Person, database: Database
) -> None:
    body = {"user": {"subject": bob.subject}, "credits": 3, "reason": "sorry"}
    answer = await admin.post("/v1/admin/credits/grants", json=body, headers=key())
    assert answer.status_code == 201

    [row] = await log_of(database, admin)
    assert (row["role"], row["action"]) == ("admin", "POST /v1/admin/credits/grants")
    assert json.loads(row["detail"]["body"]) == body


async def test_a_refused_call_is_not_staffs_work(alice: Person, database: Database) -> None:
    assert_problem(await alice.post("/v1/admin/credits/grants", json={}, headers=key()), 403, "forbidden")
    assert await log_of(database, alice) == []


async def test_signs_that_the_database_cannot_keep_do_not_keep_a_call_from_the_log(
    admin: Person, database: Database
) -> None:
    answer = await admin.post("/v1/admin/credits/grants?x=%00y", content=b'"\0\xff"', headers=key())
    assert answer.status_code in (400, 422)
    [row] = await log_of(database, admin)
    assert row["detail"]["x"] == "\ufffdy"


async def test_nobody_rewrites_the_log(admin: Person, bob: Person, database: Database) -> None:
    body = {"user": {"subject": bob.subject}, "credits": 3, "reason": "sorry"}
    await admin.post("/v1/admin/credits/grants", json=body, headers=key())
    for statement in ("UPDATE staff_log SET subject = 'nobody'", "DELETE FROM staff_log"):
        with pytest.raises(DBAPIError, match="its rows are written once"):
            async with database.transaction() as session:
                await session.execute(text(statement))
    assert len(await log_of(database, admin)) == 1


async def test_finance_starts_no_job_and_opens_no_upload(login: Login) -> None:
    fay = login("fay", "finance")
    assert_problem(await fay.post("/v1/jobs", json=upload_request(), headers=key()), 403, "forbidden")
    answer = await fay.post(f"/v1/videos/vid_{'0' * 32}/uploads")
    assert_problem(answer, 403, "forbidden")
