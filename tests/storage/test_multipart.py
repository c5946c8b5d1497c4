from __future__ import annotations

import hashlib
import os
from pathlib import Path

import httpx
import pytest

from contracts.errors import Code, EchoError
from storage.multipart import Multipart
from storage.parts import PART_BYTES_MIN
from storage.presign import Presigner
from storage.store import Store

KEY = "raw/u/v/source"
TOTAL = 2 * PART_BYTES_MIN + 100
BODY = os.urandom(TOTAL)


@pytest.fixture
def multipart(store: Store, presigner: Presigner) -> Multipart:
    return Multipart(store, presigner)


def part(number: int) -> bytes:
    return BODY[(number - 1) * PART_BYTES_MIN : number * PART_BYTES_MIN]


def send(multipart: Multipart, upload_id: str, *numbers: int) -> None:
    for number, signed in multipart.sign_parts(KEY, upload_id, TOTAL, numbers).items():
        assert httpx.put(signed.url, content=part(number), headers=signed.headers).status_code == 200


def test_another_client_goes_on_with_the_parts_that_a_lost_one_has_sent(multipart: Multipart, tmp_path: Path):
    upload_id = multipart.create(KEY, "video/mp4")
    send(multipart, upload_id, 3, 1)

    there = multipart.list_parts(KEY, upload_id)
    assert [(p.number, p.bytes) for p in there] == [(1, PART_BYTES_MIN), (3, 100)]
    send(multipart, upload_id, 2)
    head = multipart.complete(KEY, upload_id, TOTAL)

    assert (head.bytes, head.content_type) == (TOTAL, "video/mp4")
    got = multipart.store.get_file(KEY, tmp_path / "back")
    assert got.sha256 == hashlib.sha256(BODY).hexdigest()


def test_a_part_that_is_sent_twice_counts_once(multipart: Multipart):
    upload_id = multipart.create(KEY, "video/mp4")
    send(multipart, upload_id, 1, 2, 3)
    send(multipart, upload_id, 2)
    assert len(multipart.list_parts(KEY, upload_id)) == 3
    assert multipart.complete(KEY, upload_id, TOTAL).bytes == TOTAL


def test_completing_twice_is_answered_alike(multipart: Multipart):
    upload_id = multipart.create(KEY, "video/mp4")
    send(multipart, upload_id, 1, 2, 3)
    assert multipart.complete(KEY, upload_id, TOTAL) == multipart.complete(KEY, upload_id, TOTAL)


def test_an_upload_with_missing_parts_is_not_joined_and_can_still_be_finished(multipart: Multipart):
    upload_id = multipart.create(KEY, "video/mp4")
    send(multipart, upload_id, 1)
    with pytest.raises(EchoError) as raised:
        multipart.complete(KEY, upload_id, TOTAL)
    assert raised.value.code is Code.UPLOAD_INCOMPLETE
    assert raised.value.fields == {"parts_missing": 2}
    assert multipart.store.head(KEY) is None
    send(multipart, upload_id, 2, 3)
    assert multipart.complete(KEY, upload_id, TOTAL).bytes == TOTAL


def test_a_part_of_another_length_or_for_another_place_is_refused(multipart: Multipart):
    upload_id = multipart.create(KEY, "video/mp4")
    signed = multipart.sign_parts(KEY, upload_id, TOTAL, [3])[3]
    for url, body in (
        (signed.url, BODY[:101]),
        (signed.url, BODY[:99]),
        (signed.url.replace("partNumber=3", "partNumber=2"), BODY[:100]),
        (signed.url.replace("/v/source", "/w/source"), BODY[:100]),
    ):
        assert httpx.put(url, content=body).status_code == 403
    assert multipart.list_parts(KEY, upload_id) == []


def test_a_part_number_that_the_upload_does_not_have_is_not_signed(multipart: Multipart):
    upload_id = multipart.create(KEY, "video/mp4")
    for number in (0, 4):
        with pytest.raises(EchoError) as raised:
            multipart.sign_parts(KEY, upload_id, TOTAL, [number])
        assert raised.value.code is Code.VALIDATION_FAILED


def test_an_aborted_upload_is_gone_with_its_parts(multipart: Multipart):
    upload_id = multipart.create(KEY, "video/mp4")
    send(multipart, upload_id, 1, 2, 3)
    late = multipart.sign_parts(KEY, upload_id, TOTAL, [3])[3]
    multipart.abort(KEY, upload_id)
    multipart.abort(KEY, upload_id)
    for call in (
        lambda: multipart.list_parts(KEY, upload_id),
        lambda: multipart.complete(KEY, upload_id, TOTAL),
    ):
        with pytest.raises(EchoError) as raised:
            call()
        assert raised.value.code is Code.UPLOAD_NOT_FOUND
    assert httpx.put(late.url, content=part(3)).status_code == 404
    assert multipart.store.head(KEY) is None
