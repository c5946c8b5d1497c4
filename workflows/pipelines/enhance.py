"""`enhance`: plan, every segment on any GPU worker, then join and verify."""

from __future__ import annotations

from contracts.enhance_steps import MuxRequest, PlanRequest, SegmentRequest
from contracts.kinds.enhance import EnhanceParams
from contracts.video_job import Ingested, JobInput, PipelineResult
from workflows import steps
from workflows.parallel import all_of


async def enhance(job: JobInput, ingested: Ingested) -> PipelineResult:
    params = EnhanceParams.model_validate(job.params)
    source, info = ingested.source, ingested.info

    plan = await steps.plan_enhance(PlanRequest(job_id=job.job_id, source=source, info=info, params=params))
    # The lists of segments and of tracks would otherwise ride in each segment: N² bytes of history.
    shared = plan.model_copy(update={"segments": ()})
    picture = info.model_copy(update={"audio": ()})

    finished = await all_of(
        steps.enhance_segment(
            SegmentRequest(
                job_id=job.job_id,
                source=source,
                info=picture,
                params=params,
                plan=shared,
                segment=segment,
                segments_total=len(plan.segments),
            )
        )
        for segment in plan.segments
    )

    return await steps.mux_enhanced(
        MuxRequest(
            job_id=job.job_id,
            source=source,
            info=info,
            params=params,
            plan=plan,
            segments=tuple(finished),
        )
    )
