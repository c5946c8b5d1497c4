"""A purchase from its first line to its money: written by the API, settled by what the provider says it has received.

Each function is one step of the caller's transaction and may be repeated. Locks: the purchase, its job, the ledger.
The database refuses at commit whatever rows and transfers do not agree on (migration 0004).
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, func, select, text
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.errors import Code, EchoError
from contracts.ids import JobId, PurchaseId, UserId
from contracts.ledger import TransferOrigin
from contracts.payments import PaymentOrder, PaymentState, Provider, PurchaseStatus, RefundTo
from contracts.purchases import ClosePurchase, PurchaseInput, PurchaseState
from contracts.timing import KEY_TRUSTED, PurchaseDeadlines
from db import charges, ledger, pages, purchase_rows, saga_log
from db.charges import charge_state
from db.pages import Page, Rows
from db.purchase_rows import get, lock
from db.tables_money import Customer, Price, Purchase

__all__ = [
    "charge_state", "close", "create", "get", "lock", "needing_workflow", "of_user", "on_sale", "order",
    "purchase_input", "record_checkout", "settle", "state",
]  # fmt: skip


async def on_sale(session: AsyncSession, at: datetime) -> list[Price]:
    """The price list at that moment, smallest package first."""
    return list((await session.scalars(select(Price).where(_valid(at)).order_by(Price.credits))).all())


def _valid(at: datetime | ColumnElement[datetime]) -> ColumnElement[bool]:
    return (Price.valid_from <= at) & (Price.valid_to.is_(None) | (Price.valid_to > at))


async def create(
    session: AsyncSession,
    *,
    purchase_id: PurchaseId,
    user_id: UserId,
    provider: Provider,
    credits: int,
    amount_krw: int,
    price_id: str | None,
    job_id: JobId | None,
    payment_method: str | None,
    refund_to: RefundTo,
) -> Purchase:
    """The row, or the one that the same request has written before. With `job_id`, whose job the caller opens in the
    same transaction with this purchase, there is no `price_id`. PACKAGE_UNKNOWN: the price is not, or not any more."""
    known = await get(session, purchase_id)
    if known is not None:
        asked = (user_id, provider, credits, amount_krw, price_id)
        if asked != (known.user_id, known.provider, known.credits, known.amount_krw, known.price_id):
            raise EchoError(Code.IDEMPOTENCY_KEY_REUSED, f"purchase {purchase_id} was of something else")
        return known
    if price_id is not None:
        price = await session.scalar(select(Price).where(Price.id == price_id, _valid(func.now())))
        if price is None or (credits, amount_krw) != (price.credits, price.krw):
            raise EchoError(Code.PACKAGE_UNKNOWN, f"{credits} credits for {amount_krw} won as {price_id}")
    purchase = Purchase(
        id=purchase_id,
        user_id=user_id,
        provider=provider,
        credits=credits,
        amount_krw=amount_krw,
        price_id=price_id,
        status=PurchaseStatus.CREATED,
        job_id=job_id,
        payment_method=payment_method,
        refund_to=refund_to,
    )
    session.add(purchase)
    await session.flush()
    return purchase


def purchase_input(purchase: Purchase, deadlines: PurchaseDeadlines) -> PurchaseInput:
    """What the purchase's workflow is started with, also by the sweeper or an event long after."""
    return PurchaseInput(
        purchase_id=purchase.id,
        user_id=purchase.user_id,
        provider=purchase.provider,
        credits=purchase.credits,
        amount_krw=purchase.amount_krw,
        job_id=purchase.job_id,
        deadlines=deadlines,
    )


async def order(session: AsyncSession, purchase: Purchase) -> PaymentOrder:
    """What the provider is asked for."""
    customer = select(Customer.customer_ref).where(
        Customer.user_id == purchase.user_id, Customer.provider == purchase.provider
    )
    asked = select(customer.scalar_subquery(), func.now() - purchase.created_at < KEY_TRUSTED)
    customer_ref, young = (await session.execute(asked)).one()
    # A saved card is charged by the request itself, and would be twice, had these books been restored from a copy.
    unknown = purchase.provider_ref is None and purchase.payment_method is None
    return PaymentOrder(
        purchase_id=purchase.id,
        user_id=purchase.user_id,
        amount_krw=purchase.amount_krw,
        description=f"EchoShotX {purchase.credits} credits",
        customer_ref=customer_ref,
        payment_method=purchase.payment_method,
        first_try=young and unknown,
    )


async def state(session: AsyncSession, purchase_id: PurchaseId) -> PurchaseState:
    purchase = await get(session, purchase_id)
    if purchase is None:
        raise EchoError(Code.NOT_FOUND, f"purchase {purchase_id}")
    return await _state(session, purchase)


async def record_checkout(
    session: AsyncSession, purchase_id: PurchaseId, payment: PaymentState
) -> PurchaseState:
    """The provider knows of the payment: its name there, the customer's, and whether the latest try was declined. A
    settled purchase stays as it is."""
    purchase = await lock(session, purchase_id)
    _require_same(purchase, payment)
    if payment.customer_ref is not None:
        await session.execute(
            insert(Customer)
            .values(user_id=purchase.user_id, provider=purchase.provider, customer_ref=payment.customer_ref)
            .on_conflict_do_nothing()
        )
    known = purchase.provider_ref is not None and purchase.status is not PurchaseStatus.CREATED
    if not known or (payment.declined != purchase.declined and not purchase.status.settled):
        purchase.provider_ref = payment.provider_ref
        if purchase.status is PurchaseStatus.CREATED:
            purchase.status = PurchaseStatus.AWAITING_PAYMENT
        if not purchase.status.settled:
            purchase.declined = payment.declined
        purchase.version += 1
        await session.flush()
    return await _state(session, purchase, payment.status)


async def settle(
    session: AsyncSession, purchase_id: PurchaseId, payment: PaymentState, origin: TransferOrigin
) -> PurchaseState:
    """The money has arrived: its credits are granted, exactly once, also when the purchase had been closed before.

    Paying for a job, they are held for it in this very transaction, or go back to the card when it has ended.
    PAYMENT_STATE_CONFLICT, and nothing is granted, unless exactly the price was received. Afterwards
    `db.jobs.waiting_for_funds` names the user's jobs that may go on.
    """
    purchase = await lock(session, purchase_id)
    _require_same(purchase, payment)
    if payment.status != "succeeded" or payment.received_krw != purchase.amount_krw:
        raise EchoError(
            Code.PAYMENT_STATE_CONFLICT,
            f"purchase {purchase.id} of {purchase.amount_krw} won: {payment.status}, {payment.received_krw} received",
        )
    if purchase.status is not PurchaseStatus.PAID:
        await purchase_rows.lock_job_of(session, purchase)
        paid = purchase_rows.key(purchase.id, "purchase")
        await ledger.purchase(
            session,
            paid,
            purchase.user_id,
            purchase.credits,
            purchase.amount_krw,
            purchase.provider,
            purchase_rows.origin_of(purchase, origin),
        )
        now = (await session.execute(select(func.now()))).scalar_one()
        # All at once: the table's checks judge every UPDATE.
        purchase.status, purchase.transfer_id, purchase.paid_at = PurchaseStatus.PAID, paid, now
        purchase.provider_ref, purchase.failure_code, purchase.declined = payment.provider_ref, None, None
        purchase.version += 1
        await session.flush()
        await charges.use(session, purchase, origin)
    return await _state(session, purchase, payment.status)


async def close(session: AsyncSession, closing: ClosePurchase, origin: TransferOrigin) -> PurchaseState:
    """End a purchase without money. One that is settled stays as it is, so look at the answer."""
    purchase = await lock(session, closing.purchase_id)
    if not purchase.status.settled:
        purchase.status, purchase.failure_code = closing.status, closing.failure_code
        purchase.version += 1
        await session.flush()
        if purchase.job_id is not None:
            await saga_log.append(
                session, purchase.job_id, "charge", "failed", origin, key="charge/closed",
                detail=closing.failure_code,
            )  # fmt: skip
    return await _state(session, purchase)


async def needing_workflow(
    session: AsyncSession, before: datetime, after: PurchaseId | None = None, limit: int = 100
) -> list[Purchase]:
    """Purchases older than `before` with something open: a payment, a refund, a dispute. In the order of their ids
    (which says nothing about time), from behind `after`: the sweeper asks about each."""
    open_ = text("""
        SELECT id FROM purchases WHERE status IN ('CREATED', 'AWAITING_PAYMENT')
        UNION SELECT purchase_id FROM refunds WHERE status IN ('REQUESTED', 'PENDING')
        UNION SELECT purchase_id FROM disputes WHERE status = 'OPEN'""").columns(Purchase.id)
    query = select(Purchase).where(Purchase.id.in_(open_.scalar_subquery()), Purchase.created_at < before)
    if after is not None:
        query = query.where(Purchase.id > after)
    return list((await session.scalars(query.order_by(Purchase.id).limit(limit))).all())


async def of_user(session: AsyncSession, user_id: UserId, page: Page) -> Rows[Purchase]:
    """A user's purchases, newest first. Their ids do not rise with time, so the cursor is looked up."""
    query = select(Purchase).where(Purchase.user_id == user_id)
    cursor = page.starting_after or page.ending_before
    if cursor is not None:
        seq = await session.scalar(
            select(Purchase.seq).where(Purchase.id == cursor, Purchase.user_id == user_id)
        )
        if seq is None:
            raise EchoError(Code.CURSOR_INVALID, "not one of this user's purchases")
        query = query.where(Purchase.seq > seq if page.ending_before else Purchase.seq < seq)
    query = query.order_by(Purchase.seq.asc() if page.ending_before else Purchase.seq.desc())
    rows = list((await session.scalars(query.limit(page.limit + 1))).all())
    return pages.cut(rows, page)


def _require_same(purchase: Purchase, payment: PaymentState) -> None:
    if payment.amount_krw == purchase.amount_krw and purchase.provider_ref in (None, payment.provider_ref):
        return
    raise EchoError(
        Code.PAYMENT_STATE_CONFLICT,
        f"purchase {purchase.id} is {purchase.provider_ref} of {purchase.amount_krw} won, "
        f"the provider says {payment.provider_ref} of {payment.amount_krw}",
    )


STANDING = text("""
    WITH disputed AS (
        SELECT count(*) FILTER (WHERE status = 'OPEN') AS disputes_open,
               coalesce(sum(amount_krw) FILTER (WHERE status = 'OPEN'), 0)::bigint AS disputed_krw,
               coalesce(sum(credits_frozen) FILTER (WHERE status = 'OPEN'), 0)::bigint AS credits_frozen,
               coalesce(sum(amount_krw) FILTER (WHERE status = 'LOST'), 0)::bigint AS lost_krw,
               coalesce(sum(credits_frozen) FILTER (WHERE status = 'LOST'), 0)::bigint AS credits_lost,
               coalesce(sum(credits_owed), 0)::bigint AS credits_owed
          FROM disputes WHERE purchase_id = :purchase_id
    ), refunded AS (
        SELECT coalesce(sum(amount_krw) FILTER (WHERE status = 'SUCCEEDED'), 0)::bigint AS refunded_krw,
               count(*) FILTER (WHERE status IN ('REQUESTED', 'PENDING')) AS refunds_open,
               coalesce(jsonb_object_agg(id, amount_krw) FILTER (WHERE status IN ('REQUESTED', 'PENDING')), '{}')
                   AS refunding,
               count(*) FILTER (WHERE status = 'FAILED' AND dismissed_at IS NULL) AS refunds_failed,
               (array_agg(failure ORDER BY seq DESC)
                   FILTER (WHERE status = 'FAILED' AND dismissed_at IS NULL))[1] AS failure
          FROM refunds WHERE purchase_id = :purchase_id
    )
    SELECT * FROM refunded, disputed""").columns(refunding=JSONB)


async def _state(session: AsyncSession, purchase: Purchase, provider_status: str = "") -> PurchaseState:
    told = PurchaseState(
        status=purchase.status,
        provider_status=provider_status,
        credits=purchase.credits,
        amount_krw=purchase.amount_krw,
        job_id=purchase.job_id,
        failure_code=purchase.failure_code,
        detail=purchase.declined or "",
        paid_at=purchase.paid_at,
    )
    if purchase.status is not PurchaseStatus.PAID:
        return told  # the database knows of no refund or dispute of what was not paid
    standing = (await session.execute(STANDING, {"purchase_id": purchase.id})).one()
    return told.model_copy(
        update={
            "refunded_krw": standing.refunded_krw,
            "refunds_open": standing.refunds_open,
            "refunding": standing.refunding,
            "refunds_failed": standing.refunds_failed,
            "disputes_open": standing.disputes_open,
            "disputed_krw": standing.disputed_krw,
            "credits_frozen": standing.credits_frozen,
            "lost_krw": standing.lost_krw,
            "credits_lost": standing.credits_lost,
            "credits_owed": standing.credits_owed,
            "detail": standing.failure or "",
        }
    )
