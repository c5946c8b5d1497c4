"""What tests do again and again: through the API or, where a worker would, through the database and the store."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any
from uuid import uuid4

import httpx

from contracts.ids import JobId
from contracts.jobs import JobStatus
from contracts.ledger import TransferOrigin
from contracts.media import Artifact, MediaInfo, Thumbnail, Verification, VideoInfo
from contracts.video_job import Complete, PipelineResult, Release, StatusChange
from db import jobs, settlement
from db.engine import Database
from storage import keys
from storage.store import Store

CONTENT = b"not a video, but as long as it says"
ORIGIN = TransferOrigin(actor="system:test", step="test")


class Person(httpx.AsyncClient):
    """Somebody with a token."""

    subject: str


Login = Callable[..., Person]


def key() -> dict[str, str]:
    """A fresh Idempotency-Key header."""
    return {"Idempotency-Key": uuid4().hex}


def upload_request(content: bytes = CONTENT, *, kind: str = "enhance", **upload: Any) -> dict[str, Any]:
    spec = {"filename": "stage.mp4", "bytes": len(content), "content_type": "video/mp4", **upload}
    return {"kind": kind, "source": {"upload": spec}}


async def grant(admin: Person, to: Person, credits: int = 100) -> None:
    answer = await admin.post(
        "/v1/admin/credits/grants",
        json={"user": {"subject": to.subject}, "credits": credits, "reason": "test"},
        headers=key(),
    )
    assert answer.status_code == 201, answer.text


async def create_job(person: Person, request: Mapping[str, Any] | None = None) -> dict[str, Any]:
    answer = await person.post("/v1/jobs", json=request or upload_request(), headers=key())
    assert answer.status_code == 201, answer.text
    return answer.json()


async def upload(target: Mapping[str, Any], content: bytes = CONTENT) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.request(
            target["method"], target["url"], content=content, headers=target["headers"]
        )


def assert_problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The one shape of every error."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert (body["code"], body["status"]) == (code, status)
    assert body["type"] == f"urn:echoshot:problem:{code}"
    assert body["credit_effect"] == "none"
    assert body["request_id"] == answer.headers["x-request-id"]
    assert isinstance(body["retryable"], bool)
    assert body["title"]
    return body


# What a worker does to a job.


async def run(database: Database, job_id: str) -> None:
    """Move a job to RUNNING by the steps of its workflow."""
    for status in (JobStatus.INGESTED, JobStatus.QUEUED, JobStatus.RUNNING):
        async with database.transaction() as session:
            await jobs.set_status(session, StatusChange(job_id=JobId(job_id), status=status))


async def fail(database: Database, job_id: str, code: str = "corrupt") -> None:
    async with database.transaction() as session:
        release = Release(job_id=JobId(job_id), status=JobStatus.FAILED, failure_code=code)
        await settlement.release_job(session, release, ORIGIN)


async def complete(database: Database, job_id: str, outcome: PipelineResult) -> None:
    """Register what a running job has made, at its whole price."""
    async with database.transaction() as session:
        row = await jobs.get_job(session, JobId(job_id))
        assert row is not None
        completed = Complete(job_id=row.id, credits=row.quote_credits, outcome=outcome)
        await settlement.complete_job(session, completed, ORIGIN)


def put(store: Store, object_key: str, content: bytes, content_type: str) -> Artifact:
    store.client.put_object(Bucket=store.bucket, Key=object_key, Body=content, ContentType=content_type)
    sha256 = hashlib.sha256(content).hexdigest()
    return Artifact(key=object_key, bytes=len(content), sha256=sha256, content_type=content_type)


async def succeed(database: Database, store: Store, job_id: str, result: bytes = b"0123456789") -> None:
    """Run a job and register `result` with three thumbnails, as a pipeline does."""
    await run(database, job_id)
    job = JobId(job_id)
    digest = hashlib.sha256(result).hexdigest()

    def put_all() -> PipelineResult:
        return PipelineResult(
            result=put(store, keys.result_key(job, digest), result, "video/mp4"),
            info=media_info(result),
            manifest=put(store, keys.manifest_key(job, digest), b"{}", "application/json"),
            thumbnails=tuple(
                Thumbnail(
                    at_percent=at,
                    artifact=put(store, keys.thumbnail_key(job, digest, at), b"jpeg %d" % at, "image/jpeg"),
                    width=64,
                    height=36,
                )
                for at in (10, 50, 90)
            ),
            verification=Verification(checks=()),
        )

    await complete(database, job_id, await asyncio.to_thread(put_all))


def media_info(content: bytes, duration_s: Fraction = Fraction(61)) -> MediaInfo:
    return MediaInfo(
        container="mp4",
        bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        duration_s=duration_s,
        video=VideoInfo(
            codec="h264",
            pixel_format="yuv420p",
            bit_depth=8,
            width=64,
            height=36,
            average_fps=Fraction(60),
            frame_count=3660,
            start_s=Fraction(0),
            duration_s=duration_s,
            variable_rate=False,
        ),
    )
