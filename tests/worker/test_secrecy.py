"""An engine that was captured by a hostile file finds no secret in its parent."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import pytest

PR_CAPBSET_DROP = 24
CAPABILITIES = 64
REPOSITORY = Path(__file__).parents[2]
PARENT = """
import subprocess, sys
if sys.argv[1] == "hidden":
    from worker.secrecy import hide_from_children
    hide_from_children()
child = "import os; print(open(f'/proc/{os.getppid()}/environ').read())"
print(subprocess.run([sys.executable, "-I", "-c", child], env={}, capture_output=True, text=True).stdout)
"""


def without_privileges() -> None:
    """Root reads everything; as from the next exec this process is root in name only. Others have none to drop."""
    prctl = ctypes.CDLL(None).prctl
    for capability in range(CAPABILITIES):
        prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)


@pytest.mark.parametrize(("how", "found"), [("open", True), ("hidden", False)])
def test_a_child_cannot_read_the_secrets_of_a_worker(how: str, found: bool) -> None:
    said = subprocess.run(
        [sys.executable, "-c", PARENT, how],
        cwd=REPOSITORY,
        env={**os.environ, "SECRET": "swordfish"},
        preexec_fn=without_privileges,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert ("swordfish" in said) is found
