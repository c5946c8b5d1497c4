"""The development issuer signs with a real key that its JWKS publishes, and only with that one."""

from __future__ import annotations

import time
from pathlib import Path

import httpx
import pytest
from joserfc import jwt
from joserfc.errors import BadSignatureError, ExpiredTokenError, InvalidKeyIdError
from joserfc.jwk import KeySet

from dev.issuer import AUDIENCE, Signer
from dev.servers.issuer import Issuer

pytestmark = pytest.mark.servers


async def published_keys(issuer: Issuer) -> KeySet:
    async with httpx.AsyncClient(trust_env=False) as client:
        document = (await client.get(f"{issuer.url}/.well-known/openid-configuration")).json()
        assert document["issuer"] == issuer.url
        return KeySet.import_key_set((await client.get(document["jwks_uri"])).json())


async def test_a_login_gives_a_token_that_the_published_keys_verify(issuer: Issuer) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.post(
            f"{issuer.url}/token", data={"username": "alice", "roles": "support,finance"}
        )
    token = jwt.decode(answer.json()["access_token"], await published_keys(issuer), algorithms=["ES256"])
    assert token.claims["iss"] == issuer.url
    assert token.claims["aud"] == AUDIENCE
    assert token.claims["sub"] == "alice"
    assert token.claims["roles"] == ["support", "finance"]
    assert 0 < token.claims["exp"] - time.time() <= answer.json()["expires_in"]


async def test_a_login_without_a_name_is_refused(issuer: Issuer) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.post(f"{issuer.url}/token", data={"roles": "admin"})
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


async def test_only_public_parts_of_the_key_are_published(issuer: Issuer) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        (key,) = (await client.get(f"{issuer.url}/jwks")).json()["keys"]
    assert {"kty", "crv", "x", "y", "kid"} <= key.keys()
    assert "d" not in key


async def test_a_token_of_a_foreign_key_does_not_verify(issuer: Issuer) -> None:
    forged = Signer.with_new_key(issuer.url).mint("alice", ["admin"])
    with pytest.raises((BadSignatureError, InvalidKeyIdError)):
        jwt.decode(forged, await published_keys(issuer), algorithms=["ES256"])


async def test_an_expired_token_verifies_but_says_that_it_is_expired(issuer: Issuer) -> None:
    token = jwt.decode(
        issuer.signer.mint("alice", ttl_s=-60), await published_keys(issuer), algorithms=["ES256"]
    )
    with pytest.raises(ExpiredTokenError):
        jwt.JWTClaimsRegistry().validate(token.claims)


async def test_the_key_outlives_a_restart(tmp_path: Path) -> None:
    server = Issuer(tmp_path, tmp_path / "logs")
    await server.start()
    try:
        before = (await published_keys(server)).as_dict()
        server.kill()
        await server.restart()
        assert (await published_keys(server)).as_dict() == before
    finally:
        await server.stop()
