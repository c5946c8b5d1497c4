"""The gateway gets each notice with a key that shows it a repeat; its secret stays out of every message."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from contracts.errors import Code, EchoError
from contracts.ids import JobId, UserId
from contracts.settings import Settings
from contracts.video_job import Notice
from providers.notifications import notifier

NOTICE = Notice(job_id=JobId("job_1"), user_id=UserId("usr_1"), event="succeeded")


@dataclass
class Gateway:
    url: str = ""
    answer: int = 204
    received: list[tuple[str, dict]] = field(default_factory=list)


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    gateway = Gateway()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            gateway.received.append((self.headers["Idempotency-Key"], json.loads(body)))
            self.send_response(gateway.answer)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        gateway.url = f"http://127.0.0.1:{server.server_port}/hook/secret"
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield gateway
        server.shutdown()


async def send(url: str) -> None:
    await notifier(Settings(notify_webhook_url=url)).send(NOTICE)


async def test_a_notice_arrives_with_its_key(gateway: Gateway) -> None:
    await send(gateway.url)
    assert gateway.received == [("job_1/succeeded", NOTICE.model_dump(mode="json"))]


@pytest.mark.parametrize("answer", [302, 404, 500])
async def test_any_other_answer_is_a_failure_that_is_tried_again(gateway: Gateway, answer: int) -> None:
    gateway.answer = answer
    with pytest.raises(EchoError) as failed:
        await send(gateway.url)
    assert (failed.value.code, failed.value.retryable) == (Code.UNAVAILABLE, True)
    assert str(answer) in failed.value.detail
    assert "secret" not in failed.value.detail


async def test_a_gateway_that_is_away_is_tried_again() -> None:
    with pytest.raises(EchoError) as failed:
        await send("http://127.0.0.1:9/hook/secret")
    assert failed.value.code is Code.UNAVAILABLE
    assert "secret" not in failed.value.detail


async def test_without_a_gateway_a_notice_is_only_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        await send("")
    assert "notice job_1/succeeded" in caplog.text
