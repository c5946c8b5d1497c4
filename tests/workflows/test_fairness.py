"""A user with a two-hour video does not make the next user wait for two hours."""

from __future__ import annotations

from temporalio.worker import Worker

from activities.faults import FaultInterceptor
from contracts.queues import Queue
from contracts.video_job import JobInput
from tests.workflows.house import House, until, workers

SEGMENTS = 20


async def test_workers_take_turns_between_users_not_between_segments(closed_house: House) -> None:
    house, order = closed_house, list[str]()
    house.stand_ins.segments = SEGMENTS
    async with workers(house, Queue.CORE, Queue.TRANSFER, Queue.PROVIDERS):
        first, second = await queued(house, order), await queued(house, order)
        async with Worker(
            house.client,
            task_queue=house.settings.queue_prefix + Queue.GPU,
            activities=house.stand_ins.of(Queue.GPU),
            interceptors=[FaultInterceptor()],
            max_concurrent_activities=1,
        ):
            for job in (first, second):
                await house.handle(job).result()
    # First come, first served would give the second user nothing until the first one's last segment.
    early = order[:SEGMENTS]
    assert SEGMENTS / 4 <= early.count(second.job_id) <= SEGMENTS * 3 / 4, order


async def queued(house: House, order: list[str]) -> JobInput:
    """A job of a new user, all of whose segments wait for a worker; `order` notes when each is served."""
    job = await house.open_job()

    async def served() -> None:
        order.append(job.job_id)

    for index in range(SEGMENTS):
        house.stand_ins.on[f"{job.job_id}/enhance_segment/{index}"] = served
    handle = await house.start(job)

    async def all_wait() -> bool:
        return len((await handle.describe()).raw_description.pending_activities) == SEGMENTS

    await until(all_wait)
    return job
