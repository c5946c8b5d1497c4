from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import psycopg
import pytest

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
    for filename in ("a\0b.mp4", "a\nb.mp4", "x" * 256, "half a pair \ud800.mp4"):
        answer = await alice.post("/v1/jobs", **escaped(upload_request(filename=filename)))
        assert_problem(answer, 422, "validation_failed")
    misspelt = upload_request() | {"half a pair \ud800": 1, "nothing \0": 2}
    assert_problem(await alice.post("/v1/jobs", **escaped(misspelt)), 422, "validation_failed")


def escaped(body: dict[str, Any]) -> dict[str, Any]:
    """A request whose JSON says in escapes what UTF-8 cannot."""
    return {"content": json.dumps(body), "headers": {**key(), "Content-Type": "application/json"}}


@pytest.mark.parametrize("unreadable", ["\0", "\ud800"])
async def test_staff_are_told_of_a_character_that_is_no_text(unreadable: str, login: Login) -> None:
    nobody = "0" * 32
    correction = {
        "reason": "r",
        "legs": [
            {"account": "available", "bucket": "paid", "user_id": "usr_x", "amount": 1},
            {"account": "losses", "bucket": "paid", "amount": -1},
        ],
    }
    with_owner = {
        **correction,
        "legs": [{**correction["legs"][0], "user_id": unreadable}, correction["legs"][1]],
    }
    for role, path, body in [
        (
            "support",
            f"/v1/support/purchases/pur_{nobody}/refunds",
            {"reason": "goodwill", "note": unreadable},
        ),
        ("admin", "/v1/admin/credits/grants", {"user": {"subject": "s"}, "credits": 1, "reason": unreadable}),
        ("admin", "/v1/admin/credits/grants", {"user": {"subject": unreadable}, "credits": 1, "reason": "r"}),
        ("finance", "/v1/finance/corrections", {**correction, "reason": unreadable}),
        ("finance", "/v1/finance/corrections", {**correction, "subject": unreadable}),
        ("finance", "/v1/finance/corrections", with_owner),
        ("finance", f"/v1/finance/corrections/cor_{nobody}/reject", {"note": unreadable}),
    ]:
        answer = await login("sam", role).post(path, **escaped(body))
        assert_problem(answer, 422, "validation_failed")


@pytest.mark.parametrize("amount", ["4000", 4000.0, True])
async def test_an_amount_is_a_whole_number_and_nothing_that_looks_like_one(
    amount: object, login: Login
) -> None:
    nobody = "0" * 32
    legs = [{"account": "losses", "amount": amount}, {"account": "issued", "amount": -4000}]
    for role, path, body in [
        (
            "support",
            f"/v1/support/purchases/pur_{nobody}/refunds",
            {"reason": "goodwill", "amount_krw": amount},
        ),
        ("support", f"/v1/support/purchases/pur_{nobody}/refunds", {"reason": "goodwill", "credits": amount}),
        ("admin", "/v1/admin/credits/grants", {"user": {"subject": "s"}, "credits": amount, "reason": "r"}),
        ("finance", "/v1/finance/corrections", {"reason": "r", "legs": legs}),
    ]:
        answer = await login("sam", role).post(path, json=body, headers=key())
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


async def test_the_detail_speaks_the_language_of_the_title_and_keeps_what_is_technical_apart(
    login: Login,
) -> None:
    kim = login("kim", locale="ko")
    for language, words in [
        ("ko", "크레딧 10개가 필요한데 0개가 있습니다"),
        ("en", "10 credits are needed, 0 are available"),
    ]:
        headers = {**key(), "Accept-Language": language}
        short = await kim.post("/v1/jobs", json=upload_request(), headers=headers)
        body = assert_problem(short, 402, "credits_short")
        assert words in body["detail"]
        assert (body["required"], body["available"]) == (10, 0)
        assert short.headers["content-language"] == language

    body = assert_problem(await kim.get("/v1/finance/transfers"), 403, "forbidden")
    assert body["detail"].startswith("필요한 역할: ")

    body = assert_problem(await kim.get("/v1/jobs/job_" + "0" * 32), 404, "not_found")
    assert "detail" not in body
    assert body["technical"] == "no job job_" + "0" * 32


async def test_what_is_wrong_with_a_field_is_said_in_korean_too(login: Login) -> None:
    kim = login("kim", locale="ko")
    request = upload_request(filename="", bytes=0, content_type="text/plain", surprise=1, sha256=7)

    body = assert_problem(await kim.post("/v1/jobs", json=request, headers=key()), 422, "validation_failed")

    said = {error["field"].rpartition(".")[2]: error["message"] for error in body["errors"]}
    assert said["bytes"] == "1 이상이어야 합니다"
    assert said["filename"] == "1자 이상이어야 합니다"
    assert said["surprise"] == "쓸 수 없는 항목입니다"
    assert said["sha256"] == "문자열이어야 합니다"
    assert said["content_type"].startswith("다음 중 하나여야 합니다: 'video/mp4', ")

    card = {"package": "100", "payment_method": "4242424242424242"}
    body = assert_problem(
        await kim.post("/v1/payments/tokens", json=card, headers=key()), 422, "validation_failed"
    )
    assert "카드 번호는 보내지 마세요" in body["errors"][0]["message"]


@pytest.mark.parametrize(
    ("locale", "words"),
    [
        ("en", "Input should be 'requested_by_customer', "),
        ("ko", "다음 중 하나여야 합니다: 'requested_by_customer', "),
    ],
)
async def test_the_values_that_a_field_takes_are_named_as_callers_write_them(
    login: Login, locale: str, words: str
) -> None:
    path = f"/v1/support/purchases/pur_{'0' * 32}/refunds"
    headers = {**key(), "Accept-Language": locale}

    answer = await login("sam", "support").post(path, json={"reason": "whim"}, headers=headers)

    message = assert_problem(answer, 422, "validation_failed")["errors"][0]["message"]
    assert message.startswith(words)
    assert "<" not in message


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
