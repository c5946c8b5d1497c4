"""A clip goes in by HTTP and comes out twice as large at 60 fps, on the source's own timeline, and is paid for once."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import httpx
import pytest

from dev.clips import GOOD, packaged
from dev.platform import Platform
from tests.e2e.driver import books_violations, customer
from tests.e2e.footage import facts

pytestmark = pytest.mark.slow

NEURAL = {"plain", "odd_sized", "rotated_90", "hlg"}
"""The network costs half a second of a core per frame of these clips; the timeline does not depend on it."""

CLICK_TOLERANCE_S = 0.003
"""An AAC codec smears a click by a fraction of its 21 ms frame; a wrong priming offset would be that whole frame."""


@pytest.mark.parametrize(
    "clip",
    [
        "plain", "odd_sized", "variable_rate", "rotated_90", "ntsc", "late_start",
        "sound_late", "sound_early", "two_tracks", "pcm_mov", "webm", "trimmed",
        "single_frame", "120_fps", "hlg",
    ],
)  # fmt: skip
async def test_a_clip_keeps_its_timeline_its_sound_and_its_orientation(
    platform: Platform, tmp_path: Path, clip: str
) -> None:
    source = GOOD[clip](tmp_path)
    async with customer(platform) as fan:
        job = await fan.start(source, upscaler="animevideov3" if clip in NEURAL else "lanczos")
        ended = await fan.wait(job["id"])
        assert ended["status"] == "SUCCEEDED", ended
        result = await fan.download(job["id"], tmp_path / "result.mp4")
        assert await fan.balance() == (90, 0)

    before, after = facts(source), facts(tmp_path / "result.mp4")
    fps = Fraction(result["info"]["video"]["average_fps"])
    assert fps == (120 if clip == "120_fps" else 60)
    assert result["info"]["video"]["frame_count"] == after.frames
    # Evenly spaced frames from the first source frame's time to the end of the last one's.
    assert abs(after.frames - (before.end - before.times[0]) * fps) <= Fraction(1, 2)
    assert all(
        abs((b - a) - 1 / fps) < Fraction(1, 10_000)
        for a, b in zip(after.times, after.times[1:], strict=False)
    )
    assert (after.width, after.height) == (before.width * 2, before.height * 2)
    assert after.rotation_deg == before.rotation_deg
    # The picture shown at a source frame's time is that source frame.
    for time, number in zip(before.times, before.numbers, strict=True):
        k = (time - before.times[0]) * fps
        if k.denominator == 1:
            assert after.numbers[int(k)] == number
    # Sound is where it was, relative to the picture.
    assert len(after.clicks) == len(before.clicks)
    for track_before, track_after in zip(before.clicks, after.clicks, strict=True):
        offsets = [
            (b - float(after.times[0])) - (a - float(before.times[0]))
            for a, b in zip(track_before, track_after, strict=True)
        ]
        assert all(abs(offset) < CLICK_TOLERANCE_S for offset in offsets), offsets


async def test_real_footage_is_delivered_with_manifest_thumbnails_and_range(
    platform: Platform, tmp_path: Path
) -> None:
    async with customer(platform) as fan:
        job = await fan.start(packaged("carphone_pristine"), upscaler="lanczos")
        ended = await fan.wait(job["id"])
        assert ended["status"] == "SUCCEEDED"
        assert [stage["percent"] for stage in ended["stages"]] == [100, 100, 100, 100]
        assert [stage["name"] for stage in ended["stages"]] == ["ingest", "upscale", "interpolate", "mux"]
        result = await fan.download(job["id"], tmp_path / "result.mp4")
        async with httpx.AsyncClient(trust_env=False) as plain:
            part = await plain.get(result["url"], headers={"Range": "bytes=0-99"})
            manifest = json.loads((await plain.get(result["manifest_url"])).content)
            thumbnails = [(await plain.get(each["url"])).content for each in result["thumbnails"]]
        redirect = await fan.http.get(f"/v1/jobs/{job['id']}/thumbnail", params={"at": 50})
    assert (part.status_code, len(part.content)) == (206, 100)
    assert redirect.status_code == 302
    assert all(picture.startswith(b"\xff\xd8\xff") for picture in thumbnails)
    assert len(thumbnails) == 3
    assert manifest["job_id"] == job["id"]
    assert {engine["role"] for engine in manifest["engines"]} >= {"upscale", "interpolate", "encode"}
    assert all(check["ok"] for check in manifest["verification"]["checks"])


async def test_each_change_of_state_says_what_it_did_to_the_credits(
    platform: Platform, tmp_path: Path
) -> None:
    async with customer(platform) as fan:
        job = await fan.open_job(GOOD["plain"](tmp_path), upscaler="lanczos")
        assert (job["status"], job["credit_effect"], job["credits_held"]) == ("CREATED", "held", 10)
        assert await fan.balance() == (90, 10)
        await fan.upload(job, tmp_path / "plain.mp4")
        ended = await fan.wait(job["id"])
        assert ended["credit_effect"] == "captured"
        steps = [(step["step"], step["credit_effect"], step["credits"]) for step in await fan.saga(job["id"])]
        history = (await fan.http.get("/v1/credits/history")).json()["data"]
    assert ("hold", "held", 10) in steps
    assert [step for step, _, _ in steps] == ["hold", "hold", "ingest", "pipeline", "capture"]
    assert ("capture", "captured", 10) in steps
    assert not any(effect == "released" for _, effect, _ in steps)
    assert {row["kind"] for row in history} == {"grant", "hold", "capture"}
    assert await books_violations(platform) == []


async def test_the_same_file_is_not_uploaded_twice(platform: Platform, tmp_path: Path) -> None:
    import hashlib

    source = GOOD["plain"](tmp_path)
    sha256 = hashlib.sha256(source.read_bytes()).hexdigest()
    async with customer(platform) as fan:
        first = await fan.open_job(source, announce={"sha256": sha256}, upscaler="lanczos")
        await fan.upload(first, source)
        await fan.wait(first["id"])
        second = await fan.open_job(source, announce={"sha256": sha256}, upscaler="lanczos", strength=0.5)
        assert second["duplicate"]
        assert second["upload"] is None
        assert second["source_video_id"] == first["source_video_id"]
        assert (await fan.wait(second["id"]))["status"] == "SUCCEEDED"
        assert await fan.balance() == (80, 0)


async def test_a_job_without_credits_is_refused_and_leaves_nothing(
    platform: Platform, tmp_path: Path
) -> None:
    source = GOOD["plain"](tmp_path)
    async with customer(platform, credits=9) as fan:
        upload = {"filename": "a.mp4", "bytes": source.stat().st_size, "content_type": "video/mp4"}
        answer = await fan.post("/v1/jobs", {"kind": "enhance", "source": {"upload": upload}})
        jobs = (await fan.http.get("/v1/videos/jobs")).json()["data"]
        assert await fan.balance() == (9, 0)
    assert answer.status_code == 402
    assert (answer.json()["code"], answer.json()["required"], answer.json()["available"]) == (
        "credits_short",
        10,
        9,
    )
    assert jobs == []
