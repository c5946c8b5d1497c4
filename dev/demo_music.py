"""The demo's chapter on music: a song whose structure is known is analysed, and its best parts are cut out.

The song is composed here, so what comes back can be held against what was played.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from contracts.kinds.clip import ClipFormat
from dev.demo_money import Customer, echoshot
from dev.failures import DevFailure
from dev.footage import look_at
from dev.song import FPS, borders, write_song

NEAR_S = 0.5
"""How far a section's border may lie from the composer's: the strict measure of the field."""
RANGE_S = (20, 30)
"""Into the first chorus."""


async def music(customer: Customer, folder: Path) -> dict[str, Any]:
    """Writes `sections.png` and two clips into `folder`; the fields that `summary.json` gains."""
    environment, token = customer.environment, customer.token
    song = await asyncio.to_thread(write_song, folder / "song.mp4")
    strip, into = folder / "sections.png", ("--output-dir", str(folder), "--force")
    await echoshot(environment, token, "music", str(song), "--strip", str(strip), "--force")
    job = (await customer.get("/v1/videos/jobs"))["data"][0]
    video_id = job["source_video_id"]
    known = (await customer.get(f"/v1/videos/{video_id}/music"))["summary"]
    highlight = ("--length", "15", "--type", "chorus", "--format", ClipFormat.VERTICAL.value)
    await echoshot(environment, token, "clips", str(song), *highlight, *into)
    start, end = map(str, RANGE_S)
    await echoshot(environment, token, "clips", video_id, "--start", start, "--end", end, *into)
    clips = (await customer.get(f"/v1/videos/{video_id}/clips"))["data"]
    files = (f"song-chorus-15s-{ClipFormat.VERTICAL}.mp4", f"song-{start}-{end}s-{ClipFormat.ORIGINAL}.mp4")
    made = [
        await asyncio.to_thread(_checked, clip, folder / file)
        for clip, file in zip(reversed(clips), files, strict=True)
    ]
    return {"music": _found(job, known, strip), "clips": made}


def _found(job: Mapping[str, Any], known: Mapping[str, Any], strip: Path) -> dict[str, Any]:
    starts = [section["start_s"] for section in known["sections"]]
    begun, ended = (datetime.fromisoformat(job[at]) for at in ("started_at", "finished_at"))
    return {
        "job_id": job["id"],
        "seconds": round((ended - begun).total_seconds(), 2),
        "bpm": known["songs"][0]["tempo_bpm"],
        "sections": [
            {"start": section["start_s"], "end": section["end_s"]}
            | {name: section[name] for name in ("type", "label", "confidence")}
            for section in known["sections"]
        ],
        "composed": [{"start": start, "end": end, "type": type_} for start, end, type_ in borders()],
        "as_composed": all(min(abs(at - start) for at in starts) < NEAR_S for start, _, _ in borders()),
        "strip": str(strip),
        "credits": job["quote"]["credits"],
    }


def _checked(clip: Mapping[str, Any], file: Path) -> dict[str, Any]:
    """What the API tells of a clip, with the size that decoding finds. Raises `DevFailure` when it lasts otherwise."""
    found = look_at(file)
    if found.sha256 != clip["sha256"] or abs(found.duration - (clip["end"] - clip["start"])) > 1 / FPS:
        raise DevFailure(f"{file} is not the clip that was promised: {found}")
    told = {name: clip[name] for name in ("id", "start", "end", "type", "format", "credits")}
    return {"file": str(file), **told, "width": found.width, "height": found.height}


def report(summary: Mapping[str, Any]) -> str:
    """Lines for people, Korean beside English."""
    found, clips = summary["music"], summary["clips"]
    song = "  ".join(f"{section['start']:.0f}s {section['type']}" for section in found["sections"])
    lines = [
        f"  Song / 노래          {found['bpm']:.1f} bpm  {song}",
        f"  As composed / 일치   {found['as_composed']}",
    ]
    lines += [
        f"  Clip / 클립          {clip['file']}  {clip['start']:.1f}-{clip['end']:.1f} s, {clip['type']}, "
        f"{clip['width']}x{clip['height']}"
        for clip in clips
    ]
    return "\n".join([*lines, f"  Strip / 구간 그림    {found['strip']}"])
