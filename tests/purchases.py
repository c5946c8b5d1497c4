"""What tests of purchases share: packages and charges, and what a provider would say of them."""

from __future__ import annotations

from uuid import uuid4

import pytest

from contracts.errors import Code, EchoError
from contracts.ids import JobId, purchase_id, purchase_workflow_id
from contracts.jobs import JobStatus
from contracts.ledger import TransferOrigin
from contracts.payments import (
    DisputeState,
    DisputeStatus,
    PaymentState,
    Provider,
    RefundState,
    RefundTo,
)
from contracts.purchases import Refunded, RefundRequest, RequestRefund
from contracts.video_job import StatusChange
from db import jobs, purchases, refunds, settlement
from db.engine import Database
from db.ids import new_id
from db.purchase_rows import Part
from db.tables import Job, User
from db.tables_money import Purchase
from tests.books import a_job, a_quote, a_source, completion, step_of

PRICES = {100: ("credits-100/1", 10_000), 500: ("credits-500/1", 40_000), 1000: ("credits-1000/1", 70_000)}


def by(purchase: Purchase, step: str = "test") -> TransferOrigin:
    return TransferOrigin(
        actor="system:TokenPurchase",
        step=step,
        workflow_id=purchase_workflow_id(purchase.id),
        run_id=uuid4().hex,
    )


def payment(purchase: Purchase, status: str = "succeeded", **changes: object) -> PaymentState:
    said = PaymentState(
        provider_ref=purchase.provider_ref or f"pi_{purchase.id}",
        status=status,  # pyright: ignore[reportArgumentType]
        amount_krw=purchase.amount_krw,
        received_krw=purchase.amount_krw if status == "succeeded" else 0,
    )
    return said.model_copy(update=changes)


async def a_purchase(
    database: Database,
    user: User,
    *,
    credits: int = 100,
    paid: bool = True,
    key: str | None = None,
    payment_method: str | None = None,
) -> Purchase:
    """A package of the price list."""
    price_id, krw = PRICES[credits]
    async with database.transaction() as session:
        purchase = await purchases.create(
            session,
            purchase_id=purchase_id(user.id, key or uuid4().hex),
            user_id=user.id,
            provider=Provider.STRIPE,
            credits=credits,
            amount_krw=krw,
            price_id=price_id,
            job_id=None,
            payment_method=payment_method,
            refund_to=RefundTo.CARD,
        )
    return await pay(database, purchase) if paid else purchase


async def a_charged_job(
    database: Database,
    user: User,
    *,
    credits: int = 10,
    refund_to: RefundTo = RefundTo.CARD,
    paid: bool = True,
    status: JobStatus = JobStatus.CREATED,
) -> tuple[Job, Purchase]:
    """A job that a card pays, as the API writes it; once paid brought to an active `status`."""
    video = await a_source(database, user)
    job_id = JobId(new_id("job"))
    async with database.transaction() as session:
        purchase = await purchases.create(
            session,
            purchase_id=purchase_id(user.id, uuid4().hex),
            user_id=user.id,
            provider=Provider.STRIPE,
            credits=credits,
            amount_krw=100 * credits,
            price_id=None,
            job_id=job_id,
            payment_method="pm_card_visa",
            refund_to=refund_to,
        )
        job = await settlement.open_job(
            session, user=user, kind="enhance", params={}, video=video, quote=a_quote(credits),
            uploaded=False, job_id=job_id, purchase_id=purchase.id,
        )  # fmt: skip
    if paid:
        purchase = await pay(database, purchase)
        async with database.transaction() as session:
            for step in (JobStatus.INGESTED, JobStatus.QUEUED, JobStatus.RUNNING):
                if job.status == status:
                    break
                await jobs.set_status(session, StatusChange(job_id=job.id, status=step))
                job = await jobs.lock_job(session, job.id)
    return job, purchase


async def pay(database: Database, purchase: Purchase) -> Purchase:
    async with database.transaction() as session:
        await purchases.settle(session, purchase.id, payment(purchase), by(purchase, "settle"))
        return await purchases.lock(session, purchase.id)


async def refund(
    database: Database,
    purchase: Purchase,
    *,
    credits: int | None = None,
    krw: int | None = None,
    key: str | None = None,
) -> Refunded:
    """As support asks for it."""
    ask = RequestRefund(
        purchase_id=purchase.id,
        key=key or uuid4().hex,
        request=RefundRequest(amount_krw=krw, credits=credits, actor="support:s"),
    )
    async with database.transaction() as session:
        return await refunds.request(session, ask, by(purchase, "refund"))


def answer(refunded: Refunded, status: str = "succeeded") -> RefundState:
    """The provider's, to a refund of ours."""
    return RefundState(
        provider_ref=f"re_{refunded.refund_id}",
        refund_id=refunded.refund_id,
        amount_krw=refunded.amount_krw,
        status=status,  # pyright: ignore[reportArgumentType]
        failure="expired_or_canceled_card" if status == "failed" else "",
    )


async def provider_says(database: Database, refunded: Refunded, status: str = "succeeded") -> Refunded:
    async with database.transaction() as session:
        return await refunds.record(
            session,
            refunded.refund_id,
            answer(refunded, status),
            TransferOrigin(actor="system:TokenPurchase", step="send_refunds"),
        )


def from_dashboard(krw: int, status: str = "succeeded", ref: str = "re_dashboard") -> RefundState:
    return RefundState(
        provider_ref=ref,
        refund_id=None,
        amount_krw=krw,
        status=status,  # pyright: ignore[reportArgumentType]
    )


def a_dispute(
    purchase: Purchase,
    status: DisputeStatus = DisputeStatus.OPEN,
    *,
    krw: int | None = None,
    ref: str = "dp_1",
) -> DisputeState:
    return DisputeState(
        provider_ref=f"{ref}_{purchase.id}",
        payment_ref=purchase.provider_ref or "",
        amount_krw=krw or purchase.amount_krw,
        status=status,
        reason="fraudulent",
    )


async def refused(database: Database, purchase: Purchase, **asked: int) -> Code:
    with pytest.raises(EchoError) as error:
        await refund(database, purchase, **asked)  # pyright: ignore[reportArgumentType]
    return error.value.code


async def refundable(database: Database, purchase: Purchase) -> Part:
    async with database.transaction() as session:
        return await refunds.refundable(session, purchase.id)


async def spend(database: Database, user: User, credits: int) -> None:
    """By a job that is paid from the balance."""
    job = await a_job(database, user, credits=credits, status=JobStatus.RUNNING)
    async with database.transaction() as session:
        await settlement.complete_job(session, completion(job, credits), step_of(job))
