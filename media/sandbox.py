"""Engines in a warm, killable child process.

Decoders and neural runtimes are native code that reads hostile bytes: they run in a child without secrets, with
limits, in a scratch folder, and in a process group of their own. The child lives on between tasks, so loaded
models stay loaded. Its death costs one task: the next `run` starts a new child.

The child's side is `media/sandbox_child.py`. Messages are JSON lines, requests on stdin and replies on a pipe of
their own, so that whatever a native library prints cannot be taken for an answer; what it prints to stderr is
kept as a tail for the error.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

from contracts.base import Contract
from contracts.errors import Code, EchoError
from media.progress import Progress, silent
from media.tasks import TASKS, Task

ENV_ALLOWED = (
    "PATH", "LANG", "LC_ALL", "TZ",
    "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES",
    "LD_LIBRARY_PATH", "IMAGEIO_FFMPEG_EXE", "ECHOSHOT_DEVICE",
)  # fmt: skip
"""Everything else stays with the parent: its environment holds the database's and the store's secrets."""

STDERR_TAIL_BYTES = 4000
MESSAGE_BYTES_MAX = 64 * 1024 * 1024
"""A plan of a two-hour video is below one megabyte."""
MEMORY_BYTES_DEFAULT = 3 * 1024**3


class Sandbox:
    """One child process that runs one task at a time. Not for use from several event loops."""

    def __init__(
        self,
        *,
        memory_bytes_max: int = MEMORY_BYTES_DEFAULT,
        extra_env: Mapping[str, str] | None = None,
        tasks: Mapping[str, Task] = TASKS,
        tasks_module: str = "media.tasks",
        scratch_root: Path | None = None,
    ) -> None:
        """`memory_bytes_max` bounds the child's private writable memory. `extra_env` is passed besides ENV_ALLOWED.

        The child's own folder is made in `scratch_root` (default: the system's) and named after this process, so
        that whoever finds it there later knows whether its owner lives.

        `tasks` is the table that the child finds as `TASKS` in `tasks_module`.
        """
        self._memory_bytes_max = memory_bytes_max
        self._extra_env = dict(extra_env or {})
        self._tasks = tasks
        self._tasks_module = tasks_module
        self._scratch_root = scratch_root
        self._child: _Child | None = None
        self._busy = asyncio.Lock()

    @property
    def pid(self) -> int | None:
        """Of the living child; None before the first task and after a death."""
        return self._child.process.pid if self._child else None

    async def run(
        self, task: str, arg: Contract, *, on_progress: Progress = silent, stall_s: float
    ) -> Contract:
        """Runs one task in the child and returns its result.

        Raises the child's own EchoError; ENGINE_STALLED when it reports nothing for `stall_s` seconds;
        ENGINE_CRASHED when it dies or fails unexpectedly. Cancellation kills the child before it propagates.
        """
        entry = self._tasks[task]
        async with self._busy:
            # Spawning is inside the `try`: a cancel that lands in the middle must not leave a child behind.
            try:
                child = self._child = self._child or await self._spawn()
                await child.send({"task": task, "arg": arg.model_dump(mode="json")})
                reply = await self._answer(child, on_progress, stall_s)
            except BaseException:
                await self._kill()
                raise
            if reply.get("error", {}).get("code") == Code.ENGINE_CRASHED:
                # Nobody foresaw it, so nobody knows what it left: after one CUDA fault every later call fails too.
                await self._kill()
        if "result" in reply:
            return entry.result.model_validate(reply["result"])
        error = reply["error"]
        raise EchoError(Code(error["code"]), error["detail"], error["fields"])

    async def aclose(self) -> None:
        """Ends the child. The sandbox may be used again: the next task starts a new one."""
        await self._kill()

    async def __aenter__(self) -> Sandbox:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def _answer(self, child: _Child, on_progress: Progress, stall_s: float) -> dict:
        while True:
            try:
                line = await asyncio.wait_for(child.replies.readline(), stall_s)
            except TimeoutError:
                tail = child.stderr_tail()
                raise EchoError(Code.ENGINE_STALLED, f"no progress for {stall_s:g} s. {tail}") from None
            if not line.endswith(b"\n"):
                raise EchoError(Code.ENGINE_CRASHED, await child.obituary())
            message = json.loads(line)
            if "progress" not in message:
                return message
            on_progress(*message["progress"])

    async def _spawn(self) -> _Child:
        if self._scratch_root is not None:
            self._scratch_root.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-echoshot-engine-", dir=self._scratch_root))
        replies_read, replies_write = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "media.sandbox_child",
                self._tasks_module, str(replies_write), str(self._memory_bytes_max), str(os.getpid()),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                cwd=scratch,
                env=self._environment(scratch),
                pass_fds=(replies_write,),
                start_new_session=True,  # its ffmpeg processes die with it, by one killpg
            )  # fmt: skip
        except BaseException:
            os.close(replies_read)
            shutil.rmtree(scratch, ignore_errors=True)
            raise
        finally:
            os.close(replies_write)
        return await _Child.attach(process, replies_read, scratch)

    def _environment(self, scratch: Path) -> dict[str, str]:
        allowed = {name: os.environ[name] for name in ENV_ALLOWED if name in os.environ}
        root = Path(__file__).resolve().parent.parent
        own = {
            "HOME": str(scratch),
            "TMPDIR": str(scratch),
            "PYTHONPATH": str(root),
            "PYTHONUNBUFFERED": "1",
        }
        return allowed | own | self._extra_env

    async def _kill(self) -> None:
        child, self._child = self._child, None
        if child:
            await asyncio.shield(child.kill())


class SandboxPool:
    """N warm sandboxes; a task takes any free one and waits when all are busy."""

    def __init__(self, size: int, make: Callable[[], Sandbox] = Sandbox) -> None:
        self._all = [make() for _ in range(size)]
        # Last in, first out: a lone caller keeps meeting the child whose models are loaded.
        self._free: asyncio.LifoQueue[Sandbox] = asyncio.LifoQueue()
        for sandbox in self._all:
            self._free.put_nowait(sandbox)

    @contextlib.asynccontextmanager
    async def acquire(self) -> AsyncIterator[Sandbox]:
        sandbox = await self._free.get()
        try:
            yield sandbox
        finally:
            self._free.put_nowait(sandbox)

    async def run(
        self, task: str, arg: Contract, *, on_progress: Progress = silent, stall_s: float
    ) -> Contract:
        async with self.acquire() as sandbox:
            return await sandbox.run(task, arg, on_progress=on_progress, stall_s=stall_s)

    async def aclose(self) -> None:
        for sandbox in self._all:
            await sandbox.aclose()

    async def __aenter__(self) -> SandboxPool:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


class _Child:
    """A running child with its pipes and its scratch folder."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        replies: asyncio.StreamReader,
        transport: asyncio.BaseTransport,
        scratch: Path,
    ) -> None:
        self.process = process
        self.replies = replies
        self._transport = transport
        self._scratch = scratch
        self._stderr = b""
        self._drain = asyncio.create_task(self._drain_stderr())

    @classmethod
    async def attach(cls, process: asyncio.subprocess.Process, replies_fd: int, scratch: Path) -> _Child:
        replies = asyncio.StreamReader(limit=MESSAGE_BYTES_MAX)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(replies), os.fdopen(replies_fd, "rb")
        )
        return cls(process, replies, transport, scratch)

    async def send(self, request: dict) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(request).encode() + b"\n")
        # A child that died idle is found out by the missing answer, which tells more than a broken pipe.
        with contextlib.suppress(ConnectionError):
            await self.process.stdin.drain()

    async def _drain_stderr(self) -> None:
        assert self.process.stderr is not None
        while chunk := await self.process.stderr.read(4096):
            self._stderr = (self._stderr + chunk)[-STDERR_TAIL_BYTES:]

    def stderr_tail(self) -> str:
        return self._stderr.decode(errors="replace").strip()[-400:]

    async def obituary(self) -> str:
        """How the child died. Waits for its end, which has begun: its reply pipe is closed."""
        await self.process.wait()
        await asyncio.wait([self._drain], timeout=1)
        status = self.process.returncode or 0
        how = f"killed by {signal.Signals(-status).name}" if status < 0 else f"exited with {status}"
        return f"{how}. {self.stderr_tail()}".strip()

    async def kill(self) -> None:
        # The group, not the child alone, and also when the child is gone already: it may have left an ffmpeg.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        await self.process.wait()
        self._transport.close()
        self._drain.cancel()
        if self.process.stdin:
            self.process.stdin.close()
        shutil.rmtree(self._scratch, ignore_errors=True)
