"""Fetches a file of the store, which appears only when it is whole and its SHA-256 is right."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from cli.api import TIMEOUT, Api, Backoff, unreachable
from cli.exits import Exit, Stop

CHUNK_BYTES = 256 * 1024


Find = Callable[[], dict[str, Any]]
"""Says where a file is now (`url`, which works for a while), and its `bytes` and `sha256`."""


def result_of(api: Api, job_id: str) -> dict[str, Any]:
    return api.call("GET", f"/v1/jobs/{job_id}/result", headers={"Accept": "application/json"}).json()


def fetch_file(
    api: Api, found: dict[str, Any], find: Find, path: Path, on_bytes: Callable[[int], None]
) -> None:
    """`found`: what `find` has said just now. Goes on where an earlier run stopped. Raises `Stop`."""
    # Named by the hash, so that what is left of another file is never continued.
    partial = path.with_name(f".{path.name}.{found['sha256'][:16]}.part")
    backoff = Backoff(api.patience_s)
    with httpx.Client(timeout=TIMEOUT) as store, partial.open("ab") as file:
        while (done := file.tell()) < found["bytes"]:
            on_bytes(done)
            failure = _receive(api, store, found["url"], file, done, on_bytes)
            if failure is None:
                continue
            if file.tell() > done:
                backoff = Backoff(api.patience_s)
            if not backoff.wait():
                raise failure
            found = find()  # with a fresh URL, should the old one have expired
        file.flush()
        os.fsync(file.fileno())
    with partial.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    if sha256 != found["sha256"]:
        partial.unlink()
        raise Stop(Exit.UNREACHABLE, api.messages("download_damaged"))
    os.replace(partial, path)


def _receive(
    api: Api, store: httpx.Client, url: str, file: Any, done: int, on_bytes: Callable[[int], None]
) -> Stop | None:
    """Append what the store sends from byte `done` on; what went wrong, or None."""
    try:
        with store.stream("GET", url, headers={"Range": f"bytes={done}-"}) as answer:
            if answer.status_code != 206:
                status = answer.status_code
                return Stop(
                    Exit.UNREACHABLE, api.messages("strange_answer", host=answer.url.host, status=status)
                )
            for chunk in answer.iter_bytes(CHUNK_BYTES):
                file.write(chunk)
                on_bytes(file.tell())
    except httpx.TransportError as error:
        return unreachable(api.messages, url, error)
    return None
