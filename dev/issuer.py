"""An OpenID Connect issuer for development: anybody on this machine may log in as anybody.

It speaks what the API, the CLI and the Temporal Web UI need of the standard (discovery, JWKS, token and userinfo
endpoints, the authorization-code flow) and signs with a real key, so that the code that checks tokens is the code of
production. Run by `dev.servers.issuer`; bound to 127.0.0.1 only.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs
from uuid import uuid4

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from dev import codec_relay
from dev.sign_in import CLIENT_ID, SCOPES, SignIn, SignInRefused

AUDIENCE = "echoshot"
TOKEN_TTL_S = 3600
_ALGORITHM = "ES256"


class Signer:
    """Makes tokens of `issuer` (a URL). Tests use it to make such tokens as no honest issuer would."""

    def __init__(self, key: ECKey, issuer: str) -> None:
        self._key = key
        self.issuer = issuer

    @classmethod
    def with_new_key(cls, issuer: str) -> Signer:
        """With a key that nobody else knows: what it signs is a forgery to every other issuer's audience."""
        return cls(
            ECKey.generate_key("P-256", parameters={"kid": uuid4().hex, "alg": _ALGORITHM, "use": "sig"}),
            issuer,
        )

    @classmethod
    def from_file(cls, key_file: Path, issuer: str) -> Signer:
        """With the key kept in `key_file`, which is made when it is missing."""
        if not key_file.exists():
            made = key_file.with_suffix(".new")
            made.touch(mode=0o600)
            made.write_text(json.dumps(cls.with_new_key(issuer)._key.as_dict(private=True)))
            os.replace(made, key_file)
        return cls(ECKey.import_key(json.loads(key_file.read_text())), issuer)

    def mint(
        self,
        username: str,
        roles: Sequence[str] = (),
        *,
        locale: str = "ko",
        ttl_s: int = TOKEN_TTL_S,
        audience: str = AUDIENCE,
        more_claims: Mapping[str, str] | None = None,
    ) -> str:
        """An access token whose subject is `username`. A negative `ttl_s` makes one that has expired."""
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": audience,
            "sub": username,
            "name": username,
            "email": username if "@" in username else f"{username}@example.com",
            "roles": list(roles),
            "locale": locale,
            "iat": min(now, now + ttl_s),
            "exp": now + ttl_s,
            "jti": uuid4().hex,
            **(more_claims or {}),
        }
        return jwt.encode({"alg": _ALGORITHM, "kid": self._key.kid}, claims, self._key)

    def claims(self, token: str) -> dict[str, Any]:
        """Of a token of ours that has not expired. Raises `JoseError` or ValueError for any other."""
        claims = jwt.decode(token, self._key, algorithms=[_ALGORITHM]).claims
        jwt.JWTClaimsRegistry(iss={"essential": True, "value": self.issuer}).validate(claims)
        return claims

    def jwks(self) -> dict[str, object]:
        return {"keys": [self._key.as_dict(private=False)]}


@dataclass(frozen=True)
class WebUi:
    """The Temporal Web UI that people sign in to here."""

    url: str
    codec_url: str
    """The API's `/codec`, which decodes for those who are signed in."""


def issuer_app(signer: Signer, web_ui: WebUi | None = None) -> FastAPI:
    app = FastAPI(title="EchoShotX development issuer", docs_url=None, redoc_url=None)
    sign_in = SignIn(web_ui.url) if web_ui else None

    @app.get("/.well-known/openid-configuration")
    def discovery() -> dict[str, object]:
        return {
            "issuer": signer.issuer,
            "jwks_uri": f"{signer.issuer}/jwks",
            "authorization_endpoint": f"{signer.issuer}/authorize",
            "token_endpoint": f"{signer.issuer}/token",
            "userinfo_endpoint": f"{signer.issuer}/userinfo",
            "grant_types_supported": ["authorization_code", "password"],
            "response_types_supported": ["code"],
            "scopes_supported": SCOPES,
            "subject_types_supported": ["public"],
            "token_endpoint_auth_methods_supported": ["none"],
            "id_token_signing_alg_values_supported": [_ALGORITHM],
        }

    @app.get("/jwks")
    def jwks() -> dict[str, object]:
        return signer.jwks()

    @app.get("/userinfo")
    def userinfo(request: Request) -> JSONResponse:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        try:
            claims = signer.claims(token if scheme.lower() == "bearer" else "")
        except (JoseError, ValueError):
            return JSONResponse({"error": "invalid_token"}, 401, {"WWW-Authenticate": "Bearer"})
        return JSONResponse({name: claims[name] for name in ("sub", "name", "email", "roles", "locale")})

    @app.post("/token")
    async def token(request: Request) -> JSONResponse:
        """Form fields: `username`; optional `roles` (spaces or commas between them) and `locale`. Or those of the
        authorization-code flow."""
        form = await _form(request)
        if form.get("grant_type") == "authorization_code":
            return _redeemed(signer, sign_in, form)
        username = form.get("username", "").strip()
        if not username:
            return _token_error("invalid_request", "username is missing")
        roles = form.get("roles", "").replace(",", " ").split()
        return _tokens(signer.mint(username, roles, locale=form.get("locale", "ko")))

    if web_ui is not None and sign_in is not None:
        _serve_sign_in(app, signer, sign_in)
        codec_relay.install(app, web_ui.url, web_ui.codec_url)
    return app


def _serve_sign_in(app: FastAPI, signer: Signer, sign_in: SignIn) -> None:
    @app.get("/authorize")
    def ask(request: Request) -> Response:
        return HTMLResponse(sign_in.page(request.query_params))

    @app.post("/authorize")
    async def answer(request: Request) -> Response:
        form = await _form(request)
        response = RedirectResponse(sign_in.accept(form), 303)
        codec_relay.remember(response, signer.mint(form["username"].strip(), [form["role"]]), TOKEN_TTL_S)
        return response

    @app.exception_handler(SignInRefused)
    async def refused(_: Request, error: SignInRefused) -> Response:
        return PlainTextResponse(str(error), 400)


def _redeemed(signer: Signer, sign_in: SignIn | None, form: Mapping[str, str]) -> JSONResponse:
    grant = sign_in.redeem(form.get("code", ""), form.get("redirect_uri", "")) if sign_in else None
    if grant is None:
        return _token_error("invalid_grant", "the code is unknown, used or too old")
    return _tokens(
        signer.mint(grant.username, [grant.role]),
        id_token=signer.mint(
            grant.username, [grant.role], audience=CLIENT_ID, more_claims={"nonce": grant.nonce}
        ),
    )


def _tokens(access_token: str, **more: str) -> JSONResponse:
    body = {"access_token": access_token, "token_type": "Bearer", "expires_in": TOKEN_TTL_S, **more}
    return JSONResponse(body, headers={"Cache-Control": "no-store"})


def _token_error(error: str, description: str) -> JSONResponse:
    return JSONResponse({"error": error, "error_description": description}, 400)


async def _form(request: Request) -> dict[str, str]:
    return {name: values[-1] for name, values in parse_qs((await request.body()).decode()).items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--key-file", type=Path, required=True)
    parser.add_argument("--ui-url", default="", help="the Temporal Web UI, which people sign in to")
    parser.add_argument("--codec-url", default="", help="the API's /codec")
    options = parser.parse_args()
    signer = Signer.from_file(options.key_file, f"http://127.0.0.1:{options.port}")
    web_ui = WebUi(options.ui_url, options.codec_url) if options.ui_url else None
    uvicorn.run(issuer_app(signer, web_ui), host="127.0.0.1", port=options.port, access_log=False)


if __name__ == "__main__":
    main()
