"""How the demo and its like speak to a running platform: as somebody, over HTTP."""

from __future__ import annotations

from collections.abc import Mapping

import httpx


async def login(environment: Mapping[str, str], username: str, roles: str) -> str:
    async with httpx.AsyncClient(trust_env=False) as client:
        form = {"username": username, "roles": roles}
        answer = await client.post(f"{environment['ECHOSHOT_OIDC_ISSUER']}/token", data=form)
        return answer.raise_for_status().json()["access_token"]


def api_of(environment: Mapping[str, str], token: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=environment["ECHOSHOT_PUBLIC_URL"],
        headers={"Authorization": f"Bearer {token}"},
        trust_env=False,
    )
