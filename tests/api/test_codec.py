"""The Web UI asks the API to decode: for staff who are signed in, from its own pages, and each time on the record."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio
from google.protobuf.json_format import MessageToDict
from pydantic import SecretStr
from sqlalchemy import text
from temporalio.api.common.v1 import Payload
from temporalio.api.common.v1 import Payloads as Messages

from api.codec.routes import BODY_BYTES_MAX
from contracts.settings import Settings
from db.engine import Database
from dev.servers.issuer import Issuer
from tests.api.acts import assert_problem
from tests.api.serving import Api, served
from workflows.codec import codec

UI = "http://temporal.example:8080"
PLAIN = Payload(metadata={"encoding": b"json/plain"}, data='"콘서트.mp4"'.encode())


def new_key() -> SecretStr:
    return SecretStr(base64.b64encode(os.urandom(32)).decode())


@pytest_asyncio.fixture(scope="module")
async def encrypting_api(api_settings: Settings) -> AsyncIterator[Api]:
    """Reads two keys, writes with the second; the Web UI is at `UI`."""
    changes = {
        "codec_keys": {"old": new_key(), "new": new_key()},
        "codec_key_id": "new",
        "temporal_ui_url": f"{UI}/",
        "cors_origins": ("http://app.example",),
    }
    async with served(api_settings.model_copy(update=changes)) as running:
        yield running


@pytest_asyncio.fixture
async def browser(encrypting_api: Api) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=encrypting_api.url, trust_env=False) as client:
        yield client


def signed_in(issuer: Issuer, *roles: str, name: str = "kim") -> dict[str, str]:
    token = issuer.signer.mint(name, roles, locale="en")
    return {"Authorization": f"Bearer {token}", "X-Namespace": "default", "Origin": UI}


def as_sent(*payloads: Payload) -> dict[str, Any]:
    """The JSON form of protobuf itself, as the Web UI and the `temporal` command make it."""
    return MessageToDict(Messages(payloads=payloads))


async def sealed_by(api: Api, key_id: str) -> Payload:
    [sealed] = await codec(api.settings.model_copy(update={"codec_key_id": key_id})).encode([PLAIN])
    return sealed


@pytest.mark.parametrize("role", ["support", "finance", "admin"])
async def test_staff_read_what_any_known_key_wrote(
    encrypting_api: Api, browser: httpx.AsyncClient, issuer: Issuer, role: str
) -> None:
    written = [await sealed_by(encrypting_api, "old"), await sealed_by(encrypting_api, "new"), PLAIN]
    answer = await browser.post(
        # The query is the Web UI's own.
        "/codec/decode?preserveStorageRefs=true",
        json=as_sent(*written),
        headers=signed_in(issuer, role),
    )
    assert answer.status_code == 200, answer.text
    assert answer.json() == as_sent(PLAIN, PLAIN, PLAIN)


async def test_what_staff_send_is_encrypted_with_the_active_key(
    encrypting_api: Api, browser: httpx.AsyncClient, issuer: Issuer
) -> None:
    headers = signed_in(issuer, "support")
    encoded = (await browser.post("/codec/encode", json=as_sent(PLAIN), headers=headers)).json()
    assert base64.b64decode(encoded["payloads"][0]["metadata"]["encryption-key-id"]) == b"new"
    assert "콘서트" not in json.dumps(encoded, ensure_ascii=False)
    back = await browser.post("/codec/decode", json=encoded, headers=headers)
    assert back.json() == as_sent(PLAIN)


@pytest.mark.parametrize("action", ["decode", "encode"])
async def test_strangers_and_customers_are_refused(
    encrypting_api: Api, browser: httpx.AsyncClient, issuer: Issuer, action: str
) -> None:
    body = as_sent(await sealed_by(encrypting_api, "new"))
    assert_problem(await browser.post(f"/codec/{action}", json=body), 401, "unauthenticated")
    for roles in ((), ("user",), ("worker",)):
        answer = await browser.post(f"/codec/{action}", json=body, headers=signed_in(issuer, *roles))
        assert_problem(answer, 403, "forbidden")


async def test_who_read_and_who_said_what_is_in_the_log_of_staff(
    encrypting_api: Api, browser: httpx.AsyncClient, issuer: Issuer, database: Database
) -> None:
    name = f"kim-{uuid4().hex}"
    headers = signed_in(issuer, "support", name=name)
    said = Payload(metadata={"encoding": b"json/plain"}, data='{"note": "환불"}'.encode())
    await browser.post("/codec/decode", json=as_sent(await sealed_by(encrypting_api, "new")), headers=headers)
    await browser.post("/codec/encode", json=as_sent(said), headers=headers)
    async with database.read() as session:
        query = text("SELECT role, action, detail FROM staff_log WHERE subject = :subject ORDER BY id")
        rows = [tuple(row) for row in await session.execute(query, {"subject": name})]
    assert rows == [
        ("support", "POST /codec/decode", {}),
        ("support", "POST /codec/encode", {"body": '{"note": "환불"}'}),
    ]


async def test_an_unknown_key_and_a_spoiled_payload_are_named(
    encrypting_api: Api, browser: httpx.AsyncClient, issuer: Issuer
) -> None:
    stranger = await sealed_by(encrypting_api, "new")
    stranger.metadata["encryption-key-id"] = b"lost"
    spoiled = await sealed_by(encrypting_api, "new")
    spoiled.data = spoiled.data[:-1]
    headers = signed_in(issuer, "support")
    for payload, code in ((stranger, "codec_key_unknown"), (spoiled, "codec_payload_invalid")):
        answer = await browser.post("/codec/decode", json=as_sent(payload), headers=headers)
        assert_problem(answer, 422, code)


async def test_what_is_no_payload_is_refused(browser: httpx.AsyncClient, issuer: Issuer) -> None:
    headers = signed_in(issuer, "support")
    for payload in ({"data": "%%%"}, {"metadata": {"encoding": 1}}, {"data": "a"}):
        answer = await browser.post("/codec/decode", json={"payloads": [payload]}, headers=headers)
        assert_problem(answer, 422, "validation_failed")


async def test_payloads_may_be_larger_than_other_bodies_but_not_without_limit(
    encrypting_api: Api, browser: httpx.AsyncClient, issuer: Issuer
) -> None:
    headers = signed_in(issuer, "support")
    large = Payload(metadata={"encoding": b"binary/plain"}, data=bytes(2 * 1024**2))
    [sealed] = await encrypting_api.services.codec.encode([large])
    answer = await browser.post("/codec/decode", json=as_sent(sealed), headers=headers)
    assert answer.json() == as_sent(large)
    answer = await browser.post("/codec/decode", content=b" " * (BODY_BYTES_MAX + 1), headers=headers)
    assert_problem(answer, 413, "payload_too_large")


async def test_a_browser_may_ask_from_the_pages_of_the_web_ui_only(browser: httpx.AsyncClient) -> None:
    async def asked_from(origin: str, path: str = "/codec/decode") -> httpx.Response:
        wanted = "authorization,authorization-extras,content-type,x-namespace"
        return await browser.options(
            path,
            headers={
                "Origin": origin,
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": wanted,
            },
        )

    allowed = await asked_from(UI)
    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == UI
    assert "authorization-extras" in allowed.headers["access-control-allow-headers"]
    for other in ("http://evil.example", "http://app.example"):
        assert "access-control-allow-origin" not in (await asked_from(other)).headers
    assert "access-control-allow-origin" not in (await asked_from(UI, "/v1/jobs")).headers
    assert (await asked_from("http://app.example", "/v1/jobs")).status_code == 200


async def test_the_page_may_read_answers_and_refusals(browser: httpx.AsyncClient, issuer: Issuer) -> None:
    for headers in (signed_in(issuer, "support"), {"Origin": UI}):
        answer = await browser.post("/codec/decode", json=as_sent(PLAIN), headers=headers)
        assert answer.headers["access-control-allow-origin"] == UI


async def test_without_keys_payloads_pass_unchanged(api: Api, issuer: Issuer) -> None:
    async with httpx.AsyncClient(base_url=api.url, trust_env=False) as client:
        for action in ("encode", "decode"):
            answer = await client.post(
                f"/codec/{action}", json=as_sent(PLAIN), headers=signed_in(issuer, "support")
            )
            assert answer.json() == as_sent(PLAIN)
