"""What the platform costs on top of the engine: a job through API, Temporal and S3 against `python -m media enhance`.

    python -m bench.platform [--clip FILE] [--seconds 12] [--rounds 3]

Both sides make the same segments of the same clip with the same number of engine processes, in turn, in one run.
Prints a table, and the same as JSON with --json.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
from httpx_sse import aconnect_sse
from imageio_ffmpeg import get_ffmpeg_exe

from contracts.jobs import JobStatus
from contracts.settings import cpu_cores
from dev.clips import packaged
from dev.platform import Platform, running_platform
from tests.e2e.driver import Customer, customer


def prepare(folder: Path, clip: Path, seconds: int, height: int) -> Path:
    """The clip looped to `seconds` and scaled to `height` lines, with sound."""
    out = folder / "source.mp4"
    subprocess.run(
        [get_ffmpeg_exe(), "-v", "error", "-stream_loop", "-1", "-i", str(clip), "-t", str(seconds),
         "-vf", f"scale=-2:{height}", "-c:v", "libx264", "-preset", "fast", "-crf", "18",
         "-c:a", "aac", "-y", str(out)],
        check=True,
    )  # fmt: skip
    return out


def engine_alone(source: Path, folder: Path) -> float:
    """Seconds of wall time of the engine's own command."""
    out = folder / f"alone-{time.monotonic_ns()}.mp4"
    started = time.monotonic()
    subprocess.run(
        [sys.executable, "-m", "media", "enhance", str(source), str(out), "--workers", str(cpu_cores())],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return time.monotonic() - started


async def through_platform(platform: Platform, source: Path, folder: Path) -> float:
    """Seconds from the first request to the last byte of the result, upload and download included."""
    async with customer(platform, credits=1000) as fan:
        started = time.monotonic()
        job = await fan.start(source)
        assert await settled(fan, job["id"]) == "SUCCEEDED"
        await fan.download(job["id"], folder / "platform.mp4")
        return time.monotonic() - started


async def settled(fan: Customer, job_id: str) -> str:
    """How the job ends, told by its event stream as to an app: polling would be a load of its own."""
    timeout = httpx.Timeout(30, read=None)
    async with aconnect_sse(fan.http, "GET", f"/v1/jobs/{job_id}/events", timeout=timeout) as events:
        async for event in events.aiter_sse():
            status = json.loads(event.data)["status"]
            if JobStatus(status).settled:
                return status
    raise AssertionError("the stream ended before the job")


async def measure(clip: Path, seconds: int, height: int, rounds: int) -> dict[str, object]:
    with tempfile.TemporaryDirectory(prefix="echoshot-bench-") as name:
        folder = Path(name)
        source = prepare(folder, clip, seconds, height)
        alone: list[float] = []
        platform_s: list[float] = []
        async with running_platform(folder / "platform") as platform:
            # Warm on both sides: engines loaded, files cached by the kernel.
            await through_platform(platform, source, folder)
            for _ in range(rounds):
                alone.append(engine_alone(source, folder))
                platform_s.append(await through_platform(platform, source, folder))
    overhead = statistics.median(platform_s) / statistics.median(alone) - 1
    return {
        "seconds_of_source": seconds,
        "height": height,
        "engine_processes": cpu_cores(),
        "alone_s": [round(each, 2) for each in alone],
        "platform_s": [round(each, 2) for each in platform_s],
        "overhead_percent": round(overhead * 100, 1),
        "target_percent": 5,
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.platform", description=__doc__)
    parser.add_argument("--clip", type=Path, default=packaged("bigbuckbunny"))
    parser.add_argument("--seconds", type=int, default=12)
    parser.add_argument("--height", type=int, default=180)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = asyncio.run(measure(options.clip, options.seconds, options.height, options.rounds))
    if options.json:
        print(json.dumps(found))
        return
    for name, value in found.items():
        print(f"{name:>20}  {value}")


if __name__ == "__main__":
    main()
