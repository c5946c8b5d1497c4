"""The development issuer (`dev.issuer`) in a process of its own."""

from __future__ import annotations

import sys
from pathlib import Path

import httpx

from dev.issuer import Signer, WebUi
from dev.servers.ports import port_for
from dev.servers.process import Server


class Issuer(Server):
    """`url` is the `iss` of its tokens; `signer` makes the same tokens without a request.

    People can sign in to `web_ui` when it is set before the start.
    """

    name = "issuer"

    def __init__(self, data_dir: Path, log_dir: Path) -> None:
        super().__init__(log_dir)
        self._key_file = data_dir / "issuer.key.json"
        self._port = port_for(self.name, data_dir)
        self.web_ui: WebUi | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def signer(self) -> Signer:
        return Signer.from_file(self._key_file, self.url)

    async def prepare(self) -> None:
        self._key_file.parent.mkdir(parents=True, exist_ok=True)

    def command(self) -> list[str]:
        web_ui = self.web_ui
        return [
            *(sys.executable, "-m", "dev.issuer"),
            *("--port", str(self._port), "--key-file", str(self._key_file)),
            *(("--ui-url", web_ui.url, "--codec-url", web_ui.codec_url) if web_ui else ()),
        ]

    async def probe(self) -> None:
        async with httpx.AsyncClient(trust_env=False) as client:
            (await client.get(f"{self.url}/.well-known/openid-configuration")).raise_for_status()
