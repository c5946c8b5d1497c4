"""stripe-mock: Stripe's own schema check of requests. It knows no state; `dev.standins.stripe` does."""

from __future__ import annotations

from pathlib import Path

import httpx

from dev.servers.ports import port_for
from dev.servers.process import Server

SECRET_KEY = "sk_test_123"  # noqa: S105 (it accepts any key of this form)


class StripeMock(Server):
    """`url` takes any request that Stripe's OpenAPI schema allows, with `SECRET_KEY`, and answers a fixture."""

    name = "stripe-mock"

    def __init__(self, data_dir: Path, log_dir: Path, program: Path) -> None:
        super().__init__(log_dir)
        self._program = program
        self._port = port_for(self.name, data_dir)
        self._tls_port = port_for(f"{self.name}-tls", data_dir)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def command(self) -> list[str]:
        # It always speaks TLS too: untold at one fixed port of every network, so a second one could not start.
        addresses = {"-http-addr": self._port, "-https-addr": self._tls_port}
        return [
            str(self._program),
            *(part for option, port in addresses.items() for part in (option, f"127.0.0.1:{port}")),
        ]

    async def probe(self) -> None:
        async with httpx.AsyncClient(trust_env=False) as client:
            headers = {"Authorization": f"Bearer {SECRET_KEY}"}
            (await client.get(f"{self.url}/v1/balance", headers=headers)).raise_for_status()
