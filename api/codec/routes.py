"""`/codec`: lets staff who are signed in to the Temporal Web UI read and write what is encrypted there.

Temporal's codec server protocol. The browser asks here directly, from the Web UI's pages and with the token of the
person who sits before it, so who may decode is decided by the same roles as everything else.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from api.auth import Caller, Role, require
from api.codec.schemas import Payload, Payloads
from api.problems import responses
from api.services import CurrentServices
from api.staff import log_call
from contracts.errors import Code

PREFIX = "/codec"
BODY_BYTES_MAX = 8 * 1024**2
"""The payloads of one event: Temporal takes 2 MB of each and 4 MB in all, base64 adds a third."""

router = APIRouter(
    prefix=PREFIX,
    tags=["operations"],
    responses=responses(
        Code.UNAUTHENTICATED,
        Code.FORBIDDEN,
        Code.BAD_REQUEST,
        Code.VALIDATION_FAILED,
        Code.PAYLOAD_TOO_LARGE,
        Code.UNAVAILABLE,
    ),
)

Staff = Annotated[Caller, require(Role.SUPPORT, Role.FINANCE, Role.ADMIN)]


@router.post(
    "/decode",
    summary="Decrypt payloads of Temporal",
    responses=responses(Code.CODEC_KEY_UNKNOWN, Code.CODEC_PAYLOAD_INVALID),
)
async def decode(body: Payloads, request: Request, caller: Staff, services: CurrentServices) -> Payloads:
    """For staff. Payloads that are not encrypted come back as they are."""
    await log_call(services, request, caller)
    decoded = await services.codec.decode([payload.message() for payload in body.payloads])
    return Payloads(payloads=[Payload.of(message) for message in decoded])


@router.post("/encode", summary="Encrypt payloads for Temporal")
async def encode(body: Payloads, request: Request, caller: Staff, services: CurrentServices) -> Payloads:
    """For staff: what they send with a signal or an update. Temporal does not record who sent an update, so the log of
    staff does."""
    said = "\n".join(payload.data.decode(errors="replace") for payload in body.payloads)
    await log_call(services, request, caller, said)
    encoded = await services.codec.encode([payload.message() for payload in body.payloads])
    return Payloads(payloads=[Payload.of(message) for message in encoded])


class CodecCors:
    """Lets pages of the Web UI, and of no other origin, call `/codec` from a browser."""

    def __init__(self, app: ASGIApp, origin: str) -> None:
        self.app = app
        self.guarded = CORSMiddleware(
            app, allow_origins=[origin], allow_methods=["POST"], allow_headers=["*"], max_age=600
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        ours = scope["type"] == "http" and scope["path"].startswith(f"{PREFIX}/")
        await (self.guarded if ours else self.app)(scope, receive, send)
