from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey

from api.identity import TokenVerifier
from contracts.errors import Code, EchoError
from dev.issuer import Signer
from dev.servers.issuer import Issuer
from tests.api.acts import Login, Person, assert_problem
from tests.api.serving import running

AUDIENCE = "echoshot"


def claims(issuer: str, **changes: Any) -> dict[str, Any]:
    now = int(time.time())
    return {"iss": issuer, "aud": AUDIENCE, "sub": "eve", "iat": now, "exp": now + 600, **changes}


def unsigned(issuer: Issuer) -> str:
    """`alg: none`, the oldest trick of all."""
    parts = ({"alg": "none", "typ": "JWT"}, claims(issuer.url))
    return (
        ".".join(base64.urlsafe_b64encode(json.dumps(p).encode()).rstrip(b"=").decode() for p in parts) + "."
    )


def signed_with_what_is_published(issuer: Issuer) -> str:
    """HMAC keyed by the issuer's public key: valid wherever the verifier lets the token choose the algorithm."""
    public = issuer.signer.jwks()["keys"][0]  # pyright: ignore[reportIndexIssue]
    secret = OctKey.import_key(json.dumps(public, separators=(",", ":")).encode())
    header = {"alg": "HS256", "kid": public["kid"]}
    return jwt.encode(header, claims(issuer.url), secret, algorithms=["HS256"])


def foreign_key_under_the_right_name(issuer: Issuer) -> str:
    kid = issuer.signer.jwks()["keys"][0]["kid"]  # pyright: ignore[reportIndexIssue]
    return jwt.encode({"alg": "ES256", "kid": kid}, claims(issuer.url), ECKey.generate_key("P-256"))


BAD_TOKENS: dict[str, Callable[[Issuer], str]] = {
    "garbage": lambda issuer: "garbage",
    "empty parts": lambda issuer: "..",
    "expired": lambda issuer: issuer.signer.mint("eve", ttl_s=-60),
    "for another audience": lambda issuer: issuer.signer.mint("eve", audience="other"),
    "of another issuer": lambda issuer: Signer.with_new_key("http://evil.example").mint("eve"),
    "signed with an unpublished key": lambda issuer: Signer.with_new_key(issuer.url).mint("eve"),
    "signed with a foreign key of the right name": foreign_key_under_the_right_name,
    "unsigned": unsigned,
    "signed with what is published": signed_with_what_is_published,
}


@pytest.mark.parametrize("name", BAD_TOKENS)
async def test_a_bad_token_is_refused(name: str, anonymous: httpx.AsyncClient, issuer: Issuer) -> None:
    token = BAD_TOKENS[name](issuer)

    answer = await anonymous.get("/v1/me", headers={"Authorization": f"Bearer {token}"})

    assert_problem(answer, 401, "unauthenticated")
    assert answer.headers["www-authenticate"].startswith("Bearer ")


@pytest.mark.parametrize("header", [None, "", "Basic ZXZlOmV2ZQ==", "Bearer"])
async def test_a_request_without_a_bearer_token_is_refused(
    header: str | None, anonymous: httpx.AsyncClient
) -> None:
    headers = {} if header is None else {"Authorization": header}
    assert_problem(await anonymous.get("/v1/me", headers=headers), 401, "unauthenticated")


async def test_the_caller_is_who_the_token_says(login: Login) -> None:
    person = login("dora", "support", locale="ko")

    me = (await person.get("/v1/me")).json()

    assert me["subject"] == person.subject
    assert me["roles"] == ["support", "user"]
    assert me["locale"] == "ko"
    assert (await person.get("/v1/me")).json()["user_id"] == me["user_id"]


async def test_two_first_requests_at_once_make_one_user(login: Login) -> None:
    person = login("twin")

    answers = await asyncio.gather(*(person.get("/v1/me") for _ in range(8)))

    assert len({answer.json()["user_id"] for answer in answers}) == 1


async def test_only_administrators_grant_credits(alice: Person, login: Login) -> None:
    grant = {"user": {"subject": alice.subject}, "credits": 5, "reason": "self service"}
    for person in (alice, login("sam", "support"), login("fay", "finance"), login("wes", "worker")):
        answer = await person.post("/v1/admin/credits/grants", json=grant, headers={"Idempotency-Key": "1"})
        assert_problem(answer, 403, "forbidden")


class Provider:
    """An identity provider that counts how often its keys are asked for and may change them."""

    def __init__(self) -> None:
        self.keys: list[ECKey | RSAKey] = []
        self.fetches = 0
        self.url = ""

    def rotate(self, key: ECKey | RSAKey) -> None:
        self.keys = [key]

    def mint(self, key: ECKey | RSAKey, alg: str, **changes: Any) -> str:
        return jwt.encode({"alg": alg, "kid": key.kid}, claims(self.url, **changes), key, algorithms=[alg])


@asynccontextmanager
async def provider() -> AsyncIterator[Provider]:
    found = Provider()
    app = FastAPI()

    @app.get("/jwks")
    def jwks() -> dict[str, Any]:
        found.fetches += 1
        return {"keys": [key.as_dict(private=False) for key in found.keys]}

    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None))
    async with running(server) as found.url:
        yield found


def ec_key(kid: str) -> ECKey:
    return ECKey.generate_key("P-256", parameters={"kid": kid, "use": "sig"})


async def test_a_new_key_of_the_issuer_is_fetched_and_forged_key_names_cannot_repeat_that() -> None:
    async with provider() as issuer:
        old, new = ec_key("old"), ec_key("new")
        issuer.rotate(old)
        clock = Clock()
        verifier = TokenVerifier(issuer.url, AUDIENCE, f"{issuer.url}/jwks", clock)
        for _ in range(3):
            assert (await verifier.claims(issuer.mint(old, "ES256")))["sub"] == "eve"
        assert issuer.fetches == 1

        issuer.rotate(new)
        clock.now += 60
        assert (await verifier.claims(issuer.mint(new, "ES256")))["sub"] == "eve"
        assert issuer.fetches == 2
        for number in range(5):
            with pytest.raises(EchoError, match=Code.UNAUTHENTICATED):
                await verifier.claims(issuer.mint(ec_key(f"forged-{number}"), "ES256"))
        assert issuer.fetches == 2, "at most one refresh in a while, however many names are made up"
        with pytest.raises(EchoError, match=Code.UNAUTHENTICATED):
            await verifier.claims(issuer.mint(old, "ES256"))


async def test_a_key_that_the_issuer_withdrew_stops_working_within_the_hour() -> None:
    async with provider() as issuer:
        old = ec_key("old")
        issuer.rotate(old)
        clock = Clock()
        verifier = TokenVerifier(issuer.url, AUDIENCE, f"{issuer.url}/jwks", clock)
        await verifier.claims(issuer.mint(old, "ES256"))

        issuer.rotate(ec_key("new"))
        clock.now += 3601

        with pytest.raises(EchoError, match=Code.UNAUTHENTICATED):
            await verifier.claims(issuer.mint(old, "ES256"))


async def test_known_keys_outlive_an_outage_of_the_issuer_but_no_key_means_unavailable() -> None:
    async with provider() as issuer:
        key = ec_key("only")
        issuer.rotate(key)
        clock = Clock()
        verifier = TokenVerifier(issuer.url, AUDIENCE, f"{issuer.url}/jwks", clock)
        token = issuer.mint(key, "ES256")
        await verifier.claims(token)
        never_met = TokenVerifier(issuer.url, AUDIENCE, f"{issuer.url}/jwks", clock)

    clock.now += 3601
    assert (await verifier.claims(token))["sub"] == "eve"
    with pytest.raises(EchoError, match=Code.UNAVAILABLE):
        await never_met.claims(token)


async def test_rsa_tokens_are_accepted_and_times_are_checked_with_a_small_leeway() -> None:
    async with provider() as issuer:
        key = RSAKey.generate_key(2048, parameters={"kid": "rsa", "use": "sig"})
        issuer.rotate(key)
        verifier = TokenVerifier(issuer.url, AUDIENCE, f"{issuer.url}/jwks")
        now = int(time.time())

        assert await verifier.claims(issuer.mint(key, "RS256", exp=now - 5))
        assert await verifier.claims(issuer.mint(key, "RS256", nbf=now + 5, aud=["other", AUDIENCE]))
        for change in ({"exp": now - 120}, {"nbf": now + 120}, {"exp": None}, {"sub": None}, {"exp": "soon"}):
            with pytest.raises(EchoError, match=Code.UNAUTHENTICATED):
                await verifier.claims(issuer.mint(key, "RS256", **change))


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now
