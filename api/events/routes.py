"""`/v1/jobs/{id}/events` (SSE) and `/v1/jobs/{id}/ws` (WebSocket): live progress."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Annotated

from fastapi import APIRouter, Header, Query, Response, WebSocket, WebSocketDisconnect
from fastapi.responses import StreamingResponse
from fastapi.sse import format_sse_event

from api.auth import authenticate
from api.events.stream import job_stream, settled_before
from api.jobs.reading import readable_job
from api.problems import render, responses
from api.services import CurrentServices, Services, services_of
from api.shapes import JobIdPath
from api.staff import JobReader, log_reader
from contracts.errors import Code, EchoError
from contracts.ids import JobId
from contracts.jobs import EventType

BEARER_PROTOCOL = "bearer"
"""Browsers cannot set headers on a WebSocket: they offer the subprotocols `bearer` and the token itself."""
CLOSE_DONE = 1000
CLOSE_GOING_AWAY = 1001

router = APIRouter(tags=["events"])

SSE_SCHEMA = {
    "type": "object",
    "description": "One event of the stream.",
    "properties": {
        "event": {"type": "string", "enum": ["snapshot", *EventType]},
        "id": {"type": "string"},
        "data": {
            "type": "string",
            "contentMediaType": "application/json",
            "contentSchema": {"$ref": "#/components/schemas/JobEvent"},
        },
    },
    "required": ["event", "id", "data"],
}
SSE_EXAMPLE = """id: 7
event: snapshot
data: {"job_id":"job_0197...","seq":7,"type":"status","status":"RUNNING","stages":[...],"eta_s":42}

id: 8
event: progress
data: {"job_id":"job_0197...","seq":8,"type":"progress","status":"RUNNING","stages":[...],"eta_s":41}
"""


@router.get(
    "/jobs/{job_id:id}/events",
    summary="Live events of a job (SSE)",
    response_class=Response,
    responses={
        200: {
            "description": "A stream of `snapshot`, `status`, `progress` and `attention` events; each `data` is a "
            "JobEvent, each `id` its `seq`. It ends after the event that settles the job.",
            "content": {"text/event-stream": {"schema": SSE_SCHEMA, "example": SSE_EXAMPLE}},
        },
        204: {"description": "The job has ended and the client has seen every event: do not reconnect."},
        **responses(Code.UNAUTHENTICATED, Code.NOT_FOUND, Code.VALIDATION_FAILED),
    },
)
async def job_events(
    job_id: JobIdPath,
    caller: JobReader,
    services: CurrentServices,
    last_event_id: Annotated[
        int | None, Header(ge=0, le=2**62, description="The last `id` seen: the stream goes on after it.")
    ] = None,
) -> Response:
    """Begins with a `snapshot`, or after `Last-Event-ID` with the events that were missed; a comment every 15 s."""
    async with services.database.read() as session:
        await readable_job(session, job_id, caller)
    if await settled_before(services.database, JobId(job_id), last_event_id):
        return Response(status_code=204)
    return StreamingResponse(
        _sse(services, JobId(job_id), last_event_id),
        media_type="text/event-stream",
        # Nginx would hold events back until its buffer is full.
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _sse(services: Services, job_id: JobId, last_seq: int | None) -> AsyncIterator[bytes]:
    with services.metrics.streams.track_inprogress():
        async with aclosing(job_stream(services.hub, services.database, job_id, last_seq)) as stream:
            async for sent in stream:
                if sent is None:
                    yield b": ping\n"  # without the blank line, which some clients take for an empty event
                else:
                    yield format_sse_event(
                        data_str=sent.event.model_dump_json(), event=sent.name, id=str(sent.event.seq)
                    )


@router.websocket("/jobs/{job_id:id}/ws")
async def job_socket(
    websocket: WebSocket,
    job_id: JobIdPath,
    last_event_id: Annotated[int | None, Query(ge=0, le=2**62)] = None,
) -> None:
    """The same events as JSON text frames `{"event": name, "data": JobEvent}`.

    The token rides in `Authorization`, or in the subprotocols `bearer, <token>`. Never in the URL: URLs are logged.
    """
    services = services_of(websocket)
    offered = websocket.scope.get("subprotocols", [])
    try:
        caller = await authenticate(websocket, _socket_token(websocket, offered))
        await log_reader(websocket, job_id, caller)
        async with services.database.read() as session:
            await readable_job(session, job_id, caller)
    except EchoError as error:
        await websocket.send_denial_response(render(websocket, error))
        return
    await websocket.accept(subprotocol=BEARER_PROTOCOL if BEARER_PROTOCOL in offered else None)
    try:
        with services.metrics.streams.track_inprogress():
            async with aclosing(
                job_stream(services.hub, services.database, JobId(job_id), last_event_id)
            ) as stream:
                async for sent in stream:
                    if sent is None:
                        await websocket.send_json({"event": "ping"})
                    else:
                        await websocket.send_json(
                            {"event": sent.name, "data": sent.event.model_dump(mode="json")}
                        )
        await websocket.close(CLOSE_GOING_AWAY if services.hub.closing else CLOSE_DONE)
    except WebSocketDisconnect:
        return


def _socket_token(websocket: WebSocket, offered: list[str]) -> str:
    scheme, _, token = websocket.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token:
        return token
    if BEARER_PROTOCOL in offered and len(offered) == 2:
        return next(protocol for protocol in offered if protocol != BEARER_PROTOCOL)
    raise EchoError(Code.UNAUTHENTICATED, "no bearer token")
