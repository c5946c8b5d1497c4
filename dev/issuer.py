"""An OpenID Connect issuer for development: anybody on this machine may log in as anybody.

It speaks what the API and the CLI need of the standard (discovery, JWKS, a token endpoint) and signs with a real key,
so that the code that checks tokens is the code of production. Run by `dev.servers.issuer`; bound to 127.0.0.1 only.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import parse_qs
from uuid import uuid4

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from joserfc import jwt
from joserfc.jwk import ECKey

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
    ) -> str:
        """An access token whose subject is `username`. A negative `ttl_s` makes one that has expired."""
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": audience,
            "sub": username,
            "email": username if "@" in username else f"{username}@example.com",
            "roles": list(roles),
            "locale": locale,
            "iat": min(now, now + ttl_s),
            "exp": now + ttl_s,
            "jti": uuid4().hex,
        }
        return jwt.encode({"alg": _ALGORITHM, "kid": self._key.kid}, claims, self._key)

    def jwks(self) -> dict[str, object]:
        return {"keys": [self._key.as_dict(private=False)]}


def issuer_app(signer: Signer) -> FastAPI:
    app = FastAPI(title="EchoShotX development issuer", docs_url=None, redoc_url=None)

    @app.get("/.well-known/openid-configuration")
    def discovery() -> dict[str, object]:
        return {
            "issuer": signer.issuer,
            "jwks_uri": f"{signer.issuer}/jwks",
            "token_endpoint": f"{signer.issuer}/token",
            "grant_types_supported": ["password"],
            "response_types_supported": ["token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [_ALGORITHM],
        }

    @app.get("/jwks")
    def jwks() -> dict[str, object]:
        return signer.jwks()

    @app.post("/token")
    async def token(request: Request) -> JSONResponse:
        """Form fields: `username`; optional `roles` (spaces or commas between them) and `locale`."""
        form = {name: values[-1] for name, values in parse_qs((await request.body()).decode()).items()}
        username = form.get("username", "").strip()
        if not username:
            return JSONResponse({"error": "invalid_request", "error_description": "username is missing"}, 400)
        roles = form.get("roles", "").replace(",", " ").split()
        return JSONResponse(
            {
                "access_token": signer.mint(username, roles, locale=form.get("locale", "ko")),
                "token_type": "Bearer",
                "expires_in": TOKEN_TTL_S,
            },
            headers={"Cache-Control": "no-store"},
        )

    return app


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--key-file", type=Path, required=True)
    options = parser.parse_args()
    signer = Signer.from_file(options.key_file, f"http://127.0.0.1:{options.port}")
    uvicorn.run(issuer_app(signer), host="127.0.0.1", port=options.port, access_log=False)


if __name__ == "__main__":
    main()
