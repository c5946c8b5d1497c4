"""A job's progress as it happens: from the event stream, reconnected where it broke, else by asking again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import httpx
from httpx_sse import EventSource, SSEError
from pydantic import ValidationError

from cli.api import WAIT_PATIENCE_S, Api
from contracts.base import Contract
from contracts.jobs import Attention, JobEvent, JobStatus, Stage
from contracts.ledger import CreditEffect

SILENCE_MAX_S = 45.0
"""Three missed pings: the connection is dead, though nobody has closed it."""
POLL_S = 2.0
POLLS_BETWEEN_STREAMS = 15
"""When a stream brought nothing, some proxy may not let it through: ask for half a minute, then try it again."""


class Progress(Contract):
    """Where a job stands, however that was learnt."""

    job_id: str
    status: JobStatus
    stages: tuple[Stage, ...]
    eta_s: int | None = None
    attention: Attention | None = None
    failure_code: str | None = None
    credit_effect: CreditEffect = CreditEffect.NONE
    credits: int = 0


def follow(api: Api, job_id: str) -> Iterator[Progress]:
    """Every change until the job has settled; the last one says how. Survives restarts of the API."""
    last_seq: int | None = None
    etag = ""
    while True:
        before = last_seq
        for event in _stream(api, job_id, last_seq):
            last_seq = event.seq
            progress = Progress(**event.model_dump(include=set(Progress.model_fields)))
            yield progress
            if progress.status.settled:
                return
        polls = 1 if last_seq != before else POLLS_BETWEEN_STREAMS
        for poll in range(polls):
            answer = api.call(
                "GET",
                f"/v1/jobs/{job_id}",
                headers={"If-None-Match": etag} if etag else {},
                patience_s=WAIT_PATIENCE_S,
            )
            if answer.status_code == httpx.codes.OK:
                etag = answer.headers.get("ETag", "")
                progress = progress_of(answer.json())
                yield progress
                if progress.status.settled:
                    return
            if poll < polls - 1:
                time.sleep(POLL_S)


def progress_of(job: dict[str, Any]) -> Progress:
    failure = job["failure"] or {}
    return Progress(
        job_id=job["id"],
        status=job["status"],
        stages=job["stages"],
        eta_s=job["eta_s"],
        attention=job["attention"],
        failure_code=failure.get("code"),
        credit_effect=job["credit_effect"],
        credits=job["credits_held"] or job["quote"]["credits"],
    )


def _stream(api: Api, job_id: str, last_seq: int | None) -> Iterator[JobEvent]:
    """Events until the connection ends, for whatever reason: the caller asks the API itself what that means."""
    headers = {**api.authorization(), "Accept": "text/event-stream", "Cache-Control": "no-store"}
    if last_seq is not None:
        headers["Last-Event-ID"] = str(last_seq)
    timeout = httpx.Timeout(SILENCE_MAX_S, connect=10.0)
    with (
        suppress(httpx.TransportError, SSEError, ValidationError),
        api.client.stream("GET", f"/v1/jobs/{job_id}/events", headers=headers, timeout=timeout) as answer,
    ):
        if answer.status_code == httpx.codes.OK:
            for sent in EventSource(answer).iter_sse():
                yield JobEvent.model_validate_json(sent.data)
