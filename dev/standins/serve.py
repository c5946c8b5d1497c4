"""A stand-in as a web server: its control routes, everything else to its API, webhooks in the background."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import uvicorn
from fastapi import APIRouter, FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from dev.standins.exchange import Exchange
from dev.standins.webhooks import Webhooks


class _KnowsItsTransport(HttpToolsProtocol):
    """Hands the connection to the application, so that `NoAnswer` can reset it."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}


def standin_app(exchange: Exchange, webhooks: Webhooks, controls: list[APIRouter]) -> FastAPI:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        sender = asyncio.create_task(webhooks.run())
        yield
        sender.cancel()
        with suppress(asyncio.CancelledError):
            await sender

    app = FastAPI(lifespan=lifespan, openapi_url=None)
    for control in controls:
        app.include_router(control)
    app.add_route("/{path:path}", exchange.answer, methods=["GET", "POST", "DELETE", "PUT", "PATCH"])
    return app


def serve(app: FastAPI, port: int) -> None:
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=port,
        http=_KnowsItsTransport,
        access_log=False,
        log_level="warning",
        timeout_graceful_shutdown=1,
    )
