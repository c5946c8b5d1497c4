"""uvicorn, ended gracefully: event streams are closed first, requests in flight get their answers."""

from __future__ import annotations

import socket

import uvicorn
from fastapi import FastAPI

from api.services import Services
from contracts.timing import WORKER_GRACE


class Server(uvicorn.Server):
    def __init__(self, app: FastAPI, host: str, port: int) -> None:
        self.app = app
        super().__init__(
            uvicorn.Config(
                app,
                host=host,
                port=port,
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=int(WORKER_GRACE.total_seconds()),
                ws="websockets-sansio",
            )
        )

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # A stream ends only with its job; without this uvicorn would wait for all of them until its limit.
        services: Services = self.app.state.services
        services.hub.close_watches()
        await super().shutdown(sockets)
