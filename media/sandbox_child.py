"""The child's side of `media/sandbox.py`: limits itself, then runs one task after another.

Arguments: module that holds TASKS, descriptor for replies, memory limit in bytes, process id of the parent.
"""

from __future__ import annotations

import ctypes
import errno
import importlib
import json
import os
import resource
import signal
import sys
import time
import traceback
from typing import TextIO

from contracts.base import Contract
from contracts.errors import Code, EchoError
from media.tasks import Task

PR_SET_PDEATHSIG = 1
"""From linux/prctl.h."""
OPEN_FILES_MAX = 256
NICENESS = 5
"""API and workflow workers on the same machine answer first."""
BEAT_INTERVAL_S = 0.05
"""Progress of one stage is passed on at most this often; its last unit always is."""


def main() -> None:
    module, replies_fd, memory_bytes_max, parent_pid = sys.argv[1:]
    _die_with_parent(int(parent_pid))
    _limit_resources(int(memory_bytes_max))
    tasks: dict[str, Task] = importlib.import_module(module).TASKS
    with os.fdopen(int(replies_fd), "w", encoding="utf-8") as replies:
        for line in sys.stdin:
            request = json.loads(line)
            task = tasks[request["task"]]
            _reply(replies, _outcome(task, task.argument.model_validate(request["arg"]), replies))


def _die_with_parent(parent_pid: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    # The parent may have died before the call above; elsewhere the end of stdin is the only sign.
    if os.getppid() != parent_pid:
        os._exit(1)


def _limit_resources(memory_bytes_max: int) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES_MAX, OPEN_FILES_MAX))
    # Not RLIMIT_AS: CUDA and thread arenas reserve address space far beyond what they ever write.
    resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes_max, memory_bytes_max))
    os.nice(NICENESS)


class _Beats:
    """Progress callback that writes messages, thinned out so that a fast scan does not flood the parent."""

    def __init__(self, replies: TextIO) -> None:
        self._replies = replies
        self._sent_at: dict[str, float] = {}

    def __call__(self, stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        last = total and done >= total
        if not last and now - self._sent_at.get(stage, 0.0) < BEAT_INTERVAL_S:
            return
        self._sent_at[stage] = now
        _reply(self._replies, {"progress": [stage, done, total]})


def _outcome(task: Task, argument: Contract, replies: TextIO) -> dict:
    try:
        return {"result": task.run(argument, _Beats(replies)).model_dump(mode="json")}
    except EchoError as error:
        return _error(error)
    except MemoryError:
        return _error(EchoError(Code.ENGINE_CRASHED, "out of the memory allowed to an engine"))
    except OSError as error:
        return _error(_from_os_error(error))
    except Exception:
        trace = traceback.format_exc()
        print(trace, file=sys.stderr)
        return _error(EchoError(Code.ENGINE_CRASHED, trace[-500:]))


def _from_os_error(error: OSError) -> EchoError:
    code = Code.OUT_OF_DISK if error.errno in (errno.ENOSPC, errno.EDQUOT) else Code.ENGINE_CRASHED
    return EchoError(code, str(error))


def _error(error: EchoError) -> dict:
    return {"error": {"code": error.code.value, "detail": error.detail, "fields": error.fields}}


def _reply(replies: TextIO, message: dict) -> None:
    replies.write(json.dumps(message) + "\n")
    replies.flush()


if __name__ == "__main__":
    main()
