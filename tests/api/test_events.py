from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import httpx_sse
import psycopg
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from api.events.stream import BACKLOG_MAX
from contracts.ids import JobId
from contracts.settings import Settings
from db import progress
from db.engine import Database
from dev.servers.issuer import Issuer
from tests.api.acts import Person, assert_problem, create_job, fail, grant, run
from tests.api.serving import Api, served

Event = httpx_sse.ServerSentEvent


@asynccontextmanager
async def events_of(
    person: Person, job: dict[str, Any], **headers: str
) -> AsyncIterator[AsyncIterator[Event]]:
    async with httpx_sse.aconnect_sse(
        person, "GET", job["events_url"], headers=headers, timeout=30
    ) as source:
        yield source.aiter_sse()


async def declare(database: Database, job: dict[str, Any]) -> None:
    async with database.transaction() as session:
        await progress.declare_stages(session, JobId(job["id"]), {"ingest": 1, "upscale": 100})


async def report(database: Database, job: dict[str, Any], done: int) -> None:
    async with database.transaction() as session:
        await progress.report(session, JobId(job["id"]), "upscale", 0, done, 100)


def an_admin(issuer: Issuer) -> Person:
    """Who can give themselves credits, at an API of the test's own."""
    person = Person(headers={"Authorization": f"Bearer {issuer.signer.mint('alice', ['admin'])}"})
    person.subject = "alice"
    return person


async def test_a_stream_begins_with_a_snapshot_and_ends_with_the_job(
    alice: Person, database: Database
) -> None:
    job = await create_job(alice)
    async with events_of(alice, job) as events:
        first = await anext(events)
        assert (first.event, first.id) == ("snapshot", "1")
        assert first.json()["status"] == "CREATED"

        await run(database, job["id"])
        await declare(database, job)
        await report(database, job, 10)
        await fail(database, job["id"])
        rest = [event async for event in events]

    assert [int(event.id) for event in rest] == list(range(2, 2 + len(rest)))
    assert [event.json()["status"] for event in rest if event.event == "status"] == [
        "INGESTED", "QUEUED", "RUNNING", "FAILED",
    ]  # fmt: skip
    [*_, last_progress] = [event.json() for event in rest if event.event == "progress"]
    assert [(stage["name"], stage["percent"]) for stage in last_progress["stages"]] == [
        ("ingest", 0), ("upscale", 10),
    ]  # fmt: skip
    assert rest[-1].json()["credit_effect"] == "released"
    assert rest[-1].json()["failure_code"] == "corrupt"


async def test_a_client_goes_on_after_the_last_event_it_saw(alice: Person, database: Database) -> None:
    job = await create_job(alice)
    await run(database, job["id"])

    async with events_of(alice, job, **{"Last-Event-ID": "2"}) as events:
        missed = [await anext(events), await anext(events)]
        await fail(database, job["id"])
        rest = [event async for event in events]

    assert [(event.event, event.id) for event in missed] == [("status", "3"), ("status", "4")]
    assert [event.id for event in rest] == ["5"]


async def test_a_client_that_has_seen_the_end_is_told_not_to_come_back(
    alice: Person, database: Database
) -> None:
    job = await create_job(alice)
    await fail(database, job["id"])

    async with events_of(alice, job) as events:
        assert [event.event async for event in events] == ["snapshot"]
    answer = await alice.get(job["events_url"], headers={"Last-Event-ID": "2"})

    assert (answer.status_code, answer.content) == (204, b"")


async def test_a_client_far_behind_gets_one_snapshot_instead_of_everything(
    alice: Person, database: Database
) -> None:
    job = await create_job(alice)
    await run(database, job["id"])
    for _ in range(BACKLOG_MAX):
        await declare(database, job)

    async with events_of(alice, job, **{"Last-Event-ID": "1"}) as events:
        first = await anext(events)

    assert (first.event, int(first.id)) == ("snapshot", 4 + BACKLOG_MAX)


async def test_a_lost_listener_connection_is_made_good(
    platform_settings: Settings, issuer: Issuer, database_url: str
) -> None:
    person = an_admin(issuer)
    async with served(platform_settings) as api, person:
        person.base_url = api.url
        await grant(person, person)
        job = await create_job(person)
        own = Database.from_settings(platform_settings)
        async with events_of(person, job) as events:
            await anext(events)
            libpq = database_url.replace("+psycopg", "")
            async with await psycopg.AsyncConnection.connect(libpq, autocommit=True) as connection:
                # Every connection but this one, the listener's among them; then news that nobody hears of.
                await connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
                await run(own, job["id"])

            event = await anext(events)
        await own.aclose()

    assert (event.event, event.id) == ("status", "2")


async def test_a_stop_of_the_server_ends_every_stream_before_its_job(
    platform_settings: Settings, issuer: Issuer
) -> None:
    person = an_admin(issuer)
    async with person, served(platform_settings) as api:
        person.base_url = api.url
        await grant(person, person)
        job = await create_job(person)
        streams = [events_of(person, job) for _ in range(3)]
        opened = [await stream.__aenter__() for stream in streams]
        for events in opened:
            await anext(events)

        # Without a limit it would wait for whoever is connected, and so for ever.
        api.server.config.timeout_graceful_shutdown = None
        api.server.should_exit = True
        for events in opened:
            assert [event async for event in events] == []
        for stream in streams:
            await stream.__aexit__(None, None, None)


async def test_nobody_else_may_watch(alice: Person, bob: Person) -> None:
    job = await create_job(alice)

    assert_problem(await bob.get(job["events_url"]), 404, "not_found")


@pytest.mark.parametrize("bad", ["x", "-1", "1.5"])
async def test_a_last_event_id_is_a_number(bad: str, alice: Person) -> None:
    job = await create_job(alice)
    answer = await alice.get(job["events_url"], headers={"Last-Event-ID": bad})
    assert_problem(answer, 422, "validation_failed")


# WebSocket


def socket_url(api: Api, job: dict[str, Any]) -> str:
    return f"ws{api.url.removeprefix('http')}/v1/jobs/{job['id']}/ws"


def bearer(person: Person) -> str:
    return person.headers["Authorization"].removeprefix("Bearer ")


async def test_a_websocket_carries_the_same_events(alice: Person, api: Api, database: Database) -> None:
    job = await create_job(alice)
    headers = {"Authorization": alice.headers["Authorization"]}
    async with connect(socket_url(api, job), additional_headers=headers, proxy=None) as socket:
        first = json.loads(await socket.recv())
        assert (first["event"], first["data"]["seq"]) == ("snapshot", 1)
        await fail(database, job["id"])
        rest = [json.loads(message) async for message in socket]

    assert [(message["event"], message["data"]["status"]) for message in rest] == [("status", "FAILED")]
    assert socket.close_code == 1000


async def test_a_browser_sends_its_token_as_a_subprotocol(
    alice: Person, api: Api, database: Database
) -> None:
    job = await create_job(alice)
    await fail(database, job["id"])

    url = socket_url(api, job) + "?last_event_id=1"
    async with connect(url, subprotocols=["bearer", bearer(alice)], proxy=None) as socket:  # pyright: ignore[reportArgumentType]
        messages = [json.loads(message) async for message in socket]

    assert socket.subprotocol == "bearer"
    assert [message["data"]["seq"] for message in messages] == [2]


async def test_a_websocket_is_refused_with_a_problem(alice: Person, bob: Person, api: Api) -> None:
    job = await create_job(alice)
    cases = [({}, 401), ({"Authorization": "Bearer x"}, 401), (dict(bob.headers), 404)]
    for headers, status in cases:
        wanted = {name: value for name, value in headers.items() if name.lower() == "authorization"}
        with pytest.raises(InvalidStatus) as refused:
            await connect(socket_url(api, job), additional_headers=wanted, proxy=None)
        assert refused.value.response.status_code == status
        assert json.loads(refused.value.response.body or b"")["status"] == status


@pytest.mark.parametrize(
    ("job_id", "query"),
    [
        ("job_%00", ""),
        (f"job_{'0' * 32}", "?last_event_id=-1"),
        (f"job_{'0' * 32}", f"?last_event_id={2**63}"),
    ],
)
async def test_a_websocket_of_no_possible_address_is_refused(
    alice: Person, api: Api, job_id: str, query: str
) -> None:
    headers = {"Authorization": alice.headers["Authorization"]}
    with pytest.raises(InvalidStatus) as refused:
        await connect(socket_url(api, {"id": job_id}) + query, additional_headers=headers, proxy=None)
    assert refused.value.response.status_code == 403


async def test_a_client_that_leaves_is_forgotten_with_the_next_event(
    platform_settings: Settings, issuer: Issuer
) -> None:
    # An API of its own: at the one of all tests, streams that others have left end whenever it is noticed.
    person = an_admin(issuer)
    async with served(platform_settings) as api, person:
        person.base_url = api.url
        await grant(person, person)
        job = await create_job(person)
        headers = {"Authorization": person.headers["Authorization"]}
        async with connect(socket_url(api, job), additional_headers=headers, proxy=None) as socket:
            await socket.recv()
            assert await open_streams(person) == 1

        own = Database.from_settings(platform_settings)
        await run(own, job["id"])
        await own.aclose()

        while await open_streams(person) > 0:  # noqa: ASYNC110 - the server notices in its own time
            await asyncio.sleep(0.01)


async def open_streams(client: httpx.AsyncClient) -> float:
    text = (await client.get("/metrics")).text
    [line] = [line for line in text.splitlines() if line.startswith("echoshot_event_streams ")]
    return float(line.split()[1])
