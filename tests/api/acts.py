"""What tests do again and again through the API or, where a worker would, through the database."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import httpx

CONTENT = b"not a video, but as long as it says"


def key() -> dict[str, str]:
    """A fresh Idempotency-Key header."""
    return {"Idempotency-Key": uuid4().hex}


def upload_request(content: bytes = CONTENT, **upload: Any) -> dict[str, Any]:
    spec = {"filename": "stage.mp4", "bytes": len(content), "content_type": "video/mp4", **upload}
    return {"kind": "enhance", "source": {"upload": spec}}


async def grant(admin: httpx.AsyncClient, subject: str, credits_: int = 100) -> None:
    answer = await admin.post(
        "/v1/admin/credits/grants",
        json={"user": {"subject": subject}, "credits": credits_, "reason": "test"},
        headers=key(),
    )
    assert answer.status_code == 201, answer.text


async def create_job(client: httpx.AsyncClient, request: Mapping[str, Any] | None = None) -> dict[str, Any]:
    answer = await client.post("/v1/jobs", json=request or upload_request(), headers=key())
    assert answer.status_code == 201, answer.text
    return answer.json()


def assert_problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The one shape of every error."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["code"] == code
    assert body["status"] == status
    assert body["type"] == f"urn:echoshot:problem:{code}"
    assert body["credit_effect"] == "none"
    assert body["request_id"] == answer.headers["x-request-id"]
    assert isinstance(body["retryable"], bool)
    assert body["title"]
    return body
