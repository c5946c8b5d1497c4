"""Each server of the embedded stack answers real requests, and a kill -9 with a restart loses nothing."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import httpx
import psutil
import psycopg
import pytest
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.client import Client
from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes
from temporalio.worker import Worker

from dev.failures import ServerFailed
from dev.servers.postgres import Postgres
from dev.servers.process import together
from dev.servers.s3 import ObjectStore
from dev.servers.temporal import SEARCH_ATTRIBUTES, Temporal
from dev.toolchain import find
from tests.dev.greeting import Greeting
from workflows import search

pytestmark = pytest.mark.servers


async def test_postgres_keeps_committed_rows_through_kill_and_restart(tmp_path: Path) -> None:
    server = Postgres(tmp_path, tmp_path / "logs")
    await server.start()
    try:
        async with await psycopg.AsyncConnection.connect(server.url("postgres")) as connection:
            await connection.execute("create table kept (n int)")
            await connection.execute("insert into kept values (42)")
        server.kill()
        await server.restart()
        async with await psycopg.AsyncConnection.connect(server.url("postgres")) as connection:
            assert await (await connection.execute("select n from kept")).fetchall() == [(42,)]
    finally:
        await server.stop()


async def test_postgres_refuses_a_wrong_password(postgres: Postgres) -> None:
    url = postgres.url("postgres").replace("@", "x@", 1)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        await psycopg.AsyncConnection.connect(url)


async def test_object_store_keeps_objects_through_kill_and_restart(tmp_path: Path) -> None:
    server = ObjectStore(tmp_path, tmp_path / "logs", await find.versitygw())
    await server.start()
    try:
        await server.create_bucket("kept")
        server.client().put_object(Bucket="kept", Key="a/b", Body=b"bytes", Metadata={"sha": "1"})
        server.kill()
        await server.restart()
        found = server.client().get_object(Bucket="kept", Key="a/b")
        assert (found["Body"].read(), found["Metadata"]) == (b"bytes", {"sha": "1"})
    finally:
        await server.stop()


async def test_temporal_carries_an_open_workflow_through_kill_and_restart(tmp_path: Path) -> None:
    server = Temporal(tmp_path, tmp_path / "logs", await find.temporal())
    await server.start()
    try:
        client = await Client.connect(server.address)
        queue = uuid4().hex
        async with Worker(client, task_queue=queue, workflows=[Greeting]):
            handle = await client.start_workflow(Greeting.run, id=queue, task_queue=queue)
            server.kill()
            await server.restart()
            await handle.signal(Greeting.name, "again")
            assert await handle.result() == "hello again"
    finally:
        await server.stop()


async def test_temporal_finds_workflows_by_our_search_attributes(temporal: Temporal) -> None:
    client = await Client.connect(temporal.address)
    user = uuid4().hex
    await client.start_workflow(
        Greeting.run,
        id=user,
        task_queue=user,
        search_attributes=TypedSearchAttributes(
            [
                SearchAttributePair(SearchAttributeKey.for_keyword("UserId"), user),
                SearchAttributePair(SearchAttributeKey.for_bool("NeedsAttention"), True),
                SearchAttributePair(SearchAttributeKey.for_int("CreditsHeld"), 30),
                SearchAttributePair(SearchAttributeKey.for_keyword("PurchaseStatus"), "PAID"),
            ]
        ),
        execution_timeout=timedelta(minutes=1),
    )
    query = f"UserId = '{user}' and NeedsAttention = true and CreditsHeld > 29 and PurchaseStatus = 'PAID'"
    async with asyncio.timeout(30):
        while (await client.count_workflows(query)).count == 0:  # noqa: ASYNC110 (visibility is eventually consistent)
            await asyncio.sleep(0.05)


def test_the_server_knows_the_search_attributes_that_workflows_set() -> None:
    keys = [key for key in vars(search).values() if isinstance(key, SearchAttributeKey)]
    known = {
        name: IndexedValueType.Name(kind).removeprefix("INDEXED_VALUE_TYPE_")
        for name, kind in SEARCH_ATTRIBUTES.items()
    }
    assert {key.name: key.indexed_value_type.name for key in keys} == known


async def test_temporal_web_ui_shows_the_namespace(temporal: Temporal) -> None:
    async with httpx.AsyncClient(base_url=temporal.ui_url) as client:
        assert "<html" in (await client.get("/namespaces/default/workflows")).text
        assert (await client.get("/api/v1/namespaces/default")).json()["namespaceInfo"]["name"] == "default"


async def test_a_server_that_cannot_start_says_why(tmp_path: Path, postgres: Postgres) -> None:
    second = Postgres(tmp_path, tmp_path / "logs", port=postgres.port)
    with pytest.raises(ServerFailed, match="Address already in use"):
        await second.start()
    assert not second.running


async def test_when_one_of_several_fails_the_others_are_not_waited_for(
    tmp_path: Path, postgres: Postgres
) -> None:
    blocked = Postgres(tmp_path, tmp_path / "logs", port=postgres.port)
    with pytest.raises(ServerFailed, match="postgres ended"):
        await together([blocked.start, asyncio.Event().wait])


async def test_no_process_is_left_after_stop(tmp_path: Path) -> None:
    server = Postgres(tmp_path, tmp_path / "logs")
    await server.start()
    family = [psutil.Process(server.pid), *psutil.Process(server.pid).children(recursive=True)]
    await server.stop()
    assert not any(process.is_running() for process in family)
