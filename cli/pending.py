"""Unfinished runs: what it takes to send the very same request again, for a job or a purchase, after a crash or Ctrl-C.

The Idempotency-Key is written down before the request is sent. Whatever dies before the end, the next try with the
same wishes gets the same job or purchase: nothing is held or charged twice, and upload, wait or download go on.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from cli.config import state_dir, write_private


@dataclass(frozen=True)
class Pending:
    file: Path
    key: str
    """Idempotency-Key of the request."""
    body: dict[str, Any]
    resumed: bool
    """True when an earlier run has written it."""

    def forget(self) -> None:
        self.file.unlink(missing_ok=True)


def open_pending(folder: str, identity: object, body: dict[str, Any]) -> Pending:
    """What is on record in `folder` for these wishes of this user, or a new record of the request's `body`."""
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    file = state_dir() / folder / f"{digest}.json"
    try:
        stored = json.loads(file.read_text())
        return Pending(file, stored["key"], stored["body"], resumed=True)
    except (FileNotFoundError, json.JSONDecodeError, KeyError):
        key = uuid4().hex
        write_private(file, {"key": key, "body": body})
        return Pending(file, key, body, resumed=False)


def pending_job(api_url: str, user_id: str, path: str, body: dict[str, Any]) -> Pending:
    upload = body.get("source", {}).get("upload")
    # A renamed or moved file is the same upload: its name is left out.
    wishes = body | {"source": upload["sha256"]} if upload else body
    return open_pending("uploads", [api_url, user_id, path, wishes], body)


def pending_purchase(api_url: str, user_id: str, body: dict[str, Any]) -> Pending:
    return open_pending("purchases", [api_url, user_id, body], body)
