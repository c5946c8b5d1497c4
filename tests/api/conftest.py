"""A served API over real HTTP, and the people who call it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import httpx
import pytest
import pytest_asyncio

from api.app import create_app
from api.server import Server
from api.services import Services
from contracts.settings import Settings
from db.engine import Database
from dev.servers.issuer import Issuer


@dataclass
class Api:
    """The API as a client meets it; `services` are those of the served app."""

    server: Server
    url: str

    @property
    def services(self) -> Services:
        return self.server.app.state.services


@asynccontextmanager
async def served(settings: Settings) -> AsyncIterator[Api]:
    server = Server(create_app(settings), "127.0.0.1", 0)
    task = asyncio.create_task(server.serve())
    while not server.started:
        assert not task.done(), "the API did not start"
        await asyncio.sleep(0.005)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield Api(server, f"http://127.0.0.1:{port}")
    finally:
        server.should_exit = True
        await task


@pytest_asyncio.fixture
async def api(platform_settings: Settings) -> AsyncIterator[Api]:
    async with served(platform_settings) as running:
        yield running


Login = Callable[..., httpx.AsyncClient]


@pytest_asyncio.fixture
async def login(api: Api, issuer: Issuer) -> AsyncIterator[Login]:
    """`login("alice", "admin")`: a client that sends alice's token."""
    async with AsyncExitStack() as clients:

        def client(name: str, *roles: str, locale: str = "en", **headers: str) -> httpx.AsyncClient:
            token = issuer.signer.mint(name, roles, locale=locale)
            new = httpx.AsyncClient(
                base_url=api.url, headers={"Authorization": f"Bearer {token}", **headers}, trust_env=False
            )
            clients.push_async_callback(new.aclose)
            return new

        yield client


@pytest.fixture
def alice(login: Login) -> httpx.AsyncClient:
    return login("alice")


@pytest.fixture
def bob(login: Login) -> httpx.AsyncClient:
    return login("bob")


@pytest.fixture
def admin(login: Login) -> httpx.AsyncClient:
    return login("root", "admin")


@pytest_asyncio.fixture
async def anonymous(api: Api) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=api.url, trust_env=False) as client:
        yield client


@pytest_asyncio.fixture
async def database(platform_settings: Settings) -> AsyncIterator[Database]:
    opened = Database.from_settings(platform_settings)
    yield opened
    await opened.aclose()
