"""One server process: start until it answers, stop, kill, restart on the same port and data.

Subclasses say which command to run, how to prepare its state, and which real request proves that it is up.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from time import monotonic

from dev.failures import ServerFailed
from dev.servers import reaper

_POLL_S = 0.05


async def together(actions: Iterable[Callable[[], Awaitable[object]]]) -> None:
    """Run all at once; when one fails, the others are cancelled and its error is raised."""

    async def run(action: Callable[[], Awaitable[object]]) -> None:
        await action()

    try:
        async with asyncio.TaskGroup() as group:
            for action in actions:
                group.create_task(run(action))
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None


class Server(ABC):
    """Not running after construction; `start` and `restart` return when the server answers real requests."""

    name: str
    stop_signal: signal.Signals = signal.SIGTERM
    ready_timeout_s: float = 60.0
    stop_timeout_s: float = 20.0

    def __init__(self, log_dir: Path) -> None:
        self._log_dir = log_dir
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def command(self) -> list[str]: ...

    @abstractmethod
    async def probe(self) -> None:
        """One real request; any exception means not ready yet."""

    async def prepare(self) -> None:  # noqa: B027 (a hook: most servers need nothing)
        """Make what the command needs before it can run. Must be safe to repeat."""

    async def settle(self) -> None:  # noqa: B027
        """Make what only a running server can make (buckets, namespaces). Must be safe to repeat."""

    def environment(self) -> Mapping[str, str]:
        """Variables on top of this process's own."""
        return {}

    @property
    def log_path(self) -> Path:
        return self._log_dir / f"{self.name}.log"

    @property
    def pid(self) -> int:
        assert self._process is not None, f"{self.name} is not running"
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    async def start(self) -> None:
        """Raises `ServerFailed` when the server ends, or does not answer in time."""
        assert not self.running, f"{self.name} runs already"
        await self.prepare()
        self._spawn()
        await self._until_ready()
        await self.settle()

    async def stop(self) -> None:
        """Ask the server to end, and wait until it has. Does nothing when it does not run."""
        if self._process is None:
            return
        if self.running:
            self._process.send_signal(self.stop_signal)
            deadline = monotonic() + self.stop_timeout_s
            while self.running and monotonic() < deadline:  # noqa: ASYNC110 (a child's end sets no event)
                await asyncio.sleep(_POLL_S)
        self.kill()

    def kill(self) -> None:
        """SIGKILL, as a crash would; returns when the process is gone."""
        if self._process is None:
            return
        if self.running:
            self._process.kill()
        self._process.wait()
        reaper.forget(self._process.pid)
        self._process = None

    async def restart(self) -> None:
        """Start again on the same port and data, after a stop if it still runs."""
        await self.stop()
        await self.start()

    def _spawn(self) -> None:
        self._log_dir.mkdir(parents=True, exist_ok=True)
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self.environment()},
                start_new_session=True,  # Ctrl-C in the terminal reaches the parent, which stops in good order
            )
        reaper.watch(self._process.pid, self.stop_signal)

    async def _until_ready(self) -> None:
        deadline = monotonic() + self.ready_timeout_s
        while True:
            try:
                async with asyncio.timeout(self.ready_timeout_s):
                    return await self.probe()
            except Exception as error:
                if not self.running or monotonic() > deadline:
                    code = self._process.poll() if self._process else None
                    self.kill()
                    raise ServerFailed(
                        f"{self.name} "
                        + ("did not answer in time" if code is None else f"ended with status {code}")
                        + f" ({type(error).__name__}: {error})\n{self._log_tail()}"
                    ) from error
                await asyncio.sleep(_POLL_S)

    def _log_tail(self, lines: int = 20) -> str:
        if not self.log_path.exists():
            return ""
        text = self.log_path.read_text(errors="replace")
        return f"--- end of {self.log_path} ---\n" + "\n".join(text.splitlines()[-lines:])
