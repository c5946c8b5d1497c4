"""One pipeline per job kind: an async function that turns a checked source into a verified result.

A pipeline runs inside the job's workflow, so that support sees every segment on one timeline and finance reads
one history per saga. It may be run again from the start: finished work is found in the store, not redone.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from contracts.video_job import Ingested, JobInput, PipelineResult
from workflows.pipelines.clip import clip
from workflows.pipelines.enhance import enhance
from workflows.pipelines.music import music

Pipeline = Callable[[JobInput, Ingested], Awaitable[PipelineResult]]

PIPELINES: dict[str, Pipeline] = {"enhance": enhance, "music": music, "clip": clip}
