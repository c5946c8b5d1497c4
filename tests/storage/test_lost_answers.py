"""A request whose answer is lost is sent again by the S3 client, and the second answer is another one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from storage.parts import PART_BYTES_MIN
from storage.store import Store


def lose_the_answer(store: Store, operation: str) -> None:
    """The store does what the next such request asks for, and the client does not hear of it."""

    def send_unheard(request: Any, **_: Any) -> None:
        store.client.meta.events.unregister(f"before-send.s3.{operation}", send_unheard)
        headers = {
            name: value.decode() if isinstance(value, bytes) else value
            for name, value in request.headers.items()
        }
        httpx.request(request.method, request.url, headers=headers, content=request.body).raise_for_status()

    store.client.meta.events.register(f"before-send.s3.{operation}", send_unheard)


@pytest.mark.parametrize("if_absent", [True, False])
def test_a_file_in_parts_is_stored_though_the_word_of_its_completion_was_lost(
    store: Store, tmp_path: Path, if_absent: bool
) -> None:
    file = tmp_path / "result.mp4"
    file.write_bytes(b"x" * (PART_BYTES_MIN + 1))
    lose_the_answer(store, "CompleteMultipartUpload")
    stored = store.put_file(file, "result/job/video.mp4", "video/mp4", if_absent=if_absent)
    assert stored == store.put_file(file, "result/job/video.mp4", "video/mp4", if_absent=True)
    assert stored.bytes == PART_BYTES_MIN + 1
