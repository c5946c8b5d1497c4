"""Temporal's Web UI as a process of its own, with sign-in where there is an issuer."""

from __future__ import annotations

import json
from pathlib import Path

import httpx

from dev import codec_relay
from dev.servers.process import Server
from dev.sign_in import CLIENT_ID, SCOPES, callback_of


class WebUi(Server):
    name = "temporal-ui"

    def __init__(
        self,
        data: Path,
        log_dir: Path,
        program: Path,
        *,
        port: int,
        temporal_address: str,
        namespace: str,
        issuer_url: str,
    ) -> None:
        super().__init__(log_dir)
        self._data = data
        self._program = program
        self._port = port
        self.url = f"http://127.0.0.1:{port}"
        self._temporal_address = temporal_address
        self._namespace = namespace
        self._issuer_url = issuer_url

    @property
    def signs_in(self) -> bool:
        return bool(self._issuer_url)

    async def prepare(self) -> None:
        self._data.mkdir(parents=True, exist_ok=True)
        config = {
            "temporalGrpcAddress": self._temporal_address,
            "host": "127.0.0.1",
            "port": self._port,
            "enableUi": True,
            "defaultNamespace": self._namespace,
            "disableNewsFetch": True,
            # Its log has every address, and the details card travels in one, decoded.
            "hideLogs": True,
            "cors": {"allowOrigins": [self.url]},
            **(self._sign_in() if self.signs_in else {}),
        }
        (self._data / "development.yaml").write_text(json.dumps(config, indent=1))

    def _sign_in(self) -> dict[str, object]:
        provider = {
            "label": "sso",
            "type": "oidc",
            "providerUrl": self._issuer_url,
            "clientId": CLIENT_ID,
            "scopes": SCOPES,
            "callbackUrl": callback_of(self.url),
        }
        return {
            "auth": {"enabled": True, "providers": [provider]},
            # Over plain http it sends no token to a codec server, but a cookie: dev/codec_relay.py.
            "codec": {"endpoint": f"{self._issuer_url}{codec_relay.PATH}", "includeCredentials": True},
        }

    def command(self) -> list[str]:
        return [
            *(str(self._program), "--root", str(self._data), "--config", "."),
            *("--env", "development", "start"),
        ]

    async def probe(self) -> None:
        async with httpx.AsyncClient(trust_env=False) as client:
            (await client.get(f"{self.url}/api/v1/settings")).raise_for_status()
