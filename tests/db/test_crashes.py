"""The connection dies before every single statement of every function that settles a job or a purchase, and before
its commit.

Each time, nothing at all must have happened, and the repeat must give what an undisturbed run gives.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from pydantic import BaseModel
from sqlalchemy import Connection, event, make_url
from sqlalchemy.engine import Engine
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.errors import Code, EchoError
from contracts.jobs import JobStatus
from contracts.ledger import Bucket
from contracts.payments import DisputeStatus, PurchaseStatus
from contracts.purchases import ClosePurchase, Refunded, RefundRequest, RequestRefund
from contracts.video_job import Release, StatusChange
from db import disputes, jobs, progress, purchases, refunds, settlement
from db.engine import Database
from db.tables import Job, User, Video
from db.tables_money import Purchase
from tests.books import (
    a_job,
    a_quote,
    a_source,
    a_user,
    assert_books_coherent,
    completion,
    run_sql,
    step_of,
)
from tests.purchases import a_charged_job, a_dispute, a_purchase, answer, by, from_dashboard, payment, refund


@dataclass(frozen=True)
class Scene:
    user: User
    video: Video
    job: Job
    unpaid: Purchase
    """Of a package."""
    paid: Purchase
    refund: Refunded
    """Of `paid`, not with the provider yet."""
    waiting_job: Job
    waiting_charge: Purchase
    """Pays for `waiting_job`."""
    charged_job: Job


Step = Callable[[AsyncSession, Scene], Awaitable[Any]]

STEPS: dict[str, Step] = {
    "open_job": lambda session, scene: settlement.open_job(
        session,
        user=scene.user,
        kind="enhance",
        params={},
        video=scene.video,
        quote=a_quote(10),
        uploaded=True,
    ),
    "confirm_hold": lambda session, scene: settlement.confirm_hold(session, scene.job.id, step_of(scene.job)),
    "adjust_hold": lambda session, scene: settlement.adjust_hold(
        session, scene.job.id, 25, step_of(scene.job)
    ),
    "adjust_hold when short": lambda session, scene: settlement.adjust_hold(
        session, scene.job.id, 1000, step_of(scene.job)
    ),
    "complete_job": lambda session, scene: settlement.complete_job(
        session, completion(scene.job, 7), step_of(scene.job)
    ),
    "release_job": lambda session, scene: settlement.release_job(
        session,
        Release(job_id=scene.job.id, status=JobStatus.FAILED, failure_code="corrupt"),
        step_of(scene.job),
    ),
    "grant_credits": lambda session, scene: settlement.grant_credits(
        session,
        user_id=scene.user.id,
        credits=5,
        bucket=Bucket.PROMO,
        key=scene.user.id,
        actor="admin:a",
        reason="welcome",
    ),
    "set_status": lambda session, scene: jobs.set_status(
        session, StatusChange(job_id=scene.job.id, status=JobStatus.RUNNING)
    ),
    "settle": lambda session, scene: purchases.settle(
        session, scene.unpaid.id, payment(scene.unpaid), by(scene.unpaid)
    ),
    "settle for a job": lambda session, scene: purchases.settle(
        session, scene.waiting_charge.id, payment(scene.waiting_charge), by(scene.waiting_charge)
    ),
    "record_checkout": lambda session, scene: purchases.record_checkout(
        session, scene.unpaid.id, payment(scene.unpaid, "open", customer_ref=f"cus_{scene.user.id}")
    ),
    "close": lambda session, scene: purchases.close(
        session,
        ClosePurchase(
            purchase_id=scene.waiting_charge.id, status=PurchaseStatus.EXPIRED, failure_code="payment_expired"
        ),
        by(scene.waiting_charge),
    ),
    "release_job of a charge": lambda session, scene: settlement.release_job(
        session,
        Release(job_id=scene.charged_job.id, status=JobStatus.FAILED, failure_code="corrupt"),
        step_of(scene.charged_job),
    ),
    "complete_job of a charge": lambda session, scene: settlement.complete_job(
        session, completion(scene.charged_job, 6), step_of(scene.charged_job)
    ),
    "request a refund": lambda session, scene: refunds.request(
        session,
        RequestRefund(purchase_id=scene.paid.id, key="k", request=RefundRequest(credits=20)),
        by(scene.paid),
    ),
    "refund succeeded": lambda session, scene: refunds.record(
        session, scene.refund.refund_id, answer(scene.refund), by(scene.paid)
    ),
    "refund failed": lambda session, scene: refunds.record(
        session, scene.refund.refund_id, answer(scene.refund, "failed"), by(scene.paid)
    ),
    "refund of the dashboard": lambda session, scene: refunds.book_from_provider(
        session, scene.paid.id, from_dashboard(2_000), by(scene.paid)
    ),
    "dispute opened": lambda session, scene: disputes.record(
        session, scene.paid.id, a_dispute(scene.paid), by(scene.paid)
    ),
    "dispute lost": lambda session, scene: disputes.record(
        session, scene.paid.id, a_dispute(scene.paid, DisputeStatus.LOST), by(scene.paid)
    ),
    "report": lambda session, scene: progress.report(session, scene.job.id, "upscale", 0, 5, 10),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", STEPS)
async def test_a_step_that_dies_at_any_statement_did_nothing_and_can_be_repeated(
    database: Database, name: str
) -> None:
    step = STEPS[name]
    calm = await _scene(database)
    boundaries = _Boundaries(database.url)
    with boundaries.watched():
        async with database.transaction() as session:
            expected = _comparable(await step(session, calm))
    count = boundaries.seen
    assert count >= 3, "the hook saw the statements"

    for boundary in range(1, count + 1):
        scene = await _scene(database)
        before = await _everything(database)
        with pytest.raises(EchoError) as lost, boundaries.watched(kill_at=boundary):
            async with database.transaction() as session:
                await step(session, scene)
        assert lost.value.code is Code.UNAVAILABLE
        assert await _everything(database) == before, f"{name} died before statement {boundary} of {count}"
        for _ in range(2):  # the repeat, and the repeat of a step whose answer was lost after its commit
            async with database.transaction() as session:
                answer = _comparable(await step(session, scene))
            if name not in ("open_job", "set_status"):
                assert answer == expected
        await assert_books_coherent(database)


class _Boundaries:
    """Counts the statements and commits of this database's connections, and cuts one connection before the n-th."""

    def __init__(self, url: str) -> None:
        self._url = make_url(url)
        self.seen = 0
        self._kill_at = 0

    @contextmanager
    def watched(self, kill_at: int = 0) -> Iterator[None]:
        self.seen, self._kill_at = 0, kill_at
        event.listen(Engine, "before_cursor_execute", self._statement)
        event.listen(Engine, "commit", self._reached)
        try:
            yield
        finally:
            event.remove(Engine, "before_cursor_execute", self._statement)
            event.remove(Engine, "commit", self._reached)

    def _statement(self, connection: Connection, *_: object) -> None:
        self._reached(connection)

    def _reached(self, connection: Connection) -> None:
        self.seen += 1
        if self.seen == self._kill_at:
            driver = connection.connection.driver_connection
            assert isinstance(driver, psycopg.AsyncConnection)
            url = self._url.set(drivername="postgresql").render_as_string(hide_password=False)
            with psycopg.connect(url, autocommit=True) as other:
                # The second argument waits, in milliseconds, until the backend is gone.
                other.execute("SELECT pg_terminate_backend(%s, 5000)", [driver.info.backend_pid])


async def _scene(database: Database) -> Scene:
    user = await a_user(database, promo=15, paid=30)
    job = await a_job(database, user, credits=10, status=JobStatus.QUEUED)
    async with database.transaction() as session:
        await progress.declare_stages(session, job.id, {"upscale": 10})
    paid = await a_purchase(database, user)
    waiting_job, waiting_charge = await a_charged_job(database, user, paid=False)
    charged_job, _ = await a_charged_job(database, user, status=JobStatus.RUNNING)
    return Scene(
        user=user,
        video=await a_source(database, user),
        job=job,
        unpaid=await a_purchase(database, user, paid=False),
        paid=paid,
        refund=await refund(database, paid, credits=30),
        waiting_job=waiting_job,
        waiting_charge=waiting_charge,
        charged_job=charged_job,
    )


async def _everything(database: Database) -> list[str]:
    tables = (
        "accounts", "transfers", "postings", "jobs", "job_stages", "stage_parts", "job_events", "saga_log", "videos",
        "purchases", "refunds", "disputes", "customers",
    )  # fmt: skip
    return [
        str(row[0])
        for table in tables
        for row in await run_sql(database, f"SELECT t::text FROM {table} t ORDER BY 1")
    ]


def _comparable(answer: Any) -> Any:
    """Without the ids and moments, which are the scene's own."""
    if isinstance(answer, Job):
        return answer.status, answer.quote_credits
    own = {"transfer_id", "refund_id", "purchase_id", "job_id", "paid_at"}
    return answer.model_dump(exclude=own) if isinstance(answer, BaseModel) else answer
