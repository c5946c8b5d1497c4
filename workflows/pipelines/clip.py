"""`clip`: choose the ranges, after hearing the music when a wish speaks of it, then cut each clip on any worker.

Every wish stands alone: one that cannot be fulfilled costs nothing and leaves the others be.
"""

from __future__ import annotations

from temporalio.exceptions import ActivityError

from contracts.clip_steps import Choices, ChooseRequest, ClipsFinish, CutRequest
from contracts.errors import Code
from contracts.jobs import JobStatus
from contracts.kinds.clip import ClipFailed, ClipMade, ClipParams, Clips
from contracts.kinds.music import Analysis
from contracts.music_steps import AnalyseRequest
from contracts.video_job import Ingested, JobInput, PipelineResult
from workflows import steps
from workflows.faults import Fault, JobEnds
from workflows.parallel import each_of


async def clip(job: JobInput, ingested: Ingested) -> PipelineResult:
    params = ClipParams.model_validate(job.params)
    found, analysis = await _choose(job, ingested, params)
    outcomes = await each_of(
        steps.cut_clip(
            CutRequest(
                job_id=job.job_id,
                source=ingested.source,
                info=ingested.info,
                choice=choice,
                choices_total=len(found.choices),
            )
        )
        for choice in found.choices
    )
    made = tuple(outcome for outcome in outcomes if isinstance(outcome, ClipMade))
    failures = {
        choice.position: outcome
        for choice, outcome in zip(found.choices, outcomes, strict=True)
        if isinstance(outcome, ActivityError)
    }
    failed = found.failed + tuple(
        ClipFailed(position=position, code=Fault.of(error).code) for position, error in failures.items()
    )
    failed = tuple(sorted(failed, key=lambda each: each.position))
    if not made:
        _give_up(failed, failures)
    return await steps.finish_clips(
        ClipsFinish(
            job_id=job.job_id,
            made=made,
            failed=failed,
            analysis=analysis,
            credits=ingested.credits // len(params.clips) * len(made),
        )
    )


async def _choose(job: JobInput, ingested: Ingested, params: ClipParams) -> tuple[Choices, Analysis | None]:
    """The ranges; and the analysis, when one had to be made."""
    wish = ChooseRequest(job_id=job.job_id, video_id=job.video_id, info=ingested.info, params=params)
    found = await steps.choose_clips(wish)
    if not found.analysis_needed:
        return found, None
    try:
        analysis = await steps.analyse_music(
            AnalyseRequest(
                job_id=job.job_id, video_id=job.video_id, source=ingested.source, info=ingested.info
            )
        )
    except ActivityError as error:
        fault = Fault.of(error)
        if not fault.final or fault.code == Code.JOB_SETTLED:
            raise
        # No music in it: ranges of the user's own can be cut all the same.
        return await steps.choose_clips(wish.model_copy(update={"no_music": fault.code})), None
    return await steps.choose_clips(wish.model_copy(update={"analysis": analysis})), analysis


def _give_up(failed: tuple[ClipFailed, ...], failures: dict[int, ActivityError]) -> None:
    """Nothing was made. A fault of ours goes to support, who may try again; else the first wish's reason is the job's,
    and each clip is told its own."""
    for error in failures.values():
        if not Fault.of(error).final:
            raise error
    raise JobEnds(
        JobStatus.FAILED,
        failed[0].code,
        f"none of {len(failed)} clips could be made",
        product=Clips(made=(), failed=failed).model_dump(mode="json"),
    )
