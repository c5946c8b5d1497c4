"""One local copy of a source for all activities of all workers of a machine, found by its SHA-256.

Per source there are two files: `<sha256>` and `<sha256>.lock`. Whoever fetches or removes the copy holds the lock
alone, whoever reads it shares the lock. The locks are the kernel's (flock), so they end with the process that held
them: a crash leaves at most a partial file, which the next holder of the lock removes.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from contracts.media import Artifact
from storage.store import Progress, Store

WAIT_S = 0.2
"""Between looks at a copy that another process is fetching."""


class SourceCache:
    def __init__(self, store: Store, work_dir: Path, bytes_max: int) -> None:
        self.store = store
        self.folder = work_dir / "sources"
        self.bytes_max = bytes_max
        """Copies not in use are dropped, the longest unused first, to keep the folder below this."""
        self.folder.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def open(self, source: Artifact, progress: Progress | None = None) -> Generator[Path]:
        """The path of the local copy, which stays while the block runs. Do not write to it.

        `progress` is called as bytes arrive, also when another process fetches them. Raises what
        `Store.get_file` does.
        """
        path = self.folder / source.sha256
        while True:
            with self._locked(source.sha256, fcntl.LOCK_SH) as got_it:
                if got_it and path.exists():
                    os.utime(path)
                    yield path
                    return
            with self._locked(source.sha256, fcntl.LOCK_EX) as got_it:
                if got_it and not path.exists():
                    self._remove_partials(source.sha256)
                    self._make_room(source.bytes)
                    self.store.get_file(source.key, path, expect=source, progress=progress)
            if not got_it:
                self._watch(source, progress)

    def adopt(self, path: Path, source: Artifact) -> None:
        """Take over a file that was fetched and hashed elsewhere; `path` must be on the same file system."""
        with self._locked(source.sha256, fcntl.LOCK_EX) as got_it:
            # Held by others: then the copy is there or on its way already.
            if got_it:
                self._make_room(source.bytes)
                os.replace(path, self.folder / source.sha256)

    def _watch(self, source: Artifact, progress: Progress | None) -> None:
        """Wait a moment for another process, telling of the bytes that it has fetched meanwhile."""
        before = self._partial_bytes(source.sha256)
        time.sleep(WAIT_S)
        after = self._partial_bytes(source.sha256)
        if progress and after > before:
            progress(after, source.bytes)

    def _make_room(self, needed: int) -> None:
        copies = sorted(self._copies(), key=lambda found: found[1].st_mtime)
        total = sum(stat.st_size for _, stat in copies)
        for path, stat in copies:
            if total + needed <= self.bytes_max:
                return
            with self._locked(path.name, fcntl.LOCK_EX) as got_it:
                if got_it:
                    path.unlink(missing_ok=True)
                    self._remove_partials(path.name)
                    total -= stat.st_size

    def _copies(self) -> Iterator[tuple[Path, os.stat_result]]:
        for path in self.folder.iterdir():
            if "." not in path.name:
                with suppress(FileNotFoundError):
                    yield path, path.stat()

    def _partials(self, sha256: str) -> list[Path]:
        return list(self.folder.glob(f".{sha256}.*.partial"))

    def _partial_bytes(self, sha256: str) -> int:
        sizes = [0]
        for path in self._partials(sha256):
            with suppress(FileNotFoundError):
                sizes.append(path.stat().st_size)
        return max(sizes)

    def _remove_partials(self, sha256: str) -> None:
        for path in self._partials(sha256):
            path.unlink(missing_ok=True)

    @contextmanager
    def _locked(self, sha256: str, mode: int) -> Generator[bool]:
        """Try to take the lock of one source; False when somebody else has it in the other mode."""
        # Lock files stay: to remove one would leave a waiter with the lock of a file that has no name.
        handle = os.open(self.folder / f"{sha256}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            try:
                fcntl.flock(handle, mode | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True
        finally:
            os.close(handle)
