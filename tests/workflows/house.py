"""One platform without an API: real Temporal, real PostgreSQL, the real core worker and payment steps; pixels and
notices by stand-ins."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise
from typing import Any
from uuid import uuid4

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType, ResetReapplyExcludeType
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.testing import TimeSkipper, TimeSkippingConfig
from temporalio.worker import Interceptor, Worker

from activities import Activity, activities_of
from activities.faults import FaultInterceptor
from activities.rooms import Rooms, open_rooms
from contracts.jobs import Attention, JobEvent
from contracts.kinds.base import JobParams
from contracts.ledger import Balance, Bucket
from contracts.pricing import Quote
from contracts.queues import Queue
from contracts.settings import Settings
from contracts.timing import JobDeadlines
from contracts.video_job import JobInput, JobOutcome
from db import books, events, jobs, ledger, saga_log, settlement, users, videos
from db.tables import Job, User, Video
from tests.workflows.prepared import prepared_runner
from tests.workflows.stand_ins import Broken, StandIns
from workflows.client import start_job, starter
from workflows.registry import WORKFLOWS
from workflows.video_job import VideoJobWorkflow

Handle = WorkflowHandle[VideoJobWorkflow, JobOutcome]
STUCK_S = 30
"""After this long a workflow's task is taken for one that will never end."""


@dataclass
class House:
    settings: Settings
    client: Client
    rooms: Rooms
    stand_ins: StandIns
    interceptors: dict[Queue, list[Interceptor]] = field(default_factory=lambda: defaultdict(list))
    broken: Broken = field(default_factory=Broken)

    # ---- what an API would do ---------------------------------------------------------------------------

    async def user(self, credits: int = 100) -> User:
        async with self.rooms.database.transaction() as session:
            user = await users.ensure_user(
                session, issuer="https://issuer.test", subject=uuid4().hex, email="", locale="ko"
            )
            if credits:
                await self._grant(session, user, credits)
        return user

    async def grant(self, job: JobInput, credits: int) -> None:
        async with self.rooms.database.transaction() as session:
            user = await users.get_user(session, job.user_id)
            assert user is not None
            await self._grant(session, user, credits)

    async def _grant(self, session, user: User, credits: int) -> None:
        await settlement.grant_credits(
            session,
            user_id=user.id,
            credits=credits,
            bucket=Bucket.PAID,
            key=uuid4().hex,
            actor="admin:test",
            reason="test",
        )

    async def open_job(
        self,
        *,
        credits: int = 100,
        quote: int | Quote = 10,
        uploaded: bool = True,
        kind: str = "enhance",
        params: JobParams | None = None,
        again: JobInput | None = None,
        deadlines: JobDeadlines | None = None,
    ) -> JobInput:
        """A user with `credits`, a video, and a job with `quote` of them held, as after POST /jobs. `again`: user and
        video of that job."""
        user = await self.user(credits) if again is None else None
        if isinstance(quote, int):
            quote = Quote(credits=quote, started_minutes=1, credits_per_minute=quote, basis="assumed")
        async with self.rooms.database.transaction() as session:
            if user is not None:
                video = await self.source(session, user, uploaded)
            else:
                assert again is not None
                user = await users.get_user(session, again.user_id)
                video = await videos.get_video(session, again.user_id, again.video_id)
            assert user is not None
            assert video is not None
            job = await settlement.open_job(
                session,
                user=user,
                kind=kind,
                params={} if params is None else params.model_dump(mode="json"),
                video=video,
                quote=quote,
                uploaded=uploaded,
            )
            await session.refresh(video)
            return jobs.job_input(job, video, deadlines or self.settings.deadlines)

    async def source(self, session: AsyncSession, user: User, uploaded: bool) -> Video:
        video = await videos.create_source(
            session,
            user_id=user.id,
            filename="concert.mp4",
            content_type="video/mp4",
            bytes_=1_000_000,
            sha256=None,
            object_key=f"raw/{user.id}/{uuid4().hex}/source",
            duration_ms=None,
        )
        if uploaded:
            await videos.mark_uploaded(session, video.id)
        return video

    async def start(self, job: JobInput, *, skip_time: bool = False) -> Handle:
        """With `skip_time` the server lets no timer wait: for jobs that nobody will speak to."""
        client = TimeSkipper(self.client, config=TimeSkippingConfig()).client if skip_time else self.client
        assert await start_job(client, self.settings, job)
        return self.handle(job)

    def handle(self, job: JobInput) -> Handle:
        return self.client.get_workflow_handle_for(VideoJobWorkflow.run, job.workflow_id)

    async def reset(
        self, job: JobInput, event_id: int, run_id: str | None = None, *, signals: bool = True
    ) -> Handle:
        """What *Reset* in the Web UI does, with or without the signals that came since; the new run's handle."""
        left_out = ResetReapplyExcludeType.RESET_REAPPLY_EXCLUDE_TYPE_SIGNAL
        answer = await self.client.workflow_service.reset_workflow_execution(
            ResetWorkflowExecutionRequest(
                namespace=self.client.namespace,
                workflow_execution=WorkflowExecution(workflow_id=job.workflow_id, run_id=run_id or ""),
                reason="test",
                workflow_task_finish_event_id=event_id,
                request_id=uuid4().hex,
                reset_reapply_exclude_types=() if signals else (left_out,),
            )
        )
        return self.client.get_workflow_handle_for(
            VideoJobWorkflow.run, job.workflow_id, run_id=answer.run_id
        )

    async def until_waiting(self, job: JobInput, attention: Attention) -> None:
        """Until the job waits for a person, as its owner and the Web UI's list see it."""

        async def waits() -> bool:
            return (await self.job(job)).attention is attention

        await until(waits)

    @asynccontextmanager
    async def row_held(self, job: JobInput) -> AsyncIterator[None]:
        """Whoever wants to change the job waits for the end of the block, however long a busy machine takes to get
        there: the limit on idle transactions is for the product."""
        async with self.rooms.database.transaction() as session:
            await session.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
            await session.execute(text("SELECT FROM jobs WHERE id = :job FOR UPDATE"), {"job": job.job_id})
            yield

    # ---- what the books and rows say ---------------------------------------------------------------------

    async def job(self, job: JobInput) -> Job:
        async with self.rooms.database.read() as session:
            row = await jobs.get_job(session, job.job_id)
            assert row is not None
            return row

    async def balance(self, job: JobInput) -> Balance:
        async with self.rooms.database.read() as session:
            return await ledger.balance(session, job.user_id)

    async def transfers(self, job: JobInput) -> list[tuple[str, int]]:
        """Kind and amount of every transfer that names the job, in the order of the books."""
        query = text("SELECT kind, amount FROM transfers WHERE job_id = :job ORDER BY seq")
        async with self.rooms.database.read() as session:
            return [(row.kind, row.amount) for row in await session.execute(query, {"job": job.job_id})]

    async def saga(self, job: JobInput) -> list[tuple[str, str]]:
        async with self.rooms.database.read() as session:
            return [(line.step, line.outcome) for line in await saga_log.list_steps(session, job.job_id)]

    async def events(self, job: JobInput) -> list[JobEvent]:
        async with self.rooms.database.read() as session:
            return await events.after(session, job.job_id, 0, limit=1000)

    async def results(self, job: JobInput) -> int:
        query = text("SELECT count(*) FROM results WHERE job_id = :job")
        async with self.rooms.database.read() as session:
            return (await session.execute(query, {"job": job.job_id})).scalar_one()

    async def assert_books_coherent(self) -> None:
        async with self.rooms.database.read() as session:
            assert await books.check_books(session) == []

    async def assert_captured(self, job: JobInput, credits: int = 10, *, granted: int = 100) -> None:
        """The job has succeeded, once: `credits` taken, nothing held any more, one result."""
        row, balance = await self.job(job), await self.balance(job)
        assert (row.status, row.failure_code, row.attention) == ("SUCCEEDED", None, None)
        assert (balance.available, balance.held) == (granted - credits, 0)
        assert [each for each in await self.transfers(job) if each[0] == "capture"] == [("capture", credits)]
        assert await self.results(job) == 1
        await self.assert_books_coherent()

    async def assert_released(self, job: JobInput, status: str, code: str, *, granted: int = 100) -> None:
        """The job has ended without a result, once, and every credit is back."""
        row, balance = await self.job(job), await self.balance(job)
        assert (row.status, row.failure_code, row.attention) == (status, code, None)
        assert (balance.available, balance.held) == (granted, 0)
        kinds = [kind for kind, _ in await self.transfers(job)]
        assert "capture" not in kinds
        assert kinds[-1] == ("expire" if status == "EXPIRED" else "release")
        assert kinds.count("hold") == kinds.count("release") + kinds.count("expire")
        assert (await self.saga(job)).count(("release", "compensated")) == 1
        assert await self.results(job) == 0
        await self.assert_books_coherent()


@asynccontextmanager
async def open_house(settings: Settings, client: Client) -> AsyncIterator[House]:
    """The rooms, without any worker yet."""
    async with open_rooms(settings, client, starter=starter(client, settings), engines=0) as rooms:
        yield House(settings, client, rooms, StandIns(rooms.database))


@asynccontextmanager
async def workers(house: House, *queues: Queue, workflow_cache: int = 1000) -> AsyncIterator[None]:
    """Workers of these queues, of all when none is named; they stop with the block."""
    throttle = timedelta(milliseconds=100)
    async with AsyncExitStack() as stack:
        for queue in queues or tuple(Queue):
            core = queue is Queue.CORE
            hosted = with_stand_ins(activities_of(queue, house.rooms), house.stand_ins.of(queue))
            worker = Worker(
                house.client,
                task_queue=house.settings.queue_prefix + queue,
                workflows=WORKFLOWS if core else (),
                workflow_runner=prepared_runner(),
                activities=hosted,
                interceptors=[FaultInterceptor(), house.broken, *house.interceptors[queue]],
                max_cached_workflows=workflow_cache if core else 0,
                max_concurrent_activities=50,
                max_heartbeat_throttle_interval=throttle,
                default_heartbeat_throttle_interval=throttle,
            )
            if worker._workflow_worker is not None:
                # The SDK's own 2 s pass on a busy machine, too; then it complains, and gives the task up.
                worker._workflow_worker._deadlock_timeout_seconds = STUCK_S
            await stack.enter_async_context(worker)
        yield


def with_stand_ins(real: list[Activity], stand_ins: list[Activity]) -> list[Activity]:
    replaced = {_name(each) for each in stand_ins}
    return [*stand_ins, *(each for each in real if _name(each) not in replaced)]


def _name(hosted: Activity) -> str:
    name = activity._Definition.must_from_callable(hosted).name
    assert name is not None
    return name


async def failure_of(handle: Handle) -> BaseException:
    """How the workflow closed, when it closed otherwise than by a result."""
    try:
        outcome = await handle.result()
    except WorkflowFailureError as error:
        return error.cause
    raise AssertionError(f"the workflow succeeded: {outcome}")


async def card_of(handle: WorkflowHandle[Any, Any]) -> str:
    """What the Web UI shows as the workflow's current details."""
    return (await handle.query("__temporal_workflow_metadata", result_type=WorkflowMetadata)).current_details


async def task_completions(handle: WorkflowHandle[Any, Any]) -> list[int]:
    """The events that a workflow can be reset to: completed tasks during which nothing else was written."""
    started, completed = (
        EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED,
        EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED,
    )
    types = [event.event_type async for event in handle.fetch_history_events()]
    return [
        number + 1 for number, pair in enumerate(pairwise(types), start=1) if pair == (started, completed)
    ]


async def until(condition: Callable[[], Awaitable[bool]], *, seconds: float = 60) -> None:
    """Asks again until the answer is yes: for what happens elsewhere and sets no event here."""
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110 (the condition is in other processes)
            await asyncio.sleep(0.05)
