"""`music`: one step, since a song is heard in seconds."""

from __future__ import annotations

from contracts.music_steps import AnalyseRequest
from contracts.video_job import Ingested, JobInput, PipelineResult
from workflows import steps


async def music(job: JobInput, ingested: Ingested) -> PipelineResult:
    analysis = await steps.analyse_music(
        AnalyseRequest(job_id=job.job_id, video_id=job.video_id, source=ingested.source, info=ingested.info)
    )
    return PipelineResult(
        result=analysis.music,
        manifest=analysis.music,
        engines=(analysis.summary.engine,),
        product=analysis.model_dump(mode="json"),
    )
