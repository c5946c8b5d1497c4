"""`manifest.json` beside a result, and the hash that names a file's content."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from contracts.media import Manifest

BLOCK_BYTES = 4 * 1024 * 1024


def sha256_file(path: Path, on_bytes: Callable[[int], None] = lambda done: None) -> tuple[int, str]:
    """(bytes, hexadecimal SHA-256) as read from disk. `on_bytes` hears how many bytes are done."""
    digest, done = hashlib.sha256(), 0
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
            done += len(block)
            on_bytes(done)
    return done, digest.hexdigest()


def write(path: Path, manifest: Manifest) -> None:
    """Writes it whole or not at all."""
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
    publish(temporary, path)


def publish(temporary: Path, path: Path) -> None:
    """Syncs a finished file and gives it its name: a crash leaves the old content or the new, never a half."""
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
