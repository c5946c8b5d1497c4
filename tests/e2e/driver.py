"""A customer of the running platform: what the mobile app does, over HTTP only."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import httpx
from temporalio.client import Client

from contracts.settings import Settings
from dev.platform import Platform
from workflows.client import connect

SETTLED = {"SUCCEEDED", "FAILED", "CANCELED", "EXPIRED"}
CONTENT_TYPES = {".mp4": "video/mp4", ".mov": "video/quicktime", ".avi": "video/x-msvideo",
                 ".mkv": "video/x-matroska", ".webm": "video/webm", ".m4a": "audio/mp4", ".mp3": "audio/mpeg",
                 ".wav": "audio/wav", ".flac": "audio/flac", ".ogg": "audio/ogg"}  # fmt: skip
WAIT_S = 240
"""A job of a small clip takes seconds; with a server killed under it, up to the heartbeat time-outs."""


class Customer:
    def __init__(self, platform: Platform, http: httpx.AsyncClient, name: str) -> None:
        self.platform = platform
        self.http = http
        self.name = name

    async def post(self, path: str, body: object = None, **headers: str) -> httpx.Response:
        return await self.http.post(path, json=body, headers={"Idempotency-Key": uuid4().hex} | headers)

    async def open_job(
        self,
        file: Path,
        *,
        announce: dict[str, Any] | None = None,
        funding: dict[str, Any] | None = None,
        **params: Any,
    ) -> dict[str, Any]:
        """POST /v1/jobs for a file, not yet uploaded. `announce` overrides what is said of the file."""
        upload = {
            "filename": file.name,
            "bytes": file.stat().st_size,
            "content_type": CONTENT_TYPES.get(file.suffix, "video/mp4"),
        } | (announce or {})
        asked = {"kind": "enhance", "params": params, "source": {"upload": upload}}
        answer = await self.post("/v1/jobs", asked | ({"funding": funding} if funding else {}))
        assert answer.status_code == 201, answer.text
        return answer.json()

    async def upload(self, job: dict[str, Any], file: Path) -> None:
        target = job["upload"]
        async with httpx.AsyncClient(trust_env=False) as plain:
            answer = await plain.put(target["url"], content=file.read_bytes(), headers=target["headers"])
        assert answer.status_code == 200, answer.text
        announced = await self.http.patch(job["ingested_url"])
        assert announced.status_code == 200, announced.text

    async def start(self, file: Path, **params: Any) -> dict[str, Any]:
        """Open a job and upload its file."""
        job = await self.open_job(file, **params)
        await self.upload(job, file)
        return job

    async def job(self, job_id: str) -> dict[str, Any]:
        return (await self.http.get(f"/v1/jobs/{job_id}")).raise_for_status().json()

    async def wait(self, job_id: str, until: set[str] | None = None) -> dict[str, Any]:
        """Polls until the job is in one of the states (default: settled). An API that is away is asked again."""
        return await self.until(job_id, lambda job: job["status"] in (until or SETTLED))

    async def until(self, job_id: str, reached: Any) -> dict[str, Any]:
        job: dict[str, Any] = {}
        try:
            async with asyncio.timeout(WAIT_S):
                while True:
                    try:
                        job = await self.job(job_id)
                    except httpx.HTTPError:
                        await asyncio.sleep(0.2)
                        continue
                    if reached(job):
                        return job
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise AssertionError(f"still {json.dumps(job, indent=1)}") from None

    async def download(self, job_id: str, path: Path) -> dict[str, Any]:
        """The result, checked against the hash that the API promises."""
        answer = await self.http.get(f"/v1/jobs/{job_id}/result", headers={"Accept": "application/json"})
        result = answer.raise_for_status().json()
        async with httpx.AsyncClient(trust_env=False) as plain:
            path.write_bytes((await plain.get(result["url"])).raise_for_status().content)
        assert hashlib.sha256(path.read_bytes()).hexdigest() == result["sha256"]
        return result

    async def balance(self) -> tuple[int, int]:
        """(available, held)"""
        found = (await self.http.get("/v1/credits/balance")).raise_for_status().json()
        return found["available"], found["held"]

    async def saga(self, job_id: str) -> list[dict[str, Any]]:
        return (await self.http.get(f"/v1/jobs/{job_id}/saga")).raise_for_status().json()["steps"]


@asynccontextmanager
async def customer(
    platform: Platform,
    *,
    credits: int = 100,
    name: str | None = None,
    roles: Sequence[str] = (),
    url: str | None = None,
) -> AsyncIterator[Customer]:
    """A fresh user with granted credits; `url` is that of another API than the platform's first."""
    issuer = platform.stack.issuer
    assert issuer is not None
    name = name or f"fan-{uuid4().hex[:8]}"
    signer = issuer.signer
    async with httpx.AsyncClient(
        base_url=url or platform.api.url,
        headers={"Authorization": f"Bearer {signer.mint(name, roles)}"},
        trust_env=False,
        timeout=30,
    ) as http:
        someone = Customer(platform, http, name)
        if credits:
            me = (await http.get("/v1/me")).raise_for_status().json()
            granted = await someone.post(
                "/v1/admin/credits/grants",
                {"user": {"user_id": me["user_id"]}, "credits": credits, "bucket": "promo", "reason": "test"},
                Authorization=f"Bearer {signer.mint('root', ['admin'])}",
            )
            assert granted.status_code == 201, granted.text
        yield someone


@contextmanager
def object_store(platform: Platform) -> Iterator[Any]:
    """A boto3 client for the platform's bucket, to look behind the API's back."""
    environment = platform.environment
    client = boto3.client(
        "s3",
        endpoint_url=environment["ECHOSHOT_S3_ENDPOINT"],
        region_name=environment["ECHOSHOT_S3_REGION"],
        aws_access_key_id=environment["ECHOSHOT_S3_ACCESS_KEY"],
        aws_secret_access_key=environment["ECHOSHOT_S3_SECRET_KEY"],
    )
    try:
        yield client
    finally:
        client.close()


async def temporal_of(platform: Platform) -> Client:
    """For what people do in the Temporal Web UI, with the keys of its codec."""
    environment = platform.environment
    return await connect(
        Settings(
            temporal_address=environment["TEMPORAL_ADDRESS"],
            temporal_namespace=environment["TEMPORAL_NAMESPACE"],
            codec_keys=json.loads(environment.get("ECHOSHOT_CODEC_KEYS", "{}")),
            codec_key_id=environment.get("ECHOSHOT_CODEC_KEY_ID", ""),
        )
    )


async def books_violations(platform: Platform) -> list[str]:
    """What is wrong in the books of the running platform; empty when they are coherent."""
    from db.books import check_books
    from db.engine import Database

    database = Database(platform.environment["ECHOSHOT_DATABASE_URL"], pool_size=1)
    try:
        async with database.read() as session:
            return await check_books(session)
    finally:
        await database.aclose()
