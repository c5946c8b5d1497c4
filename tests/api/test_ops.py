from __future__ import annotations

import gc
import json
import logging
import re
import weakref

import httpx
import pytest

from api.logs import JsonLines
from contracts.settings import Settings
from tests.api.acts import Person, create_job
from tests.api.serving import served


async def test_a_ready_api_names_every_server_it_needs(anonymous: httpx.AsyncClient) -> None:
    answer = await anonymous.get("/readyz")

    assert answer.status_code == 200
    found = answer.json()
    assert found["ready"] is True
    assert {name: dependency["ok"] for name, dependency in found["dependencies"].items()} == {
        "database": True,
        "temporal": True,
        "storage": True,
    }


@pytest.mark.parametrize(
    ("setting", "value", "name"),
    [
        ("database_url", "postgresql+psycopg://nobody@127.0.0.1:9/none", "database"),
        ("temporal_address", "127.0.0.1:9", "temporal"),
        ("s3_endpoint", "http://127.0.0.1:9", "storage"),
    ],
)
async def test_an_api_starts_and_lives_without_a_server_and_says_which_is_missing(
    setting: str, value: str, name: str, api_settings: Settings
) -> None:
    values = api_settings.model_dump() | {setting: value}
    async with (
        served(Settings.model_validate(values)) as api,
        httpx.AsyncClient(base_url=api.url, trust_env=False) as client,
    ):
        assert (await client.get("/healthz")).json() == {"status": "ok"}
        answer = await client.get("/readyz")

    assert answer.status_code == 503
    dependencies = answer.json()["dependencies"]
    assert [missing for missing, dependency in dependencies.items() if not dependency["ok"]] == [name]
    assert dependencies[name]["error"]


async def test_an_api_that_has_stopped_keeps_nothing_that_it_had_opened(api_settings: Settings) -> None:
    async with served(api_settings) as api:
        services = weakref.ref(api.services)
    del api
    gc.collect()
    assert services() is None


async def test_metrics_show_jobs_credits_and_latencies(alice: Person, api_settings: Settings) -> None:
    await create_job(alice)
    async with (
        served(api_settings) as fresh,
        httpx.AsyncClient(base_url=fresh.url, trust_env=False) as client,
    ):
        await client.get("/v1/jobs/job_x", headers=alice.headers)
        answer = await client.get("/metrics")

    assert answer.headers["content-type"].startswith("text/plain")
    samples = dict(line.rsplit(" ", 1) for line in answer.text.splitlines() if not line.startswith("#"))
    assert float(samples['echoshot_jobs_active{kind="enhance",status="CREATED"}']) >= 1
    assert float(samples["echoshot_credits_held"]) >= 10
    route = 'method="GET",route="/v1/jobs/{job_id}",status="422"'
    assert float(samples[f"echoshot_http_request_seconds_count{{{route}}}"]) == 1


async def test_every_request_is_one_log_line_without_its_secrets(
    alice: Person, caplog: pytest.LogCaptureFixture
) -> None:
    token = alice.headers["Authorization"].removeprefix("Bearer ")
    user_id = (await alice.get("/v1/me")).json()["user_id"]
    caplog.clear()
    with caplog.at_level(logging.INFO, "echoshot.api"):
        await alice.get(f"/v1/videos/jobs?limit=5&token={token}", headers={"X-Request-ID": "r1"})

    [record] = [r for r in caplog.records if r.name == "echoshot.api" and r.message == "request"]
    line = JsonLines().format(record)
    fields = json.loads(line)
    assert (fields["request_id"], fields["method"], fields["path"]) == ("r1", "GET", "/v1/videos/jobs")
    assert (fields["route"], fields["status"], fields["user_id"]) == ("/v1/videos/jobs", 422, user_id)
    assert token not in line


async def test_browsers_of_other_origins_are_let_in_only_where_configured(api_settings: Settings) -> None:
    preflight = {"Origin": "https://app.example", "Access-Control-Request-Method": "GET"}
    for origins, allowed in (((), None), (("https://app.example",), "https://app.example")):
        async with (
            served(api_settings.model_copy(update={"cors_origins": origins})) as api,
            httpx.AsyncClient(base_url=api.url, trust_env=False) as client,
        ):
            answer = await client.options("/v1/me", headers=preflight)
        assert answer.headers.get("access-control-allow-origin") == allowed


async def test_prices_and_limits_need_no_token(anonymous: httpx.AsyncClient) -> None:
    pricing = (await anonymous.get("/v1/pricing")).json()

    assert pricing["kinds"][0]["credits_per_started_minute"] == 10
    assert {(package["credits"], package["krw"]) for package in pricing["packages"]} == {
        (100, 10_000),
        (500, 40_000),
        (1_000, 70_000),
    }
    assert pricing["upload_bytes_max"] == 5 * 1024**3


async def test_the_documentation_needs_no_other_host(anonymous: httpx.AsyncClient) -> None:
    page = await anonymous.get("/docs")
    needed = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(needed) >= 3
    for address in needed:
        assert address.startswith("/"), address
        assert (await anonymous.get(address)).status_code == 200
