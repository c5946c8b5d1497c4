"""`make demo` on a clip small enough for a test: the whole platform, used from outside."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

from dev.footage import demo_clip, look_at

pytestmark = pytest.mark.slow


async def run_demo(folder: Path, *arguments: str) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "dev", "demo", *arguments),
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return process.returncode, output.decode()


async def test_the_demo_delivers_a_verified_clip_and_its_story(tmp_path: Path) -> None:
    clip = demo_clip(tmp_path / "clip.mp4", seconds=0.6, height_px=72)
    status, output = await run_demo(tmp_path, "--video", str(clip))
    assert status == 0, output
    summary = json.loads((tmp_path / "build/demo/summary.json").read_text())
    result = look_at(tmp_path / "build/demo/result.mp4")
    assert summary["status"] == "SUCCEEDED"
    assert summary["verification"]["ok"]
    assert (result.width, result.height, result.frames, result.audio_tracks) == (256, 144, 36, 1)
    assert summary["result"]["sha256"] == result.sha256
    assert summary["credits"] == {"before": 100, "held": 10, "captured": 10, "after": 90}
    assert [stage["name"] for stage in summary["stages"]] == ["ingest", "upscale", "interpolate", "mux"]
    assert summary["engines"]
    assert summary["history_length"] > 10


async def test_the_demo_says_which_file_is_missing(tmp_path: Path) -> None:
    status, output = await run_demo(tmp_path, "--video", "nowhere.mov")
    assert status == 1
    assert "nowhere.mov" in output
    assert "Traceback" not in output
