from __future__ import annotations

import re
import time
from datetime import UTC, datetime

import httpx
import pytest

from contracts.settings import Settings
from storage.presign import Presigned, Presigner, content_disposition
from storage.store import Store

BODY = b"0123456789"


def send(signed: Presigned, body: bytes = b"", url: str = "", **headers: str) -> httpx.Response:
    changed = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.request(
        signed.method, url or signed.url, content=body, headers={**signed.headers, **changed}
    )


def test_a_presigned_put_stores_exactly_what_was_announced(presigner: Presigner, store: Store):
    signed = presigner.put("raw/u/v/source", len(BODY), "video/mp4")
    assert send(signed, BODY).status_code == 200
    head = store.head("raw/u/v/source")
    assert head
    assert (head.bytes, head.content_type) == (len(BODY), "video/mp4")


@pytest.mark.parametrize(
    ("what", "body", "content_type"),
    [
        ("longer", BODY + b"x", "video/mp4"),
        ("shorter", BODY[:-1], "video/mp4"),
        ("empty", b"", "video/mp4"),
        ("other type", BODY, "text/html"),
    ],
)
def test_a_body_of_another_length_or_type_is_refused(
    presigner: Presigner, store: Store, what: str, body: bytes, content_type: str
):
    signed = presigner.put("k", len(BODY), "video/mp4")
    answer = send(signed, body, Content_Length=str(len(body)), Content_Type=content_type)
    assert answer.status_code == 403, what
    assert store.head("k") is None


def test_a_changed_url_is_refused(presigner: Presigner, store: Store):
    signed = presigner.put("raw/u/v/source", len(BODY), "video/mp4")
    last = signed.url[-1]
    for url in (
        signed.url[:-1] + ("0" if last != "0" else "1"),
        signed.url.replace("/raw/u/v/", "/raw/u/w/"),
        re.sub(r"X-Amz-Expires=\d+", "X-Amz-Expires=604800", signed.url),
        signed.url.replace("content-length%3B", ""),
        signed.url.partition("?")[0],
    ):
        assert url != signed.url
        assert send(signed, BODY, url).status_code == 403
    assert store.head("raw/u/v/source") is None
    assert store.head("raw/u/w/source") is None


def test_a_url_for_one_method_does_not_serve_another(presigner: Presigner, store: Store):
    store.client.put_object(Bucket=store.bucket, Key="k", Body=BODY)
    read = presigner.get("k", "a.mp4", "video/mp4")
    assert httpx.put(read.url, content=b"x").status_code == 403
    assert httpx.delete(read.url).status_code == 403
    head = store.head("k")
    assert head
    assert head.bytes == len(BODY)


def test_an_expired_url_is_refused(settings: Settings, store: Store):
    presigner = Presigner.from_settings(settings.model_copy(update={"presign_ttl_s": 1}))
    put = presigner.put("k", len(BODY), "video/mp4")
    get = presigner.get("k", "a.mp4", "video/mp4")
    # 404 as long as the signature holds. It counts whole seconds, so the end comes up to one later than said.
    while (answer := send(get)).status_code == 404 or datetime.now(UTC) <= put.expires_at:
        time.sleep(0.1)
    assert answer.status_code == 403
    assert send(put, BODY).status_code == 403
    assert store.head("k") is None
    presigner.client.close()


def test_a_download_can_go_on_from_any_byte_and_has_a_name(presigner: Presigner, store: Store):
    store.client.put_object(Bucket=store.bucket, Key="k", Body=BODY, ContentType="application/octet-stream")
    signed = presigner.get("k", "내 영상.mp4", "video/mp4")
    whole, part = send(signed), send(signed, Range="bytes=4-")
    assert (whole.status_code, whole.content) == (200, BODY)
    assert (part.status_code, part.content) == (206, BODY[4:])
    assert part.headers["content-range"] == "bytes 4-9/10"
    assert whole.headers["content-type"] == "video/mp4"
    assert "filename*=UTF-8''%EB%82%B4%20%EC%98%81%EC%83%81.mp4" in whole.headers["content-disposition"]


def test_clients_are_sent_to_the_public_endpoint(settings: Settings):
    presigner = Presigner.from_settings(
        settings.model_copy(update={"s3_public_endpoint": "https://files.example.com"})
    )
    signed = presigner.put("k", 1, "video/mp4")
    assert signed.url.startswith(f"https://files.example.com/{settings.s3_bucket}/k?")
    presigner.client.close()


def test_a_file_name_cannot_break_out_of_its_header():
    header = content_disposition('a"; b\r\nSet-Cookie: c=d\\é.mp4')
    assert "\r" not in header
    assert "\n" not in header
    assert header.count('"') == 2
