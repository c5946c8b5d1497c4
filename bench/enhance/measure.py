"""What a command costs, and how near its result comes to the original."""

from __future__ import annotations

import json
import resource
import subprocess
import threading
import time
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import psutil
from imageio_ffmpeg import get_ffmpeg_exe

SAMPLE_EVERY_S = 0.5


@dataclass(frozen=True)
class Cost:
    wall_s: float
    cpu_s: float
    """User and system time of all its processes."""
    peak_mb: float
    """Largest sum of unshared memory of its processes at one time."""
    peak_process_mb: float
    """Of its largest process, resident."""
    written_mb: float
    """Bytes handed to write(), all processes."""


@dataclass(frozen=True)
class Quality:
    psnr_db: float
    ssim: float
    vmaf: float


def run(command: list[str]) -> Cost:
    """Runs it to its end. Raises CalledProcessError."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    watch = _Watch(process.pid)
    watch.start()
    status = process.wait()
    wall_s = time.monotonic() - start
    watch.done.set()
    watch.join()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if status:
        raise subprocess.CalledProcessError(status, command)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    written = sum(watch.written.values())
    return Cost(wall_s, cpu_s, watch.peak / 1e6, watch.peak_process / 1e6, written / 1e6)


class _Watch(threading.Thread):
    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.done = threading.Event()
        self.peak = self.peak_process = 0
        self.written: dict[int, int] = {}
        self._root = psutil.Process(pid)

    def run(self) -> None:
        while not self.done.wait(SAMPLE_EVERY_S):
            try:
                tree = [self._root, *self._root.children(recursive=True)]
            except psutil.NoSuchProcess:
                return
            total = 0
            for process in tree:
                try:
                    memory = process.memory_full_info()
                    self.written[process.pid] = process.io_counters().write_chars
                except (psutil.NoSuchProcess, psutil.AccessDenied):
                    continue
                total += memory.uss
                self.peak_process = max(self.peak_process, memory.rss)
            self.peak = max(self.peak, total)


def quality(result: Path, original: Path, source_fps: Fraction, log: Path) -> Quality:
    """Of the output frames that stand on a source frame, against the original's frame of that moment."""
    step = Fraction(60) / source_fps
    graph = (
        rf"[0:v]select='not(mod(n\,{step.numerator}))',setpts=N/TB,format=yuv420p[made];"
        rf"[1:v]select='not(mod(n\,{step.denominator}))',setpts=N/TB,format=yuv420p[true];"
        f"[made][true]libvmaf=feature=name=psnr|name=float_ssim:log_fmt=json:log_path={log}:shortest=1"
    )
    inputs = ["-i", str(result), "-i", str(original)]
    subprocess.run([get_ffmpeg_exe(), "-v", "error", *inputs, "-lavfi", graph, "-f", "null", "-"], check=True)
    means = {name: values["mean"] for name, values in json.loads(log.read_text())["pooled_metrics"].items()}
    return Quality(means["psnr_y"], means["float_ssim"], means["vmaf"])
