"""Runs one ffmpeg command: no shell, no network, no guessing of formats, no outliving its parent."""

from __future__ import annotations

import contextlib
import ctypes
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import ffmpeg
import imageio_ffmpeg

from contracts.errors import Code, EchoError
from contracts.media import ContainerName
from media.ffmpeg.errors import from_failure
from media.opening import DECODERS, DEMUXERS

PROTOCOLS = "file,pipe"
STDERR_LINES_MAX = 200
PR_SET_PDEATHSIG = 1
"""From linux/prctl.h."""


@cache
def executable() -> str:
    """ffmpeg as shipped in the imageio-ffmpeg wheel. Raises EchoError ENGINE_UNAVAILABLE."""
    try:
        return imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError as error:
        raise EchoError(Code.ENGINE_UNAVAILABLE, str(error)) from error


def source(path: Path, container: ContainerName, **options: str | int) -> Any:
    """An ffmpeg-python input of a sniffed file: its demuxer forced, every protocol but file and pipe shut."""
    return ffmpeg.input(
        f"file:{path.absolute()}",
        f=DEMUXERS[container].partition(",")[0],
        protocol_whitelist=PROTOCOLS,
        format_whitelist=DEMUXERS[container],
        codec_whitelist=",".join(sorted(DECODERS)),
        **options,
    )


def target(path: Path) -> str:
    """An output file's name as ffmpeg must get it: a bare name with a colon would be taken for a protocol."""
    return f"file:{path.absolute()}"


def run(command: Any, *, timeout_s: float, on_time: Callable[[int], None] = lambda _: None) -> None:
    """Runs an ffmpeg-python output to its end. `on_time` hears the position in the output, in microseconds.

    Raises EchoError: CORRUPT (the input), OUT_OF_DISK, ENGINE_STALLED (after `timeout_s`), ENGINE_CRASHED.
    """
    flags = ("-hide_banner", "-nostdin", "-loglevel", "warning", "-nostats", "-progress", "pipe:1")
    arguments = ffmpeg.compile(command.global_args(*flags), cmd=executable(), overwrite_output=True)
    process = subprocess.Popen(
        arguments,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=_die_with_parent(),
        env={},  # ffmpeg needs none, and some of its libraries would read proxies and credentials from it
    )
    timed_out = threading.Event()
    timer = threading.Timer(timeout_s, _expire, (process, timed_out))
    timer.start()
    try:
        stderr = _follow(process, on_time)
        returncode = process.wait()
    except BaseException:
        process.kill()
        process.wait()
        raise
    finally:
        timer.cancel()
    if timed_out.is_set():
        raise EchoError(Code.ENGINE_STALLED, f"ffmpeg did not end within {timeout_s:g} s: {stderr[-300:]}")
    if returncode:
        raise from_failure(returncode, stderr)


def _expire(process: subprocess.Popen[bytes], timed_out: threading.Event) -> None:
    timed_out.set()
    process.kill()


def _follow(process: subprocess.Popen[bytes], on_time: Callable[[int], None]) -> str:
    """Reads both pipes to their ends, so that neither fills up; returns the last lines of stderr."""
    assert process.stdout is not None
    assert process.stderr is not None
    lines: deque[str] = deque(maxlen=STDERR_LINES_MAX)
    errors = process.stderr
    reader = threading.Thread(
        target=lambda: lines.extend(line.decode(errors="replace") for line in errors), daemon=True
    )
    reader.start()
    for raw in process.stdout:
        key, _, value = raw.decode(errors="replace").strip().partition("=")
        if key == "out_time_us":
            with contextlib.suppress(ValueError):  # "N/A" before the first packet
                on_time(int(value))
    reader.join()
    process.stdout.close()
    process.stderr.close()
    return "".join(lines)


@cache
def _die_with_parent() -> Callable[[], Any] | None:
    """For a killed engine process: its ffmpeg must not go on writing beside the next attempt."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl  # looked up before the fork, where only async-signal-safe calls are sound
    return lambda: prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
