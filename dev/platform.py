"""The whole platform on one machine: the servers, the API and one worker process per role."""

from __future__ import annotations

import asyncio
import fcntl
import os
import shlex
import signal
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import httpx
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client

from contracts.queues import Queue
from dev.failures import DataDirBusy
from dev.servers.ports import port_for
from dev.servers.process import Server, together
from dev.stack import Stack


class Api(Server):
    name = "api"

    def __init__(self, log_dir: Path, port: int, environment: Mapping[str, str]) -> None:
        super().__init__(log_dir)
        self._environment = environment
        self.url = f"http://127.0.0.1:{port}"

    def command(self) -> list[str]:
        return [sys.executable, "-m", "api"]

    def environment(self) -> Mapping[str, str]:
        return self._environment

    async def probe(self) -> None:
        async with httpx.AsyncClient(trust_env=False) as client:
            (await client.get(f"{self.url}/readyz")).raise_for_status()


class Worker(Server):
    """Ready when Temporal sees this very process ask for tasks."""

    def __init__(self, log_dir: Path, role: Queue, environment: Mapping[str, str]) -> None:
        super().__init__(log_dir)
        self.name = f"worker-{role}"
        self._role = role
        self._environment = environment

    def command(self) -> list[str]:
        return [sys.executable, "-m", "worker", str(self._role)]

    def environment(self) -> Mapping[str, str]:
        return self._environment

    async def probe(self) -> None:
        setting = {**os.environ, **self._environment}
        namespace = setting.get("TEMPORAL_NAMESPACE", "default")
        client = await Client.connect(setting["TEMPORAL_ADDRESS"], namespace=namespace)
        answer = await client.workflow_service.describe_task_queue(
            DescribeTaskQueueRequest(
                namespace=namespace,
                task_queue=TaskQueue(name=setting.get("ECHOSHOT_QUEUE_PREFIX", "") + self._role),
                task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
            )
        )
        if not any(str(self.pid) in poller.identity for poller in answer.pollers):
            raise RuntimeError(f"no poller of {self._role} has pid {self.pid}")


class Platform:
    """`api` and `workers[role]` can be killed and restarted one by one, as can the servers of `stack`."""

    def __init__(self, stack: Stack, extra_environment: Mapping[str, str] | None = None) -> None:
        """`stack` must be started: its addresses go into the environment of the processes."""
        self.stack = stack
        logs = stack.data_dir / "logs"
        port = port_for("api", stack.data_dir)
        self.environment: Mapping[str, str] = {
            **stack.environment(),
            "ECHOSHOT_API_PORT": str(port),
            "ECHOSHOT_PUBLIC_URL": f"http://127.0.0.1:{port}",
            "ECHOSHOT_WORK_DIR": str(stack.data_dir / "work"),
            **(extra_environment or {}),
        }
        self.api = Api(logs, port, self.environment)
        self.workers = {role: Worker(logs, role, self.environment) for role in Queue}

    async def start(self) -> None:
        """Raises `ServerFailed` when a process does not come up; the others are then stopped again."""
        try:
            await together(process.start for process in self._processes())
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        await asyncio.gather(*(process.stop() for process in self._processes()))

    def _processes(self) -> list[Server]:
        return [self.api, *self.workers.values()]


@asynccontextmanager
async def running_platform(
    data_dir: Path, extra_environment: Mapping[str, str] | None = None, *, durable: bool = True
) -> AsyncIterator[Platform]:
    """Everything up, with its state below `data_dir`; all stopped at the end, whatever happens.

    Raises `DataDirBusy` when another platform uses `data_dir`.
    """
    data_dir = data_dir.resolve()
    with _sole_use(data_dir):
        stack = await Stack.below(data_dir, durable=durable)
        try:
            await stack.start()
            platform = Platform(stack, extra_environment)
            await platform.start()
            _write_environment(data_dir, platform.environment)
            try:
                yield platform
            finally:
                await platform.stop()
        finally:
            await stack.stop()
            (data_dir / "environment.sh").unlink(missing_ok=True)


def stop_platform(data_dir: Path) -> bool:
    """Ask the platform on `data_dir` to stop, and wait until it has. False when none runs there."""
    try:
        with _sole_use(data_dir):
            return False
    except DataDirBusy:
        os.kill(int((data_dir / "lock").read_text()), signal.SIGTERM)
    with (data_dir / "lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
    return True


def running_environment(data_dir: Path) -> dict[str, str] | None:
    """The environment of the platform that runs on `data_dir`, or None."""
    file = data_dir / "environment.sh"
    try:
        with _sole_use(data_dir):
            return None
    except DataDirBusy:
        if not file.exists():  # it is just starting or stopping
            raise
    assignments = [shlex.split(line)[1] for line in file.read_text().splitlines()]
    return dict(assignment.split("=", 1) for assignment in assignments)


def _write_environment(data_dir: Path, environment: Mapping[str, str]) -> None:
    file = data_dir / "environment.sh"
    file.touch(mode=0o600)  # holds the passwords of this stack
    file.write_text("".join(f"export {key}={shlex.quote(value)}\n" for key, value in environment.items()))


@contextmanager
def _sole_use(data_dir: Path) -> Iterator[None]:
    # The kernel drops the lock with its holder, however that ends: no stale pid file.
    data_dir.mkdir(parents=True, exist_ok=True)
    with (data_dir / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DataDirBusy(
                f"A platform runs on {data_dir} already; stop it with `python -m dev stop`, or choose another --data.\n"
                f"{data_dir}에서 이미 실행 중입니다. `python -m dev stop`으로 멈추거나 --data로 다른 폴더를 지정하세요."
            ) from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield
