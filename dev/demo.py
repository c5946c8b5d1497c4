"""One real clip and one song through the whole platform, as a user would send them, and a check of what came back.

The platform is only used from outside: its command line sends the clip, its REST API grants credits and tells the job's
story, and the result is decoded here, by nothing of ours.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx
from temporalio.client import Client

from contracts.jobs import Attention
from contracts.media import Check
from dev.apiclient import api_of, login
from dev.demo_money import Customer, money
from dev.demo_music import music
from dev.demo_music import report as music_report
from dev.failures import DevFailure
from dev.footage import Footage, demo_clip, look_at
from dev.platform import running_environment, running_platform

OUT_DIR = Path("build/demo")
CREDITS = 100


async def demo(data_dir: Path, video: Path | None) -> int:
    """0 when the job succeeded, its result passed every check, the song was understood and the books balance; else 1.

    Raises `DevFailure`.
    """
    if video is not None and not video.is_file():
        raise DevFailure(f"There is no file {video} / 파일이 없습니다: {video}")
    OUT_DIR.mkdir(parents=True, exist_ok=True)
    _say("Starting the platform", "플랫폼을 시작합니다")
    async with _platform(data_dir) as environment:
        clip = video or await asyncio.to_thread(demo_clip, OUT_DIR / "source.mp4")
        visit = await Visit.begin(environment)
        _say(f"Sending {clip.name}", f"{clip.name} 전송")
        exit_code = await visit.enhance(clip, OUT_DIR / "result.mp4")
        if exit_code:
            raise DevFailure(f"echoshot enhance ended with status {exit_code}; logs: {data_dir / 'logs'}")
        summary = await visit.summary(clip, OUT_DIR / "result.mp4")
        customer = Customer(environment, visit.token)
        _say("Finding the structure of a song, cutting clips from it", "노래의 구조를 찾고 클립을 만듭니다")
        summary |= await music(customer, OUT_DIR)
        _say("Buying credits, paying a job by card, refunding another", "크레딧 구매, 카드 결제, 환불")
        summary |= await money(environment, customer, OUT_DIR)
        (OUT_DIR / "summary.json").write_text(json.dumps(summary, indent=2, ensure_ascii=False) + "\n")
        _report(summary, environment)
    sound = summary["verification"]["ok"] and summary["music"]["as_composed"] and summary["books"]["balanced"]
    return 0 if sound else 1


@asynccontextmanager
async def _platform(data_dir: Path) -> AsyncIterator[Mapping[str, str]]:
    """The environment of the platform that runs on `data_dir` already (`make up`), or of one just for the demo."""
    running = running_environment(data_dir)
    if running is not None:
        yield running
        return
    async with running_platform(data_dir) as platform:
        yield platform.environment


@dataclass
class Visit:
    """A new user with granted credits, and what the API tells them."""

    environment: Mapping[str, str]
    token: str
    available_before: int

    @classmethod
    async def begin(cls, environment: Mapping[str, str]) -> Visit:
        name = f"demo-{uuid4().hex[:8]}"
        token = await login(environment, name, "")
        admin = await login(environment, "demo-admin", "admin")
        async with api_of(environment, admin) as api:
            grant = {"user": {"subject": name}, "credits": CREDITS, "bucket": "promo", "reason": "demo"}
            async with api_of(environment, token) as own:
                (await own.get("/v1/me")).raise_for_status()  # the user exists from the first request on
            answer = await api.post(
                "/v1/admin/credits/grants", json=grant, headers={"Idempotency-Key": f"{name}-grant"}
            )
            if answer.is_error:
                raise DevFailure(f"granting credits failed: {answer.status_code} {answer.text}")
        visit = cls(environment, token, 0)
        visit.available_before = (await visit._get("/v1/credits/balance"))["available"]
        return visit

    async def enhance(self, clip: Path, result: Path) -> int:
        """`echoshot enhance` on this very terminal, so that its bars are live; its exit code."""
        command = shutil.which("echoshot", path=str(Path(sys.executable).parent)) or "echoshot"
        result.unlink(missing_ok=True)
        process = await asyncio.create_subprocess_exec(
            *(command, "enhance", str(clip), "--output", str(result)),
            env={
                **os.environ,
                "ECHOSHOT_API_URL": self.environment["ECHOSHOT_PUBLIC_URL"],
                "ECHOSHOT_TOKEN": self.token,
            },
        )
        ended, stuck = asyncio.create_task(process.wait()), asyncio.create_task(self._needs_support())
        try:
            await asyncio.wait({ended, stuck}, return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                # Support would have three days to repair it; a demo has nobody who looks.
                process.send_signal(signal.SIGINT)
                await ended
                raise DevFailure(f"the job needs support: {stuck.result()}")
            return ended.result()
        finally:
            stuck.cancel()

    async def _needs_support(self) -> str:
        """Returns the address of the job's workflow in the Web UI once a step has failed for good."""
        while True:
            await asyncio.sleep(2)
            jobs = (await self._get("/v1/videos/jobs"))["data"]
            if jobs and jobs[0]["attention"] == Attention.FAULT:
                saga = await self._get(jobs[0]["saga_url"])
                return _workflow_link(self.environment, saga["workflow_id"])

    async def summary(self, clip: Path, result_file: Path) -> dict[str, Any]:
        """The fields of `summary.json`."""
        job = (await self._get("/v1/videos/jobs"))["data"][0]
        result = await self._get(f"/v1/jobs/{job['id']}/result")
        saga = await self._get(job["saga_url"])
        balance = await self._get("/v1/credits/balance")
        async with httpx.AsyncClient(trust_env=False) as client:
            manifest = (await client.get(result["manifest_url"])).raise_for_status().json()
        source, made = await asyncio.to_thread(look_at, clip), await asyncio.to_thread(look_at, result_file)
        checks = _checks(source, made, result)
        run_id, history_length = await self._workflow(saga["workflow_id"])
        return {
            "job_id": job["id"],
            "status": job["status"],
            "stages": [
                {"name": stage["name"], "state": stage["state"], "seconds": _seconds(stage)}
                for stage in job["stages"]
            ],
            "source": asdict(source),
            "result": asdict(made) | {"file": str(result_file)},
            "credits": {
                "before": self.available_before,
                "held": _credits(saga, "held", "hold_adjusted"),
                "captured": _credits(saga, "captured"),
                "after": balance["available"],
            },
            "workflow_id": saga["workflow_id"],
            "run_id": run_id,
            "history_length": history_length,
            "engines": [
                f"{engine['role']}: {engine['name']} {engine['version']}" for engine in manifest["engines"]
            ],
            "verification": {
                "ok": all(check.ok for check in checks)
                and all(c["ok"] for c in manifest["verification"]["checks"]),
                "here": [check.model_dump() for check in checks],
                "platform": manifest["verification"]["checks"],
            },
        }

    async def _get(self, url: str) -> Any:
        async with api_of(self.environment, self.token) as api:
            answer = await api.get(url, headers={"Accept": "application/json"})
            return answer.raise_for_status().json()

    async def _workflow(self, workflow_id: str) -> tuple[str, int]:
        client = await Client.connect(
            self.environment["TEMPORAL_ADDRESS"], namespace=self.environment["TEMPORAL_NAMESPACE"]
        )
        described = await client.get_workflow_handle(workflow_id).describe()
        return described.run_id, described.history_length


def _checks(source: Footage, made: Footage, result: Mapping[str, Any]) -> list[Check]:
    """What an enhanced clip owes its source: size, rate, length, sound in step, the very bytes that were promised."""
    even = [side * 2 for side in (source.width, source.height)]
    frames = round(source.duration * 60)
    rows: list[tuple[str, object, object, bool]] = [
        ("width", even[0], made.width, abs(made.width - even[0]) <= 1),
        ("height", even[1], made.height, abs(made.height - even[1]) <= 1),
        ("frames per second", 60, made.fps, abs(made.fps - max(60, source.fps)) < 0.01),
        ("frames", frames, made.frames, source.fps > 60 or abs(made.frames - frames) <= 1),
        ("duration, s", source.duration, made.duration, abs(made.duration - source.duration) <= 1 / 60),
        ("audio tracks", source.audio_tracks, made.audio_tracks, made.audio_tracks == source.audio_tracks),
        (
            "sound after picture, s",
            source.audio_offset,
            made.audio_offset,
            abs(made.audio_offset - source.audio_offset) <= 1 / 60,
        ),
        ("bytes", result["bytes"], made.bytes, made.bytes == result["bytes"]),
        ("sha256", result["sha256"], made.sha256, made.sha256 == result["sha256"]),
    ]
    return [Check(name=name, expected=str(want), found=str(found), ok=ok) for name, want, found, ok in rows]


def _credits(saga: Mapping[str, Any], *effects: str) -> int:
    """The amount that the last saga step with one of `effects` speaks of."""
    return next((step["credits"] for step in reversed(saga["steps"]) if step["credit_effect"] in effects), 0)


def _seconds(stage: Mapping[str, Any]) -> float | None:
    if stage["started_at"] is None or stage["finished_at"] is None:
        return None
    begun, ended = (datetime.fromisoformat(stage[key]) for key in ("started_at", "finished_at"))
    return round((ended - begun).total_seconds(), 2)


def _report(summary: Mapping[str, Any], environment: Mapping[str, str]) -> None:
    source, result, spent = summary["source"], summary["result"], summary["credits"]
    bought, refund, books = summary["purchase"], summary["refund"], summary["books"]
    for check in summary["verification"]["here"]:
        print(f"  {'ok  ' if check['ok'] else 'FAIL'} {check['name']}: {check['found']}")
    workflow = _workflow_link(environment, summary["workflow_id"])
    print(
        f"""
  {_size(source)}  ->  {_size(result)}
  Credits / 크레딧     {spent["before"]} - {spent["captured"]} = {spent["after"]}
{music_report(summary)}
  Bought / 구매        {bought["credits"]} credits, {bought["amount_krw"]:,} won ({bought["provider"]})
  Refunded / 환불      {refund["amount_krw"]:,} won ({refund["reason"]})
  Books / 장부         {books["rows"]} rows, balanced: {books["balanced"]}
  Differences / 차이   {books["reconciliation_differences"]}
  Journal, receipt     {OUT_DIR / "journal.jsonl"}, {OUT_DIR / "receipt.json"}
  Result / 결과        {result["file"]}
  Summary / 요약       {OUT_DIR / "summary.json"}
  Workflow             {workflow}/{summary["run_id"]}
  API docs             {environment["ECHOSHOT_PUBLIC_URL"]}/docs

  `make up` opens these addresses again / `make up`을 실행하면 위 주소가 다시 열립니다
""",
        flush=True,
    )


def _workflow_link(environment: Mapping[str, str], workflow_id: str) -> str:
    ui, namespace = environment.get("ECHOSHOT_TEMPORAL_UI_URL", ""), environment["TEMPORAL_NAMESPACE"]
    return f"{ui}/namespaces/{namespace}/workflows/{quote(workflow_id, safe='')}"


def _size(footage: Mapping[str, Any]) -> str:
    return f"{footage['width']}x{footage['height']} at {footage['fps']:g} fps"


def _say(english: str, korean: str) -> None:
    print(f"{english} / {korean} ...", flush=True)
