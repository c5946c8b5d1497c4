"""A parent that dies by SIGKILL leaves no server behind."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.servers


async def test_servers_of_a_killed_parent_end(tmp_path: Path) -> None:
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.dev.orphan_parent", str(tmp_path)), stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    postmaster, *others = [int(pid) for pid in (await parent.stdout.readline()).split()]
    servers = [psutil.Process(postmaster)]
    for pid in others:
        with suppress(psutil.NoSuchProcess):  # one that served the last probe, and is done
            servers.append(psutil.Process(pid))
    parent.kill()
    await parent.wait()
    _, alive = await asyncio.to_thread(psutil.wait_procs, servers, timeout=60)
    assert alive == []
