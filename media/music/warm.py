"""`python -m media.music.warm`, part of `make setup`: compiles once what numba would else compile in each process.

librosa's helpers are compiled when they are first used, and two processes that write one cache at once have crashed
each other (numba issue 10128). So a cache is made here, under a lock, and each engine process is given a copy of its
own by media/sandbox.py. The engine itself uses little of librosa that is compiled
(beats are found by code of its own), yet importing it touches numba.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from hashlib import sha256
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

TIMEOUT_S = 600
EXERCISE = """
import numpy as np
from media.music import beats, features
tone = np.sin(np.arange(22050 * 12) * 0.06).astype(np.float32) * (np.arange(22050 * 12) % 11025 < 6000)
beats.track(features.extract(iter([tone.astype(np.float32)])))
"""


ROOT = Path(sys.prefix) / "var" / "numba"
"""Beside the packages whose helpers it holds: made with them, and gone with them."""


def cache_folder(root: Path = ROOT) -> Path:
    """Of this interpreter, these versions and this place, by which numba finds its files: an upgrade or a moved
    environment starts a new one."""
    found = find_spec("librosa")
    place = sha256(str(found.origin if found else "").encode()).hexdigest()[:8]
    python = f"py{sys.version_info[0]}{sys.version_info[1]}"
    return root / f"numba-{version('numba')}-librosa-{version('librosa')}-{python}-{place}"


def warm(root: Path = ROOT) -> Path:
    """Makes the cache in `root` if it is not there, whoever else may be doing so; returns its folder.

    It is filled beside its place and then renamed, so a process that dies here leaves nothing half made in use.
    """
    folder = cache_folder(root)
    if folder.is_dir():
        return folder
    root.mkdir(parents=True, exist_ok=True)
    with (root / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.is_dir():
            return folder
        unfinished = folder.with_name(f"{folder.name}.new")
        shutil.rmtree(unfinished, ignore_errors=True)
        subprocess.run(
            [sys.executable, "-c", EXERCISE],
            env={**os.environ, "NUMBA_CACHE_DIR": str(unfinished)},
            check=True,
            timeout=TIMEOUT_S,
        )
        unfinished.mkdir(exist_ok=True)
        unfinished.rename(folder)
    return folder


if __name__ == "__main__":
    print(warm())
