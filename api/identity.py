"""OIDC: bearer tokens checked against the issuer's published keys, and the users behind them.

The issuer's JWKS is cached; an unknown key id triggers one refresh, at most one per `REFRESH_MIN_S` seconds, so
that a key rotation is followed at once and forged key ids cannot make this process hammer the issuer.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

import httpx
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet

from contracts.errors import Code, EchoError
from contracts.ids import UserId
from db.engine import Database
from db.users import ensure_user

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "Ed25519", "EdDSA")
"""Public-key signatures only: with `none` or HMAC anyone could sign with what is published."""
LEEWAY_S = 30
REFRESH_MIN_S = 10.0
KEYS_AGE_MAX_S = 3600.0
"""A key that the issuer withdraws stops working here within this time."""
FETCH_TIMEOUT_S = 5.0
USERS_KNOWN_MAX = 10_000

log = logging.getLogger("echoshot.api")


class KeyCache:
    """The issuer's public keys."""

    def __init__(self, issuer: str, jwks_url: str, clock: Callable[[], float]) -> None:
        self._issuer = issuer
        self._jwks_url = jwks_url
        self._clock = clock
        self._keys: KeySet | None = None
        self._fetched_at = float("-inf")
        self._tried_at = float("-inf")
        self._lock = asyncio.Lock()

    async def keys(self) -> KeySet:
        """EchoError(UNAVAILABLE) when the issuer was never reached."""
        if self._keys is None or self._clock() - self._fetched_at > KEYS_AGE_MAX_S:
            await self.refresh()
        if self._keys is None:
            raise EchoError(Code.UNAVAILABLE, "the identity provider's keys could not be fetched")
        return self._keys

    async def refresh(self) -> None:
        """Fetch the keys anew, unless that was just tried; a failure leaves the old ones in place."""
        async with self._lock:
            if self._clock() - self._tried_at < REFRESH_MIN_S:
                return
            self._tried_at = self._clock()
            try:
                self._keys = await self._fetch()
                self._fetched_at = self._clock()
            except (httpx.HTTPError, JoseError, ValueError, KeyError, TypeError) as error:
                log.error("JWKS refresh failed: %r", error)

    async def _fetch(self) -> KeySet:
        async with httpx.AsyncClient(timeout=FETCH_TIMEOUT_S, trust_env=False) as client:
            url = self._jwks_url
            if not url:
                discovery = await client.get(f"{self._issuer.rstrip('/')}/.well-known/openid-configuration")
                document = discovery.raise_for_status().json()
                if document["issuer"] != self._issuer:
                    raise ValueError(f"discovery document names issuer {document['issuer']!r}")
                url = document["jwks_uri"]
            answer = await client.get(url)
            return KeySet.import_key_set(answer.raise_for_status().json())


class TokenVerifier:
    """Turns a bearer token into its claims, or into EchoError(UNAUTHENTICATED) that says why."""

    def __init__(
        self, issuer: str, audience: str, jwks_url: str = "", clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._keys = KeyCache(issuer, jwks_url, clock)
        self._claims = jwt.JWTClaimsRegistry(
            leeway=LEEWAY_S,
            iss={"essential": True, "value": issuer},
            aud={"essential": True, "value": audience},
            sub={"essential": True},
            exp={"essential": True},
        )

    async def claims(self, token: str) -> dict[str, Any]:
        try:
            try:
                decoded = jwt.decode(token, await self._keys.keys(), algorithms=ALGORITHMS)
            except InvalidKeyIdError:
                await self._keys.refresh()
                decoded = jwt.decode(token, await self._keys.keys(), algorithms=ALGORITHMS)
            self._claims.validate(decoded.claims)
        except (JoseError, ValueError) as error:
            raise EchoError(Code.UNAUTHENTICATED, f"token rejected: {error}") from error
        return decoded.claims


class Users:
    """From a token's subject to our user, written to the database when first seen or changed."""

    def __init__(self, database: Database, issuer: str) -> None:
        self._database = database
        self._issuer = issuer
        self._known: dict[tuple[str, str, str], UserId] = {}

    async def user_id(self, subject: str, email: str, locale: str) -> UserId:
        key = (subject, email, locale)
        if key not in self._known:
            async with self._database.transaction() as session:
                user = await ensure_user(
                    session, issuer=self._issuer, subject=subject, email=email, locale=locale
                )
            if len(self._known) >= USERS_KNOWN_MAX:
                self._known.clear()
            self._known[key] = UserId(user.id)
        return self._known[key]
