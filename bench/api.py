"""How fast the API answers a crowd, and how soon progress reaches a client.

    python -m bench.api [--users 100] [--seconds 20]

Each user is one phone: it asks for its job, its list or its balance about once a second, on a connection of its
own. Meanwhile one job's progress is written to the database as workers do, and a client on the job's event stream
notes when each report arrives. The crowd runs in a process of its own, on the same cores as the API.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from httpx_sse import aconnect_sse

from contracts.ids import JobId
from contracts.jobs import JobStatus
from contracts.video_job import StatusChange
from db import jobs, progress
from db.engine import Database
from dev.platform import Platform, running_platform
from tests.e2e.driver import Customer, customer

SETTLE_S = 5.0
"""After the crowd's jobs were opened in one burst, whose hundred workflows start on the same two cores."""
PAUSE_S = 1.0
"""Between a phone's requests."""
UPLOAD = {"filename": "stage.mp4", "bytes": 1_000_000, "content_type": "video/mp4"}


@dataclass
class Answers:
    ms: list[float] = field(default_factory=list[float])
    failures: int = 0

    def summary(self) -> dict[str, float | int]:
        ordered = sorted(self.ms)
        return {
            "requests": len(ordered),
            "failures": self.failures,
            "mean_ms": round(statistics.fmean(ordered), 1),
            "p50_ms": round(ordered[len(ordered) // 2], 1),
            "p99_ms": round(ordered[int(len(ordered) * 0.99)], 1),
        }


async def phone(user: Customer, job_id: str, until: float, answers: Answers) -> None:
    paths = (f"/v1/jobs/{job_id}", f"/v1/jobs/{job_id}", "/v1/videos/jobs", "/v1/credits/balance")
    await asyncio.sleep(random.random() * PAUSE_S)
    while time.monotonic() < until:
        started = time.perf_counter()
        answer = await user.http.get(random.choice(paths))
        answers.ms.append((time.perf_counter() - started) * 1000)
        answers.failures += answer.status_code != 200
        await asyncio.sleep(random.uniform(0.5, 1.5) * PAUSE_S)


async def report_progress(platform: Platform, job_id: JobId, until: float, sent: dict[int, float]) -> None:
    """Half a percent every half second, as a worker's reporter writes it."""
    database = Database(platform.environment["ECHOSHOT_DATABASE_URL"], pool_size=1)
    async with database.transaction() as session:
        await progress.declare_stages(
            session, job_id, {"ingest": 1, "upscale": 1000, "interpolate": 1, "mux": 1}
        )
    for status in (JobStatus.INGESTED, JobStatus.QUEUED, JobStatus.RUNNING):
        async with database.transaction() as session:
            await jobs.set_status(session, StatusChange(job_id=job_id, status=status))
    done = 0
    while time.monotonic() < until:
        await asyncio.sleep(0.5)
        done += 10
        sent[done // 10] = time.perf_counter()
        async with database.transaction() as session:
            await progress.report(session, job_id, "upscale", 0, done, 1000)
    await database.aclose()


async def watch(user: Customer, job_id: str, seen: dict[int, float]) -> None:
    async with aconnect_sse(user.http, "GET", f"/v1/jobs/{job_id}/events") as source:
        async for event in source.aiter_sse():
            for stage in json.loads(event.data)["stages"]:
                if stage["name"] == "upscale":
                    seen.setdefault(stage["percent"], time.perf_counter())


async def measure(users: int, seconds: float) -> dict[str, object]:
    with tempfile.TemporaryDirectory(prefix="echoshot-bench-") as name:
        async with running_platform(Path(name)) as platform:
            crowd = [customer(platform, credits=10) for _ in range(users)]
            people = [await each.__aenter__() for each in crowd]
            answers, sent, seen = Answers(), dict[int, float](), dict[int, float]()
            opened = [
                (await person.post("/v1/jobs", {"kind": "enhance", "source": {"upload": UPLOAD}})).json()[
                    "id"
                ]
                for person in people
            ]
            await asyncio.sleep(SETTLE_S)
            watching = asyncio.create_task(watch(people[0], opened[0], seen))
            until = time.monotonic() + seconds
            await asyncio.gather(
                report_progress(platform, JobId(opened[0]), until, sent),
                *(phone(person, job, until, answers) for person, job in zip(people, opened, strict=True)),
            )
            await asyncio.sleep(1)
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            for each in crowd:
                await each.__aexit__(None, None, None)
    delays = [(seen[percent] - at) * 1000 for percent, at in sent.items() if percent in seen]
    return {
        "users": users,
        **answers.summary(),
        "target": "mean < 50 ms, P99 < 250 ms",
        "progress_reports": len(sent),
        "progress_seen": len(delays),
        "progress_mean_ms": round(statistics.fmean(delays), 1),
        "progress_max_ms": round(max(delays), 1),
        "progress_target": "< 1000 ms",
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.api", description=__doc__)
    parser.add_argument("--users", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=20)
    options = parser.parse_args()
    for name, value in asyncio.run(measure(options.users, options.seconds)).items():
        print(f"{name:>18}  {value}")


if __name__ == "__main__":
    main()
