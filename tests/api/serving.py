"""The API under test, served by the server of production on a port of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import uvicorn

from api.app import create_app
from api.server import Server
from api.services import Services
from contracts.settings import Settings


@dataclass
class Api:
    server: Server
    url: str
    settings: Settings

    @property
    def services(self) -> Services:
        return self.server.app.state.services


@asynccontextmanager
async def served(settings: Settings) -> AsyncIterator[Api]:
    server = Server(create_app(settings), "127.0.0.1", 0)
    async with running(server) as url:
        yield Api(server, url, settings)


@asynccontextmanager
async def running(server: uvicorn.Server) -> AsyncIterator[str]:
    """Serve in this event loop; gives the base URL."""
    task = asyncio.create_task(server.serve())
    while not server.started:
        assert not task.done(), "the server did not start"
        await asyncio.sleep(0.005)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await task
