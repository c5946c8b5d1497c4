"""`make demo` on a clip small enough for a test: the whole platform, used from outside."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from contracts.journal.verify import verify
from contracts.signing import key_id_of, signer
from dev.footage import demo_clip, look_at
from dev.song import BPM, SIZE

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
    check_the_chapter_on_music(tmp_path / "build/demo", summary)
    await check_the_chapter_on_money(tmp_path / "build/demo", summary)


def check_the_chapter_on_music(folder: Path, summary: dict[str, Any]) -> None:
    music, (chorus, cut) = summary["music"], summary["clips"]
    assert music["as_composed"]
    assert abs(music["bpm"] - BPM) < 1
    types = [section["type"] for section in music["sections"]]
    assert types == ["intro", "verse", "chorus", "verse", "climax", "outro"]
    assert music["seconds"] > 0
    with Image.open(folder / "sections.png") as strip:
        assert strip.format == "PNG"

    assert (chorus["format"], chorus["type"]) == ("vertical", "chorus")
    assert chorus["width"] * 16 == chorus["height"] * 9
    assert 24 - 0.5 < chorus["start"] < chorus["end"] < 40 + 0.5
    assert (cut["start"], cut["end"], cut["format"]) == (20.0, 30.0, "original")
    assert (cut["width"], cut["height"]) == SIZE
    for clip in (chorus, cut):
        found = look_at(folder.parent.parent / clip["file"])
        assert abs(found.duration - (clip["end"] - clip["start"])) < 0.1
        assert found.audio_tracks == 1


async def check_the_chapter_on_money(folder: Path, summary: dict[str, Any]) -> None:
    bought, refund, books = summary["purchase"], summary["refund"], summary["books"]
    assert (bought["provider"], bought["amount_krw"], bought["credits"]) == ("stripe", 40_000, 500)
    assert summary["paid_job"]["status"] == "SUCCEEDED"
    assert (refund["amount_krw"], refund["reason"], refund["status"]) == (1_000, "job_failed", "SUCCEEDED")
    assert books["balanced"]
    assert books["differences"] == []
    assert books["reconciliation_differences"] == 0

    journal, receipt = folder / "journal.jsonl", json.loads((folder / "receipt.json").read_text())
    with journal.open("rb") as lines:
        verdict = verify(lines)
    assert (verdict.ok, verdict.rows, verdict.last_block) == (True, books["rows"], books["last_block_hash"])
    assert (receipt["job_id"], receipt["refunded_krw"]) == (refund["job_id"], 1_000)
    assert signer(receipt) == key_id_of((folder / "journal-key.pem").read_text())


async def test_the_demo_says_which_file_is_missing(tmp_path: Path) -> None:
    status, output = await run_demo(tmp_path, "--video", "nowhere.mov")
    assert status == 1
    assert "nowhere.mov" in output
    assert "Traceback" not in output
