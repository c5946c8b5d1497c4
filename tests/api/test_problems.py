from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import psycopg

from contracts.errors import ERRORS
from contracts.settings import Settings
from dev.servers.issuer import Issuer
from tests.api.acts import Login, Person, assert_problem, key, upload_request
from tests.api.serving import served


async def test_an_unknown_address_is_a_problem(anonymous: httpx.AsyncClient) -> None:
    for path in ("/nothing", "/v1/jobs/", "/v1/jobs/job_1/nothing"):
        assert_problem(await anonymous.get(path), 404, "not_found")


async def test_a_wrong_method_is_a_problem_that_names_the_right_ones(alice: Person) -> None:
    answer = await alice.delete("/v1/jobs")

    assert_problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "POST"


async def test_a_request_that_does_not_validate_says_which_fields_and_why(alice: Person) -> None:
    request = upload_request(filename="", bytes=0, content_type="text/plain", surprise=1)

    body = assert_problem(await alice.post("/v1/jobs", json=request, headers=key()), 422, "validation_failed")

    fields = {error["field"] for error in body["errors"]}
    assert {
        f"body.source.NewUpload.upload.{name}" for name in ("filename", "bytes", "content_type", "surprise")
    } <= fields
    assert all(error["message"] for error in body["errors"])


async def test_a_text_that_the_database_cannot_hold_is_refused_as_input(alice: Person) -> None:
    for filename in ("a\0b.mp4", "a\nb.mp4", "x" * 256):
        answer = await alice.post("/v1/jobs", json=upload_request(filename=filename), headers=key())
        assert_problem(answer, 422, "validation_failed")


async def test_a_body_that_is_no_json_is_a_problem(alice: Person) -> None:
    answer = await alice.post("/v1/jobs", content=b"{", headers={**key(), "Content-Type": "application/json"})
    assert_problem(answer, 400, "bad_request")


async def test_a_body_above_the_limit_is_refused_announced_or_not(alice: Person) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(5):
            yield b" " * 100_000

    headers = {**key(), "Content-Type": "application/json"}
    announced = await alice.post("/v1/jobs", content=b" " * 300_000, headers=headers)
    streamed = await alice.post("/v1/jobs", content=chunks(), headers=headers)

    assert_problem(announced, 413, "payload_too_large")
    assert_problem(streamed, 413, "payload_too_large")


async def test_the_title_speaks_the_language_of_the_request_then_of_the_token(login: Login) -> None:
    kim = login("kim", locale="ko")
    path = "/v1/jobs/job_" + "0" * 32
    korean = {"Accept-Language": "fr-FR,ko;q=0.8,en;q=0.5"}

    for answer, language in [
        (await kim.get(path), "ko"),
        (await kim.get(path, headers={"Accept-Language": "en-GB"}), "en"),
        (await login("joe").get(path, headers=korean), "ko"),
        (await login("joe").get(path), "en"),
    ]:
        body = assert_problem(answer, 404, "not_found")
        assert body["title"] == getattr(ERRORS[body["code"]], language)


async def test_a_request_id_is_kept_when_it_is_one_and_made_when_not(anonymous: httpx.AsyncClient) -> None:
    kept = await anonymous.get("/healthz", headers={"X-Request-ID": "abc-123.X_y"})
    assert kept.headers["x-request-id"] == "abc-123.X_y"

    for bad in ("a b", "x" * 65, "<script>", ""):
        made = await anonymous.get("/healthz", headers={"X-Request-ID": bad})
        assert made.headers["x-request-id"].startswith("req_")


async def test_an_unforeseen_failure_is_a_problem_that_tells_nothing_of_the_inside(
    platform_settings: Settings, issuer: Issuer
) -> None:
    libpq = platform_settings.database_url.get_secret_value().replace("+psycopg", "")
    headers = {"Authorization": f"Bearer {issuer.signer.mint('alice', locale='en')}"}
    async with (
        served(platform_settings) as api,
        httpx.AsyncClient(base_url=api.url, headers=headers) as client,
    ):
        await client.get("/v1/me")
        async with await psycopg.AsyncConnection.connect(libpq, autocommit=True) as connection:
            await connection.execute("ALTER TABLE jobs RENAME TO gone")

        answer = await client.get("/v1/videos/jobs")

    body = assert_problem(answer, 500, "internal")
    assert body["retryable"] is True
    assert "gone" not in answer.text
    assert "SELECT" not in answer.text
