"""Workers that kill themselves with SIGKILL where a plan says (tests/workflows/mortal_worker.py)."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from contracts.queues import Queue

Plan = dict[str, tuple[str, str]]
"""Workflow id to the step at which its worker dies, and the moment."""


@asynccontextmanager
async def mortal_workers(
    environment: Mapping[str, str], plan: Plan, folder: Path, *queues: Queue
) -> AsyncIterator[Path]:
    """Gives the folder that remembers who has died."""
    died = folder / "deaths"
    died.mkdir()
    (folder / "plan.json").write_text(json.dumps(plan))
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.workflows.mortal_worker", folder / "plan.json", died, *queues),
        env=environment,
        stdin=asyncio.subprocess.PIPE,
    )
    try:
        yield died
    finally:
        assert program.stdin is not None
        program.stdin.close()
        await program.wait()


async def all_have(died: Path, plan: Plan) -> bool:
    return not spared(died, plan)


def spared(died: Path, plan: Plan) -> Plan:
    """Whoever has not come to the step, or not to the end of it."""
    return {each: where for each, where in plan.items() if not (died / each.replace("/", "-")).exists()}
