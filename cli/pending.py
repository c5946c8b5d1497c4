"""Unfinished runs: what it takes to send the very same request for a job again, after a crash or Ctrl-C.

The Idempotency-Key is written down before the request is sent. Whatever dies before the result is on disk, the next
try with the same file and wishes gets the same job: nothing is held twice, and upload, wait or download go on.
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
    """Idempotency-Key of the job request."""
    body: dict[str, Any]
    resumed: bool
    """True when an earlier run has written it."""

    def forget(self) -> None:
        self.file.unlink(missing_ok=True)


def open_pending(api_url: str, user_id: str, body: dict[str, Any]) -> Pending:
    """What is on record for this user, file and wishes, or a new record of `body`, a job request."""
    # A renamed or moved file is the same upload: its name is left out.
    identity = [api_url, user_id, body["kind"], body["params"], body["source"]["upload"]["sha256"]]
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    file = state_dir() / "uploads" / f"{digest}.json"
    try:
        stored = json.loads(file.read_text())
        return Pending(file, stored["key"], stored["body"], resumed=True)
    except (FileNotFoundError, json.JSONDecodeError, KeyError):
        key = uuid4().hex
        write_private(file, {"key": key, "body": body})
        return Pending(file, key, body, resumed=False)
