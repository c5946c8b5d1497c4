"""Between the Web UI's pages and the API's `/codec`, on one machine without TLS.

The Web UI sends its person's token to a codec server only over https, as it should; here everything is http on
127.0.0.1. So the browser keeps the token in a cookie of this relay, which puts it where the API expects it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

import httpx
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.middleware.cors import CORSMiddleware

PATH = "/codec"
_COOKIE = "echoshot_codec"


def install(app: FastAPI, ui_url: str, codec_url: str) -> None:
    """`codec_url` is the API's; pages of `ui_url` may call."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with httpx.AsyncClient(trust_env=False) as client:
            app.state.relay = client
            yield

    router = APIRouter(lifespan=lifespan)

    @router.post(f"{PATH}/{{action}}")
    async def relay(action: Literal["decode", "encode"], request: Request) -> Response:
        headers = {
            name: request.headers[name] for name in ("content-type", "x-namespace") if name in request.headers
        }
        if token := request.cookies.get(_COOKIE):
            headers["Authorization"] = f"Bearer {token}"
        try:
            answer = await request.app.state.relay.post(
                f"{codec_url}/{action}", content=await request.body(), headers=headers
            )
        except httpx.TransportError as error:
            return Response(f"the API does not answer: {type(error).__name__}", 503)
        return Response(answer.content, answer.status_code, media_type=answer.headers.get("content-type"))

    app.include_router(router)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=[ui_url],
        allow_methods=["POST"],
        allow_headers=["*"],
        allow_credentials=True,
    )


def remember(response: Response, token: str, ttl_s: int) -> None:
    """Called when somebody signs in."""
    response.set_cookie(_COOKIE, token, max_age=ttl_s, path=PATH, httponly=True, samesite="strict")
