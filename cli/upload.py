"""Sends a file to the store: in one PUT when it is small, else in parts of which a lost client repeats none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import httpx

from cli.api import TIMEOUT, Api, Backoff, unreachable
from cli.exits import Exit, Refused, Stop
from contracts.errors import Code

CHUNK_BYTES = 256 * 1024
PARTS_SIGNED_AT_ONCE = 8
"""Few enough to be sent before their URLs expire, on a slow line too."""
ROUNDS_MAX = 3
"""Times that missing parts are looked for before the upload is given up."""

OnBytes = Callable[[int], None]
"""Called with the number of bytes that are done now in all; it falls when something has to be sent again."""


def send_file(api: Api, job_id: str, target: dict[str, Any], path: Path, on_bytes: OnBytes) -> None:
    """Upload for a job that waits for its file. Raises `Stop` or `Refused`."""
    with httpx.Client(timeout=TIMEOUT) as store:
        if target["url"] is None:
            _send_parts(api, store, target["video_id"], path, on_bytes)
        else:
            _send_whole(api, store, job_id, target, path, on_bytes)


def _send_whole(
    api: Api, store: httpx.Client, job_id: str, target: dict[str, Any], path: Path, on_bytes: OnBytes
) -> None:
    def renewed() -> dict[str, Any]:
        return api.call("POST", f"/v1/jobs/{job_id}/upload").json()

    with path.open("rb") as file:
        _put(api, store, target, renewed, file, 0, path.stat().st_size, on_bytes)


def _send_parts(api: Api, store: httpx.Client, video_id: str, path: Path, on_bytes: OnBytes) -> None:
    upload = api.call("POST", f"/v1/videos/{video_id}/uploads").json()
    parts_path = f"/v1/videos/{video_id}/uploads/{upload['upload_id']}/parts"

    def sign(numbers: list[int]) -> list[dict[str, Any]]:
        return api.call("POST", parts_path, body={"numbers": numbers}).json()["parts"]

    with path.open("rb") as file:
        for _ in range(ROUNDS_MAX):
            there = {part["number"]: part["bytes"] for part in api.get(parts_path)["parts"]}
            missing = [number for number in range(1, upload["parts_total"] + 1) if number not in there]
            done = sum(there.values())
            on_bytes(done)
            for first in range(0, len(missing), PARTS_SIGNED_AT_ONCE):
                for part in sign(missing[first : first + PARTS_SIGNED_AT_ONCE]):
                    before, number = done, part["number"]
                    start = (number - 1) * upload["part_bytes"]
                    _put(
                        api,
                        store,
                        part,
                        lambda number=number: sign([number])[0],
                        file,
                        start,
                        part["bytes"],
                        lambda sent, before=before: on_bytes(before + sent),
                    )
                    done += part["bytes"]
            try:
                api.call("POST", f"/v1/videos/{video_id}/uploads/{upload['upload_id']}/complete")
            except Refused as refusal:
                if refusal.code != Code.UPLOAD_INCOMPLETE:
                    raise
            else:
                return
    raise Stop(Exit.UNREACHABLE, api.messages("upload_incomplete"))


def _put(
    api: Api,
    store: httpx.Client,
    target: dict[str, Any],
    renewed: Callable[[], dict[str, Any]],
    file: BinaryIO,
    start: int,
    size: int,
    on_bytes: OnBytes,
) -> None:
    """One presigned PUT of a stretch of `file`, repeated with a fresh URL while that helps."""
    backoff = Backoff(api.patience_s)
    while True:
        try:
            body = _stretch(file, start, size, on_bytes)
            answer = store.put(target["url"], content=body, headers=target["headers"])
        except httpx.TransportError as error:
            failure = unreachable(api.messages, target["url"], error)
        else:
            if answer.is_success:
                return
            failure = Stop(Exit.UNREACHABLE, api.messages("upload_refused", status=answer.status_code))
            if answer.status_code < 500 and answer.status_code not in (403, 408, 429):
                raise failure
        if not backoff.wait():
            raise failure
        # The URL may have expired on the way; the store may also cut a refused body off before it answers.
        target = renewed()


def _stretch(file: BinaryIO, start: int, size: int, on_bytes: OnBytes) -> Iterator[bytes]:
    file.seek(start)
    sent = 0
    on_bytes(0)
    while chunk := file.read(min(CHUNK_BYTES, size - sent)):
        yield chunk
        sent += len(chunk)
        on_bytes(sent)
