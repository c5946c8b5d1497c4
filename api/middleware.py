"""Round every HTTP request: an id, one log line, its latency, a limit, and a problem answer when all else failed."""

from __future__ import annotations

import logging
import re
import secrets
import time
from collections.abc import Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import problem
from api.services import services_of
from contracts.errors import Code

REQUEST_ID_HEADER = "X-Request-ID"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

log = logging.getLogger("echoshot.api")


class RequestContext:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return await self.app(scope, receive, send)
        sent_in = Headers(scope=scope).get(REQUEST_ID_HEADER, "")
        request_id = sent_in if _REQUEST_ID.fullmatch(sent_in) else f"req_{secrets.token_hex(8)}"
        scope.setdefault("state", {})["request_id"] = request_id
        began = time.perf_counter()
        first_byte_s: float | None = None
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal first_byte_s, status
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                first_byte_s, status = time.perf_counter() - began, message["status"]
                MutableHeaders(scope=message)[REQUEST_ID_HEADER] = request_id
            elif message["type"] == "websocket.accept":
                status = 101
            await send(message)

        try:
            await self.app(scope, receive, send_with_id)
        except Exception:
            log.exception("unforeseen failure", extra={"fields": {"request_id": request_id}})
            if status or scope["type"] == "websocket":
                raise
            await problem(HTTPConnection(scope), Code.INTERNAL)(scope, receive, send_with_id)
        finally:
            self._record(scope, status, first_byte_s, time.perf_counter() - began)

    def _record(self, scope: Scope, status: int, first_byte_s: float | None, total_s: float) -> None:
        """Neither query strings nor headers are logged, nor a path with the token of a shared link."""
        connection = HTTPConnection(scope)
        method = scope.get("method", "WEBSOCKET")
        route = route_of(scope)
        if first_byte_s is not None:
            services_of(connection).metrics.http_seconds.labels(method, route, status).observe(first_byte_s)
        caller = getattr(connection.state, "caller", None)
        fields = {
            "request_id": connection.state.request_id,
            "method": method,
            "path": route if "token" in scope.get("path_params", {}) else scope["path"],
            "route": route,
            "status": status,
            "ms": round(total_s * 1000, 1),
            "user_id": caller.user_id if caller else None,
        }
        log.info("request", extra={"fields": fields})


def route_of(scope: Scope) -> str:
    """The path with its parameters' names in place of their values; the router's own knows no prefixes."""
    if "route" not in scope:
        return "unmatched"
    path: str = scope["path"]
    names = {str(value): f"{{{name}}}" for name, value in scope.get("path_params", {}).items()}
    return "/".join(names.get(part, part) for part in path.split("/"))


class BodyLimit:
    """Refuses bodies above `bytes_max`, by their announced length or when they exceed it. Files go to the store.

    `larger` has the limits of the paths that begin otherwise. FastAPI has a limit of its own, but answers it in
    plain text.
    """

    def __init__(self, app: ASGIApp, bytes_max: int, larger: Mapping[str, int]) -> None:
        self.app = app
        self.bytes_max = bytes_max
        self.larger = larger

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        announced = Headers(scope=scope).get("content-length", "") if scope["type"] == "http" else ""
        prefixes = (prefix for prefix in self.larger if scope.get("path", "").startswith(f"{prefix}/"))
        bytes_max = next((self.larger[prefix] for prefix in prefixes), self.bytes_max)
        if announced.isdecimal() and int(announced) > bytes_max:
            await problem(HTTPConnection(scope), Code.PAYLOAD_TOO_LARGE)(scope, receive, send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > bytes_max:
                # An HTTPException is the only error that FastAPI lets through while it reads a body.
                raise HTTPException(413)
            return message

        await self.app(scope, counted, send)
