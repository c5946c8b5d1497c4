"""Putting a job that was taken on into the hands of its workflow."""

from __future__ import annotations

import logging

from api.services import Services
from contracts.errors import EchoError
from contracts.video_job import JobInput
from workflows import client as workflow

log = logging.getLogger("echoshot.api")


async def start(services: Services, given: JobInput) -> None:
    """The job is committed, so the answer is 201 whatever happens here: the sweeper starts what was missed."""
    try:
        await services.temporal.call(lambda client: workflow.start_job(client, services.settings, given))
    except EchoError as error:
        services.metrics.unstarted.inc()
        log.warning("job %s is left to the sweeper: %s", given.job_id, error)
