from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import psutil
import pytest

from contracts.errors import Code, EchoError
from contracts.media import MediaLimits
from media.probe import probe
from media.sandbox import Sandbox, SandboxPool
from media.tasks import TASKS as REAL_TASKS
from media.tasks import ProbeTask
from tests.media.faulty_tasks import TASKS, Text

ROOT = Path(__file__).parent.parent.parent
TASKS_MODULE = "tests.media.faulty_tasks"
STALL_S = 30.0


def faulty_sandbox(**kwargs) -> Sandbox:
    return Sandbox(tasks=TASKS, tasks_module=TASKS_MODULE, **kwargs)


@pytest.fixture
async def sandbox():
    async with faulty_sandbox() as sandbox:
        yield sandbox


async def run(sandbox: Sandbox, task: str, text: str = "", **kwargs) -> str:
    result = await sandbox.run(task, Text(text=text), stall_s=STALL_S, **kwargs)
    return result.text  # pyright: ignore[reportAttributeAccessIssue]


async def gone(pid: int) -> None:
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:  # noqa: ASYNC110
        await asyncio.sleep(0.01)


async def test_the_child_stays_warm_between_tasks(sandbox):
    assert await run(sandbox, "pid") == await run(sandbox, "pid") == str(sandbox.pid)


async def test_progress_arrives_in_order_and_the_last_unit_always(sandbox):
    seen = []
    await run(sandbox, "count", on_progress=lambda *beat: seen.append(beat))
    assert seen[0] == ("count", 1, 3)
    assert seen[-1] == ("count", 3, 3)


async def test_what_a_library_prints_is_not_taken_for_the_answer(sandbox):
    assert await run(sandbox, "noise", "true answer") == "true answer"


async def test_an_error_of_the_child_arrives_as_itself_and_the_child_lives_on(sandbox):
    before = await run(sandbox, "pid")
    with pytest.raises(EchoError) as caught:
        await run(sandbox, "refuse")
    assert (caught.value.code, caught.value.detail, caught.value.fields) == (
        Code.CORRUPT,
        "frame 7",
        {"frame": 7},
    )
    assert await run(sandbox, "pid") == before


async def test_a_bug_in_an_engine_is_a_crash_with_its_trace(sandbox):
    with pytest.raises(EchoError, match="ZeroDivisionError: seven") as caught:
        await run(sandbox, "bug", "seven")
    assert caught.value.code == Code.ENGINE_CRASHED


async def test_a_child_that_failed_in_an_unforeseen_way_is_not_used_again(sandbox):
    before = await run(sandbox, "pid")
    with pytest.raises(EchoError, match="ZeroDivisionError"):
        await run(sandbox, "bug")
    assert await run(sandbox, "pid") != before


async def test_death_by_signal_is_reported_with_the_signal_and_the_last_words(sandbox):
    with pytest.raises(EchoError, match=r"SIGSEGV.*about to fall") as caught:
        await run(sandbox, "segfault")
    assert caught.value.code == Code.ENGINE_CRASHED
    assert await run(sandbox, "pid"), "the next task gets a new child"


async def test_a_silent_exit_is_a_crash(sandbox):
    with pytest.raises(EchoError, match="exited with 3") as caught:
        await run(sandbox, "exit_silently")
    assert caught.value.code == Code.ENGINE_CRASHED


async def test_a_child_killed_while_idle_fails_one_task_only(sandbox):
    pid = int(await run(sandbox, "pid"))
    os.kill(pid, signal.SIGKILL)
    await gone(pid)
    with pytest.raises(EchoError, match="SIGKILL"):
        await run(sandbox, "pid")
    assert int(await run(sandbox, "pid")) != pid


async def test_a_stalled_engine_is_killed(sandbox):
    pid = int(await run(sandbox, "pid"))
    with pytest.raises(EchoError) as caught:
        await sandbox.run("hang", Text(), stall_s=0.5)
    assert caught.value.code == Code.ENGINE_STALLED
    assert sandbox.pid is None
    await gone(pid)


async def test_cancel_kills_the_child_and_what_it_started(sandbox):
    started: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    running = asyncio.create_task(
        run(sandbox, "hang_with_grandchild", on_progress=lambda _, pid, __: started.set_result(pid))
    )
    grandchild = await started
    child = sandbox.pid
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await gone(child)
    await gone(grandchild)


async def test_the_child_dies_with_its_parent():
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT_THAT_HANGS, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    child = int(await parent.stdout.readline())
    parent.kill()
    await parent.wait()
    await gone(child)


PARENT_THAT_HANGS = """
import asyncio, sys
from tests.media import test_sandbox as t

async def main():
    sandbox = t.faulty_sandbox()
    await t.run(sandbox, "hang", on_progress=lambda *_: print(sandbox.pid, flush=True))

asyncio.run(main())
"""


async def test_no_secret_of_the_parent_reaches_the_child(sandbox, monkeypatch):
    monkeypatch.setenv("ECHOSHOT_DATABASE_URL", "postgresql://secret")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    seen = await run(sandbox, "environment")
    assert "secret" not in seen
    assert "OMP_NUM_THREADS=1" in seen


async def test_the_scratch_folder_goes_with_the_child(sandbox):
    scratch = Path(await run(sandbox, "scratch"))
    assert (scratch / "left-behind").exists()
    await sandbox.aclose()
    assert not scratch.exists()


async def test_an_engine_that_wants_too_much_memory_is_refused_it():
    async with faulty_sandbox(memory_bytes_max=512 * 1024**2) as sandbox:
        assert await run(sandbox, "eat_memory", str(64 * 1024**2)) == str(64 * 1024**2)
        with pytest.raises(EchoError, match="out of the memory") as caught:
            await run(sandbox, "eat_memory", str(1024**3))
    assert caught.value.code == Code.ENGINE_CRASHED


async def test_a_pool_runs_as_many_children_as_it_has_and_keeps_them(tmp_path):
    async with SandboxPool(2, make=faulty_sandbox) as pool:

        async def one() -> str:
            return (await pool.run("pid", Text(), stall_s=STALL_S)).text  # pyright: ignore[reportAttributeAccessIssue]

        first = set(await asyncio.gather(*(one() for _ in range(6))))
        second = set(await asyncio.gather(*(one() for _ in range(6))))
    assert len(first) == 2
    assert second == first


async def test_the_real_tasks_run_in_the_child(clip):
    async with Sandbox() as sandbox:
        info = await sandbox.run("probe", ProbeTask(path=str(clip("plain"))), stall_s=STALL_S)
        assert info == probe(clip("plain"), MediaLimits())
        with pytest.raises(EchoError) as caught:
            await sandbox.run("probe", ProbeTask(path=str(clip("playlist"))), stall_s=STALL_S)
    assert caught.value.code == Code.EXTERNAL_REFERENCE


async def test_every_real_task_names_contracts_that_travel_as_json():
    for task in REAL_TASKS.values():
        task.argument.model_json_schema()
        task.result.model_json_schema()


async def test_a_childs_folder_tells_whose_it_is_and_goes_with_the_child(tmp_path: Path):
    async with faulty_sandbox(scratch_root=tmp_path / "scratch") as sandbox:
        await run(sandbox, "pid")
        (folder,) = (tmp_path / "scratch").iterdir()
        assert folder.name.startswith(f"{os.getpid()}-")
    assert not folder.exists()
