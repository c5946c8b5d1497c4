"""The platform as `make up` runs it: everything answers, each part can crash and come back, nothing stays behind."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import httpx
import psutil
import pytest

from contracts.queues import Queue
from dev.failures import DataDirBusy
from dev.platform import Platform, running_environment, running_platform, stop_platform

pytestmark = pytest.mark.slow


def family() -> list[psutil.Process]:
    return [
        child
        for child in psutil.Process().children(recursive=True)
        if "dev.servers.reaper" not in child.cmdline()
    ]


async def is_ready(platform: Platform) -> bool:
    async with httpx.AsyncClient(trust_env=False) as client:
        return (await client.get(f"{platform.api.url}/readyz")).status_code == 200


async def test_every_part_comes_back_after_a_crash_and_nothing_is_left_after_the_end(tmp_path: Path) -> None:
    before = set(family())
    async with running_platform(tmp_path, durable=False) as platform:
        assert await is_ready(platform)
        stack = platform.stack
        assert stack.postgres is not None
        assert stack.s3 is not None
        for part in (stack.postgres, stack.s3, platform.workers[Queue.GPU], platform.api):
            part.kill()
            await part.restart()
        assert await is_ready(platform)
        ours = set(family()) - before
        assert len(ours) >= 10
    _, alive = await asyncio.to_thread(psutil.wait_procs, ours, timeout=30)
    assert alive == []
    assert running_environment(tmp_path) is None


async def test_up_serves_until_it_is_told_to_stop_and_refuses_a_second_platform(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "dev", "up", "--data", str(tmp_path)), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    while b"Ctrl-C" not in (line := await process.stdout.readline()):
        assert line, "python -m dev up ended early"
    environment = running_environment(tmp_path)
    assert environment is not None
    async with httpx.AsyncClient(base_url=environment["ECHOSHOT_PUBLIC_URL"], trust_env=False) as client:
        assert (await client.get("/readyz")).status_code == 200
    with pytest.raises(DataDirBusy):
        async with running_platform(tmp_path):
            pass
    children = psutil.Process(process.pid).children(recursive=True)
    assert await asyncio.to_thread(stop_platform, tmp_path)
    assert await process.wait() == 0
    _, alive = await asyncio.to_thread(psutil.wait_procs, children, timeout=30)
    assert alive == []
    assert not stop_platform(tmp_path)
