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
from contracts.clip_steps import Choice, Choices, ChooseRequest, ClipsFinish, CutRequest
from contracts.enhance_steps import MuxRequest, PlanRequest, SegmentRequest
from contracts.errors import Code
from contracts.ids import JobId
from contracts.jobs import JobStatus
from contracts.kinds.clip import ClipFailed, ClipMade, Clips, ClipSpec, Cut
from contracts.kinds.enhance import EnhancePlan, SegmentResult, SegmentSpec
from contracts.kinds.music import (
    Analysis,
    Loudness,
    MusicSummary,
    Part,
    PartType,
    Section,
    SectionType,
    SongSummary,
)
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
from contracts.music_steps import AnalyseRequest
from contracts.purchases import PurchaseNotice
from contracts.queues import Queue
from contracts.video_job import Ingested, JobInput, JobRef, Notice, PipelineResult
from db.engine import Database

Script = Callable[[], Awaitable[None]]


class StandIns:
    """Each step answers at once, unless `on` holds a script for it, which is awaited first.

    Keys are step names; a segment's is `enhance_segment/<index>`, a clip's `cut_clip/<position>`. `<job id>/` before it
    means that job alone.
    """

    def __init__(self, database: Database, *, segments: int = 3, credits: int = 10) -> None:
        self._database = database
        self.segments = segments
        self.credits = credits
        """The measured price of an enhancement; other kinds cost what they were quoted."""
        self.on: dict[str, Script] = {}
        self.calls: dict[str, list[str]] = defaultdict(list)
        """By job, in the order of arrival."""
        self.notices: dict[str, list[str]] = defaultdict(list)

    def of(self, queue: Queue) -> list[Callable[..., Any]]:
        return {
            Queue.CORE: [],
            Queue.TRANSFER: [
                self.ingest, self.plan_enhance, self.mux_enhanced, self.analyse_music, self.choose_clips,
                self.cut_clip, self.finish_clips, self.clean_up, self.retain,
            ],
            Queue.GPU: [self.enhance_segment],
            Queue.PROVIDERS: [self.notify, self.notify_purchase],
        }[queue]  # fmt: skip

    @activity.defn
    async def ingest(self, job: JobInput) -> Ingested:
        await self._fenced(job.job_id, "ingest", JobStatus.INGESTED)
        credits = self.credits if job.kind == "enhance" else job.quote_credits
        return Ingested(info=INFO, source=SOURCE, credits=credits)

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
    async def analyse_music(self, request: AnalyseRequest) -> Analysis:
        await self._fenced(request.job_id, "analyse_music")
        return ANALYSIS

    @activity.defn
    async def choose_clips(self, request: ChooseRequest) -> Choices:
        """Of a video that nobody has analysed yet; a highlight is its first seconds."""
        await self._fenced(request.job_id, "choose_clips")
        wishes = list(enumerate(request.params.clips))
        of_music = {position for position, spec in wishes if spec.length is not None}
        if of_music and request.analysis is None and request.no_music is None:
            return Choices(analysis_needed=True)
        refused = of_music if request.no_music is not None else set[int]()
        return Choices(
            choices=tuple(choice(*wish, request.analysis) for wish in wishes if wish[0] not in refused),
            failed=tuple(ClipFailed(position=each, code=str(request.no_music)) for each in sorted(refused)),
        )

    @activity.defn
    async def cut_clip(self, request: CutRequest) -> ClipMade:
        await self._fenced(request.job_id, f"cut_clip/{request.choice.position}")
        return clip_made(request.job_id, request.choice)

    @activity.defn
    async def finish_clips(self, request: ClipsFinish) -> PipelineResult:
        await self._fenced(request.job_id, "finish_clips")
        clips = Clips(made=request.made, failed=request.failed, analysis=request.analysis)
        listed = an_object(f"result/{request.job_id}/c/clips.json", "application/json")
        return PipelineResult(
            result=listed, manifest=listed, product=clips.model_dump(mode="json"), credits=request.credits
        )

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


def an_object(key: str, content_type: str) -> Artifact:
    return Artifact(key=key, bytes=2_000, sha256="c" * 64, content_type=content_type)


ANALYSIS = Analysis(
    music=an_object("music/vid_x/c/music.json", "application/json"),
    strip=an_object("music/vid_x/c/strip.png", "image/png"),
    summary=MusicSummary(
        duration_s=90.0,
        parts=(Part(start_s=0.0, end_s=90.0, type=PartType.MUSIC, confidence=0.9),),
        sections=(
            Section(
                start_s=0.0, end_s=90.0, type=SectionType.CHORUS, label="A", energy=1.0, confidence=0.6, song=0
            ),
        ),
        highlights=(),
        loudness=Loudness(integrated_lufs=-12.0, range_lu=6.0, true_peak_dbtp=-1.0),
        engine=EngineUse(role="analyse", name="echoshot music", version="1"),
        songs=(
            SongSummary(
                start_s=0.0,
                end_s=90.0,
                tempo_bpm=120.0,
                tempo_confidence=0.9,
                beats_per_bar=4,
                downbeat_confidence=0.8,
                key="A minor",
                key_confidence=0.7,
            ),
        ),
    ),
)  # fmt: skip


def choice(position: int, spec: ClipSpec, analysis: Analysis | None) -> Choice:
    start, end = (0.0, float(spec.length)) if spec.length is not None else (spec.start, spec.end)
    assert start is not None
    assert end is not None
    cut = Cut(start_s=start, end_s=end, format=spec.format)
    return Choice(position=position, type=analysis and analysis.summary.sections[0].type, cut=cut)


def clip_made(job_id: JobId, choice: Choice) -> ClipMade:
    folder = f"result/{job_id}/clips/{choice.position:02d}/c"
    return ClipMade(
        position=choice.position,
        start_s=choice.cut.start_s,
        end_s=choice.cut.end_s,
        type=choice.type,
        format=choice.cut.format,
        width=320,
        height=180,
        copied="all",
        video=an_object(f"{folder}/clip.mp4", "video/mp4"),
        preview=an_object(f"{folder}/preview.webp", "image/webp"),
        poster=an_object(f"{folder}/poster.jpg", "image/jpeg"),
        info=INFO,
        verification=Verification(checks=(Check(name="frames", expected="90", found="90", ok=True),)),
    )
