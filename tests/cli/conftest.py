"""`echoshot` as a user runs it, with a home folder of its own, against the real API."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio

from cli.main import main
from contracts.settings import Settings
from db.engine import Database
from dev.servers.issuer import Issuer
from storage.store import Store
from tests.api.serving import Api, served

CREDITS = 100


@dataclass(frozen=True)
class Ended:
    exit: int
    out: str
    err: str

    @property
    def documents(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]

    def document(self, type: str) -> dict[str, Any]:
        return [document for document in self.documents if document["type"] == type][-1]


class Running:
    """A process of its own, for what a signal does to it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)

    async def first_progress(self) -> None:
        """Returns when it has shown where the job stands, as JSON: from then on it waits."""
        assert self.process.stdout
        while json.loads(await self.process.stdout.readline())["type"] != "progress":
            pass

    async def ended(self) -> Ended:
        out, err = await self.process.communicate()
        assert self.process.returncode is not None
        return Ended(self.process.returncode, out.decode(), err.decode())


Echoshot = Callable[..., Awaitable[Ended]]
Start = Callable[..., Awaitable[Running]]


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A user who has never run it, English, in an empty folder."""
    for name in ("ECHOSHOT_API_URL", "ECHOSHOT_TOKEN", "LC_ALL", "LC_MESSAGES"):
        monkeypatch.delenv(name, raising=False)
    home = tmp_path / "home"
    (home / "videos").mkdir(parents=True)
    for name, value in {
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_STATE_HOME": str(home / "state"),
        "LANG": "en_US.UTF-8",
        "NO_PROXY": "127.0.0.1",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(home / "videos")
    return home


@pytest.fixture
def echoshot(home: Path, capsys: pytest.CaptureFixture[str]) -> Echoshot:
    """Run a command to its end, beside the server that it talks to."""

    async def run(*arguments: object) -> Ended:
        capsys.readouterr()
        try:
            code = await asyncio.to_thread(main, [str(argument) for argument in arguments])
        except SystemExit as wrong_usage:
            code = wrong_usage.code
        captured = capsys.readouterr()
        assert isinstance(code, int)
        return Ended(code, captured.out, captured.err)

    return run


@pytest_asyncio.fixture
async def start(home: Path) -> AsyncIterator[Start]:
    async with AsyncExitStack() as stack:

        async def start(*arguments: object) -> Running:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "cli.main", *map(str, arguments)),
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=dict(os.environ),
            )

            async def end() -> None:
                if process.returncode is None:
                    process.kill()
                    await process.communicate()

            stack.push_async_callback(end)
            return Running(process)

        yield start


@pytest_asyncio.fixture
async def api(platform_settings: Settings) -> AsyncIterator[Api]:
    async with served(platform_settings) as running:
        yield running


@pytest_asyncio.fixture
async def database(platform_settings: Settings) -> AsyncIterator[Database]:
    opened = Database.from_settings(platform_settings)
    yield opened
    await opened.aclose()


@pytest_asyncio.fixture
async def store(platform_settings: Settings) -> AsyncIterator[Store]:
    store = Store.from_settings(platform_settings)
    yield store
    store.close()


@pytest_asyncio.fixture
async def fan(api: Api, issuer: Issuer, echoshot: Echoshot) -> str:
    """A user with 100 credits who is signed in; their subject."""
    subject = f"fan-{uuid4().hex}"
    admin = ("--api", api.url, "--token", issuer.signer.mint("root", ["admin"]))
    granted = await echoshot(
        "admin", "grant", *admin, "--user", subject, "--credits", CREDITS, "--reason", "gift"
    )
    assert granted.exit == 0, granted
    signed_in = await echoshot("login", "--api", api.url, "--issuer", issuer.url, "--user", subject)
    assert signed_in.exit == 0, signed_in
    return subject


@pytest.fixture
def clip(home: Path) -> Path:
    return a_clip(home / "videos" / "stage.mp4", 1000)


def a_clip(path: Path, size: int) -> Path:
    """Begins as an MP4 does; what follows is noise, which only a worker would mind."""
    path.write_bytes(b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + os.urandom(size - 24))
    return path
