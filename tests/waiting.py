"""When a test runs out of time: who waits for what. The stacks of threads, which pytest-timeout prints, do not tell."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Generator

import pytest
import pytest_asyncio

_loops: list[asyncio.AbstractEventLoop] = []


@pytest_asyncio.fixture(scope="session", autouse=True)
async def loop_of_tests() -> AsyncIterator[None]:
    _loops.append(asyncio.get_running_loop())
    yield
    _loops.clear()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    call: pytest.CallInfo[None],
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if call.excinfo is not None and "from pytest-timeout" in str(call.excinfo.value):
        tasks = [task for loop in _loops for task in asyncio.all_tasks(loop)]
        report.sections.append(("Tasks that waited", "\n\n".join(map(chain, tasks))))
    return report


def chain(task: asyncio.Task[object]) -> str:
    """The coroutines that await each other, the innermost last."""
    lines, awaited = [task.get_name()], task.get_coro()
    while awaited is not None:
        frame = getattr(awaited, "cr_frame", None)
        if frame is not None:
            lines.append(f"  {frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_qualname}")
        awaited = getattr(awaited, "cr_await", None)
    return "\n".join(lines)
