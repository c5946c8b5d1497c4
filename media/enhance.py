"""A whole enhancement on this machine, without the platform: probe, plan, segments in parallel, mux, verify.

Finished segments stay in a folder beside the result until the whole is done; started again with the same source and
wishes, only the missing ones are made.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from contracts.base import Contract
from contracts.errors import Code, EchoError
from contracts.kinds.enhance import EnhanceParams, EnhancePlan, SegmentSpec, SegmentStats
from contracts.media import EngineUse, Manifest, MediaInfo
from media import manifest
from media.progress import Progress, silent
from media.sandbox import SandboxPool
from media.tasks import MuxTask, PlanTask, ProbeTask, SegmentTask, Verified, VerifyTask

T = TypeVar("T", bound=Contract)

STALL_S = 180
"""Longest silence of an engine. One tile of the slowest network takes some 10 s on a busy core."""


def enhance(
    source: Path, out: Path, params: EnhanceParams, *, workers: int, progress: Progress = silent
) -> Manifest:
    """Writes `out` and `out`.manifest.json. Progress: stages ingest, upscale, interpolate, mux.

    Raises EchoError with the code of what is wrong with the source or with an engine; RESULT_UNVERIFIED when the
    result does not pass its own checks.
    """
    return asyncio.run(_enhance(source.absolute(), out.absolute(), params, workers, progress))


async def _enhance(
    source: Path, out: Path, params: EnhanceParams, workers: int, progress: Progress
) -> Manifest:
    if source == out:
        raise EchoError(Code.BAD_REQUEST, "the result would overwrite its source")
    work = out.with_name(f".{out.name}.work")
    async with SandboxPool(workers) as pool:
        info = _as(
            MediaInfo,
            await pool.run("probe", ProbeTask(path=str(source)), on_progress=progress, stall_s=STALL_S),
        )
        plan_task = PlanTask(path=str(source), info=info, params=params)
        plan = _as(EnhancePlan, await pool.run("plan", plan_task, stall_s=STALL_S))
        work.mkdir(parents=True, exist_ok=True)
        run = _Run(source, info, plan, params, work, progress)
        stats = await run.segments(pool)
        joined = work / "joined.mp4"
        mux = MuxTask(
            source=str(source), source_info=info, plan=plan, out=str(joined),
            segments=tuple(str(run.path(segment)) for segment in plan.segments),
        )  # fmt: skip
        await pool.run("mux", mux, on_progress=progress, stall_s=STALL_S)
        verify = VerifyTask(result=str(joined), source_info=info, plan=plan)
        verified = _as(Verified, await pool.run("verify", verify, on_progress=progress, stall_s=STALL_S))
    if not verified.verification.ok:
        wrong = [
            f"{c.name}: {c.expected} expected, {c.found} found"
            for c in verified.verification.checks
            if not c.ok
        ]
        raise EchoError(Code.RESULT_UNVERIFIED, "; ".join(wrong))
    manifest.publish(joined, out)
    record = Manifest(
        job_id="local",
        kind="enhance",
        params=params.model_dump(),
        source=info,
        result=verified.info,
        engines=_engines(stats),
        verification=verified.verification,
        segments=len(plan.segments),
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    manifest.write(out.with_name(f"{out.name}.manifest.json"), record)
    shutil.rmtree(work)
    return record


class _Run:
    """The segments of one run, and how far all of them are together."""

    def __init__(
        self,
        source: Path,
        info: MediaInfo,
        plan: EnhancePlan,
        params: EnhanceParams,
        work: Path,
        progress: Progress,
    ) -> None:
        self._source = source
        self._info = info
        self._plan = plan
        self._params = params
        self._work = work
        self._progress = progress
        self._totals = {
            "upscale": sum(segment.src_frames for segment in plan.segments),
            "interpolate": plan.out_frames,
        }
        self._done: dict[tuple[str, int], int] = {}

    def path(self, segment: SegmentSpec) -> Path:
        return self._work / f"{self._plan.fingerprint[:32]}-{segment.index:05}.mp4"

    async def segments(self, pool: SandboxPool) -> list[SegmentStats]:
        """Makes those that are missing. The first failure cancels, and thereby kills, all others."""
        jobs = [asyncio.create_task(self._segment(pool, segment)) for segment in self._plan.segments]
        try:
            return await asyncio.gather(*jobs)
        finally:
            for job in jobs:
                job.cancel()
            with contextlib.suppress(BaseException):
                await asyncio.gather(*jobs, return_exceptions=True)

    async def _segment(self, pool: SandboxPool, segment: SegmentSpec) -> SegmentStats:
        stats_file = self.path(segment).with_suffix(".json")
        if self.path(segment).is_file() and stats_file.is_file():
            self._report(segment, "upscale", segment.src_frames)
            self._report(segment, "interpolate", segment.out_end - segment.out_first)
            return SegmentStats.model_validate_json(stats_file.read_text(encoding="utf-8"))
        task = SegmentTask(
            source=str(self._source), info=self._info, plan=self._plan, segment=segment, params=self._params,
            out=str(self.path(segment)),
        )  # fmt: skip

        def report(stage: str, done: int, total: int) -> None:
            self._report(segment, stage, done)

        stats = _as(SegmentStats, await pool.run("segment", task, on_progress=report, stall_s=STALL_S))
        stats_file.write_text(stats.model_dump_json(), encoding="utf-8")
        return stats

    def _report(self, segment: SegmentSpec, stage: str, done: int) -> None:
        self._done[stage, segment.index] = done
        together = sum(count for (name, _), count in self._done.items() if name == stage)
        self._progress(stage, together, self._totals[stage])


def _engines(stats: list[SegmentStats]) -> tuple[EngineUse, ...]:
    """Each once; segments may have been made by different ones."""
    return tuple(dict.fromkeys(use for segment in stats for use in segment.engines))


def _as(kind: type[T], value: Contract) -> T:
    assert isinstance(value, kind)
    return value
