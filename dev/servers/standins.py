"""The payment stand-ins (`dev.standins`), each in its own process, with keys that last as long as the data folder."""

from __future__ import annotations

import json
import secrets
import sys
from abc import abstractmethod
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from dev.servers.ports import port_for
from dev.servers.process import Server


def _client() -> httpx.AsyncClient:
    """For plain HTTP on this machine: loading the certificates of TLS would take longer than a request."""
    return httpx.AsyncClient(trust_env=False, verify=False, timeout=60)  # noqa: S501


class Control:
    """The control surface of a running stand-in: `await control.post("faults", match=..., kind=...)`."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def post(self, path: str, **order: Any) -> Any:
        """Raises `httpx.HTTPStatusError` when the order is refused."""
        async with _client() as client:
            answer = await client.post(f"{self._url}/standin/{path}", json=order)
        if answer.is_error:
            raise httpx.HTTPStatusError(answer.text, request=answer.request, response=answer)
        return answer.json()

    async def get(self, path: str) -> Any:
        async with _client() as client:
            return (await client.get(f"{self._url}/standin/{path}")).raise_for_status().json()


class StandIn(Server):
    """`webhook_url` is where events go until a test says otherwise; empty: nowhere."""

    def __init__(self, data_dir: Path, log_dir: Path, webhook_url: str) -> None:
        super().__init__(log_dir)
        self._state = data_dir / f"{self.name}.sqlite"
        self._keys_file = data_dir / f"{self.name}.keys.json"
        self._webhook_url = webhook_url
        self._port = port_for(self.name, data_dir)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def control(self) -> Control:
        return Control(self.url)

    @abstractmethod
    def settings(self) -> Mapping[str, str]:
        """The platform's variables that lead it to this stand-in. Only after the start."""

    @abstractmethod
    def new_keys(self) -> dict[str, str]:
        """By the name of the command's option."""

    def key(self, name: str) -> str:
        return json.loads(self._keys_file.read_text())[name]

    async def prepare(self) -> None:
        self._keys_file.parent.mkdir(parents=True, exist_ok=True)
        if not self._keys_file.exists():
            self._keys_file.touch(mode=0o600)
            self._keys_file.write_text(json.dumps(self.new_keys()))

    def command(self) -> list[str]:
        options = {
            **json.loads(self._keys_file.read_text()),
            "port": str(self._port),
            "webhook-url": self._webhook_url,
            "state": str(self._state),
        }
        return [
            sys.executable,
            "-m",
            f"dev.standins.{self.name}",
            # In one word each: a random secret may begin with a dash.
            *(f"--{name}={value}" for name, value in options.items()),
        ]

    async def probe(self) -> None:
        await self.control.get("health")


class StripeStandIn(StandIn):
    name = "stripe"

    @property
    def secret_key(self) -> str:
        return self.key("secret-key")

    @property
    def publishable_key(self) -> str:
        return self.key("publishable-key")

    @property
    def webhook_secret(self) -> str:
        return self.key("webhook-secret")

    def new_keys(self) -> dict[str, str]:
        return {
            "secret-key": f"sk_test_{secrets.token_hex(12)}",
            "publishable-key": f"pk_test_{secrets.token_hex(12)}",
            "webhook-secret": f"whsec_{secrets.token_hex(16)}",
        }

    def settings(self) -> Mapping[str, str]:
        return {
            "ECHOSHOT_STRIPE__SECRET_KEY": self.secret_key,
            "ECHOSHOT_STRIPE__PUBLISHABLE_KEY": self.publishable_key,
            "ECHOSHOT_STRIPE__WEBHOOK_SECRET": self.webhook_secret,
            "ECHOSHOT_STRIPE__API_BASE": self.url,
        }


class PortOneStandIn(StandIn):
    name = "portone"

    @property
    def api_secret(self) -> str:
        return self.key("api-secret")

    @property
    def store_id(self) -> str:
        return self.key("store-id")

    @property
    def channel_key(self) -> str:
        return self.key("channel-key")

    @property
    def webhook_secret(self) -> str:
        return self.key("webhook-secret")

    def new_keys(self) -> dict[str, str]:
        return {
            "api-secret": secrets.token_urlsafe(32),
            "store-id": f"store-{secrets.token_hex(8)}",
            "channel-key": f"channel-key-{secrets.token_hex(8)}",
            "webhook-secret": f"whsec_{b64encode(secrets.token_bytes(24)).decode()}",
        }

    def settings(self) -> Mapping[str, str]:
        return {
            "ECHOSHOT_PORTONE__API_SECRET": self.api_secret,
            "ECHOSHOT_PORTONE__STORE_ID": self.store_id,
            "ECHOSHOT_PORTONE__CHANNEL_KEY": self.channel_key,
            "ECHOSHOT_PORTONE__WEBHOOK_SECRET": self.webhook_secret,
            "ECHOSHOT_PORTONE__API_BASE": self.url,
        }
