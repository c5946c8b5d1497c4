"""Same-name stand-ins for the steps that work on pixels, so that a test can make one fail, wait or be slow.

Money and state stay real: a stand-in answers with the values that the engines would give, behind the same fence
(activities/reporting.py) that stops the real step when its job has ended.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from fractions import Fraction
from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from activities.reporting import Reporter
from contracts.enhance_steps import MuxRequest, PlanRequest, SegmentRequest
from contracts.errors import Code
from contracts.ids import JobId
from contracts.jobs import JobStatus
from contracts.kinds.enhance import EnhancePlan, SegmentResult, SegmentSpec
from contracts.maintenance import RetentionReport, RetentionRequest
from contracts.media import (
    Artifact,
    AudioInfo,
    Check,
    ColorInfo,
    EngineUse,
    MediaInfo,
    Thumbnail,
    Verification,
    VideoInfo,
)
from contracts.purchases import PurchaseNotice
from contracts.queues import Queue
from contracts.video_job import Ingested, JobInput, JobRef, Notice, PipelineResult
from db.engine import Database

Script = Callable[[], Awaitable[None]]


class StandIns:
    """Each step answers at once, unless `on` holds a script for it, which is awaited first.

    Keys are step names; a segment's is `enhance_segment/<index>`. `<job id>/` before it means that job alone.
    """

    def __init__(self, database: Database, *, segments: int = 3, credits: int = 10) -> None:
        self._database = database
        self.segments = segments
        self.credits = credits
        """The measured price."""
        self.on: dict[str, Script] = {}
        self.calls: dict[str, list[str]] = defaultdict(list)
        """By job, in the order of arrival."""
        self.notices: dict[str, list[str]] = defaultdict(list)

    def of(self, queue: Queue) -> list[Callable[..., Any]]:
        return {
            Queue.CORE: [],
            Queue.TRANSFER: [self.ingest, self.plan_enhance, self.mux_enhanced, self.clean_up, self.retain],
            Queue.GPU: [self.enhance_segment],
            Queue.PROVIDERS: [self.notify, self.notify_purchase],
        }[queue]

    @activity.defn
    async def ingest(self, job: JobInput) -> Ingested:
        await self._fenced(job.job_id, "ingest", JobStatus.INGESTED)
        return Ingested(info=INFO, source=SOURCE, credits=self.credits)

    @activity.defn
    async def plan_enhance(self, request: PlanRequest) -> EnhancePlan:
        await self._arrive(request.job_id, "plan_enhance")
        return plan(self.segments)

    @activity.defn
    async def enhance_segment(self, request: SegmentRequest) -> SegmentResult:
        await self._fenced(request.job_id, f"enhance_segment/{request.segment.index}")
        return segment_result(request.segment.index)

    @activity.defn
    async def mux_enhanced(self, request: MuxRequest) -> PipelineResult:
        await self._fenced(request.job_id, "mux_enhanced")
        assert [segment.index for segment in request.segments] == list(range(self.segments))
        return RESULT

    @activity.defn
    async def clean_up(self, request: JobRef) -> int:
        await self._arrive(request.job_id, "clean_up")
        return 0

    @activity.defn
    async def retain(self, request: RetentionRequest) -> RetentionReport:
        return RetentionReport()

    @activity.defn
    async def notify(self, notice: Notice) -> bool:
        self.notices[notice.job_id].append(notice.event)
        await self._arrive(notice.job_id, "notify")
        return True

    @activity.defn
    async def notify_purchase(self, notice: PurchaseNotice) -> bool:
        self.notices[notice.purchase_id].append(notice.event)
        await self._arrive(notice.purchase_id, "notify_purchase")
        return True

    async def _fenced(self, job_id: JobId, step: str, status: JobStatus = JobStatus.RUNNING) -> None:
        await Reporter(self._database, job_id, status=status).run(self._arrive(job_id, step))

    async def _arrive(self, job_id: str, step: str) -> None:
        self.calls[job_id].append(step)
        script = self.on.get(f"{job_id}/{step}") or self.on.get(step)
        if script is not None:
            await script()


class Gate:
    """A script that waits until the test opens it, beating meanwhile so that a cancellation gets through."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.opened = asyncio.Event()
        self.canceled = asyncio.Event()

    async def __call__(self) -> None:
        self.reached.set()
        try:
            while not self.opened.is_set():
                activity.heartbeat()
                await asyncio.wait({asyncio.ensure_future(self.opened.wait())}, timeout=0.1)
        except asyncio.CancelledError:
            self.canceled.set()
            raise


class Fails:
    """A script whose first `times` calls fail for good, as after all attempts of a step."""

    def __init__(self, code: Code, *, times: int = 1) -> None:
        self.code = code
        self.times = times

    async def __call__(self) -> None:
        if self.times > 0:
            self.times -= 1
            raise ApplicationError(f"injected {self.code}", type=self.code, non_retryable=True)


class Broken(Interceptor):
    """Steps that fail with an exception that nobody has foreseen, for as long as they are in `steps`."""

    def __init__(self) -> None:
        self.steps: set[tuple[str, str]] = set()
        """Workflow id and step."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _Breaking(next, self)


class _Breaking(ActivityInboundInterceptor):
    def __init__(self, next: ActivityInboundInterceptor, broken: Broken) -> None:
        super().__init__(next)
        self._broken = broken

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        info = activity.info()
        if (info.workflow_id, info.activity_type) in self._broken.steps:
            raise KeyError("a bug")
        return await super().execute_activity(input)


SOURCE = Artifact(key="raw/usr_x/vid_x/source", bytes=1_000_000, sha256="a" * 64, content_type="video/mp4")

INFO = MediaInfo(
    container="mp4",
    bytes=1_000_000,
    sha256="a" * 64,
    duration_s=Fraction(3),
    video=VideoInfo(
        codec="h264",
        pixel_format="yuv420p",
        bit_depth=8,
        width=320,
        height=180,
        average_fps=Fraction(30),
        frame_count=90,
        start_s=Fraction(0),
        duration_s=Fraction(3),
        variable_rate=False,
        color=ColorInfo(),
    ),
    audio=(
        AudioInfo(codec="aac", sample_rate=48_000, channels=2, start_s=Fraction(0), duration_s=Fraction(3)),
    ),
)

ENGINES = (
    EngineUse(role="decode", name="pyav", version="18.1.0"),
    EngineUse(role="upscale", name="ncnn animevideov3", version="1.0.20261020", weights_sha256="b" * 64),
    EngineUse(role="interpolate", name="opencv DIS", version="5.0.0"),
    EngineUse(role="encode", name="x264", version="165"),
)

RESULT = PipelineResult(
    result=Artifact(
        key="result/job_x/c/video.mp4", bytes=2_000_000, sha256="c" * 64, content_type="video/mp4"
    ),
    info=INFO,
    manifest=Artifact(key="result/job_x/c/manifest.json", bytes=2_000, sha256="d" * 64),
    thumbnails=(
        Thumbnail(
            at_percent=50,
            artifact=Artifact(key="result/job_x/c/thumbnail-50.jpg", bytes=9_000, sha256="e" * 64),
            width=640,
            height=360,
        ),
    ),
    verification=Verification(checks=(Check(name="frames", expected="180", found="180", ok=True),)),
    engines=ENGINES,
)


def plan(segments: int) -> EnhancePlan:
    """8 s a segment, as the real plan cuts long videos."""
    return EnhancePlan(
        fingerprint="f" * 64,
        fps_out=Fraction(60),
        width_out=640,
        height_out=360,
        out_frames=480 * segments,
        src_frames=240 * segments,
        time_base=Fraction(1, 90_000),
        src_start_pts=0,
        src_end_pts=720_000 * segments,
        nominal_gap_pts=3_000,
        segments=tuple(
            SegmentSpec(
                index=index,
                out_first=480 * index,
                out_end=480 * (index + 1),
                src_first_pts=720_000 * index,
                src_last_pts=720_000 * (index + 1),
                seek_pts=720_000 * index,
                src_frames=241,
            )
            for index in range(segments)
        ),
    )


def segment_result(index: int) -> SegmentResult:
    return SegmentResult(
        index=index,
        artifact=Artifact(
            key=f"work/job_01jd7xk3v8q2m4n6p8r0s2t4v6/segments/{'f' * 64}/{index:05d}",
            bytes=4_000_000,
            sha256=f"{index:064x}",
            content_type="video/mp4",
        ),
        frames=480,
        cuts=2,
        engines=ENGINES,
        wall_ms=120_000,
        upscale_ms=90_000,
        interpolate_ms=20_000,
    )
