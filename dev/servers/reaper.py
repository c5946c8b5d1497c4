"""Ends the servers of a parent that died without stopping them, so that no orphan stays behind.

A small process of its own, holding one end of a pipe whose other end only the parent has: however the parent dies, the
pipe closes. (Linux's PR_SET_PDEATHSIG is no substitute: it fires when the *thread* that forked ends.)
"""

from __future__ import annotations

import atexit
import signal
import subprocess
import sys
from functools import cache

import psutil

_GRACE_S = 10.0


def watch(pid: int, stop_signal: signal.Signals) -> None:
    """From now on `pid` does not outlive this process: it gets `stop_signal`, and SIGKILL when that does not help."""
    _tell(f"watch {pid} {int(stop_signal)}")


def forget(pid: int) -> None:
    """`pid` has ended and was waited for."""
    _tell(f"forget {pid}")


def _tell(line: str) -> None:
    pipe = _reaper().stdin
    assert pipe is not None
    pipe.write(line + "\n")
    pipe.flush()


@cache
def _reaper() -> subprocess.Popen[str]:
    # A session of its own: Ctrl-C in the terminal must reach the parent only.
    process = subprocess.Popen(
        [sys.executable, "-m", __name__], stdin=subprocess.PIPE, text=True, start_new_session=True
    )
    atexit.register(process.communicate)  # closes the pipe and waits
    return process


def main() -> None:
    """Follow the parent's lines until the pipe closes, then end what is left."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    watched: dict[int, tuple[psutil.Process, int]] = {}
    for line in sys.stdin:
        match line.split():
            case ["watch", pid, stop_signal]:
                try:
                    watched[int(pid)] = (psutil.Process(int(pid)), int(stop_signal))
                except psutil.NoSuchProcess:
                    continue
            case ["forget", pid]:
                watched.pop(int(pid), None)
            case _:
                raise AssertionError(line)
    _end(watched)


def _end(watched: dict[int, tuple[psutil.Process, int]]) -> None:
    # psutil compares start times before it signals, so a pid that was given to a stranger meanwhile is safe.
    victims: list[psutil.Process] = []
    for process, stop_signal in watched.values():
        try:
            victims.extend(process.children(recursive=True))
            process.send_signal(stop_signal)
        except psutil.NoSuchProcess:
            continue
        victims.append(process)
    _, stubborn = psutil.wait_procs(victims, timeout=_GRACE_S)
    for process in stubborn:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue


if __name__ == "__main__":
    main()
