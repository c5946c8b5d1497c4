"""Money on its way back to a card: credits are put aside first, then the provider is asked, then its answer booked.

Each function is one step of the caller's transaction; it locks the purchase first and may be repeated. A refund that
was started at the provider's dashboard is booked as it happened: what the user no longer has becomes a debt.
"""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.errors import Code, EchoError
from contracts.ids import PurchaseId, RefundId, refund_id
from contracts.jobs import EventType
from contracts.ledger import CreditEffect, TransferOrigin
from contracts.payments import PurchaseStatus, RefundOrder, RefundReason, RefundState, RefundStatus
from contracts.purchases import Refunded, RefundRequest, RequestRefund
from db import events, freezes, jobs, ledger, lots, purchase_rows, saga_log
from db.purchase_rows import Part
from db.tables_money import Purchase, Refund


async def request(session: AsyncSession, ask: RequestRefund, origin: TransferOrigin) -> Refunded:
    """Put the credits of a refund aside. The same key again answers with the first refund.

    PAYMENT_STATE_CONFLICT: not paid; REFUND_TOO_LARGE: more than was paid and not refunded; REFUND_CREDITS_SPENT:
    more than is unspent; IDEMPOTENCY_KEY_REUSED: the key asked for another amount before.
    """
    purchase = await purchase_rows.lock(session, ask.purchase_id)
    known = await _find(session, refund_id(purchase.id, ask.key))
    if known is not None:
        return _repeated(known, ask.request)
    if purchase.status is not PurchaseStatus.PAID:
        raise EchoError(
            Code.PAYMENT_STATE_CONFLICT,
            f"purchase {purchase.id} is {purchase.status}",
            {"state": purchase.status},
        )
    await purchase_rows.lock_job_of(session, purchase)
    part = await _asked_part(session, purchase, ask.request)
    await dismiss_failed(session, purchase.id)
    refund = await reserve(session, purchase, ask.key, part, ask.request, origin)
    if purchase.job_id is not None:
        job = await jobs.lock_job(session, purchase.job_id)
        await events.append(
            session, job, EventType.STATUS, credit_effect=CreditEffect.REFUNDED, credits=part.credits
        )
    return contract(refund)


async def reserve(
    session: AsyncSession,
    purchase: Purchase,
    key: str,
    part: Part,
    asked: RefundRequest,
    origin: TransferOrigin,
) -> Refund:
    """The row and its reserve transfer, of credits that the user is known to have."""
    refund = Refund(
        id=refund_id(purchase.id, key),
        purchase_id=purchase.id,
        credits=part.credits,
        credits_owed=0,
        amount_krw=part.krw,
        reason=asked.reason,
        status=RefundStatus.REQUESTED,
        requested_by=asked.actor or origin.actor,
        note=asked.note,
    )
    return await _insert(session, purchase, refund, origin)


async def record(
    session: AsyncSession, refund_id: RefundId, state: RefundState, origin: TransferOrigin
) -> Refunded:
    """Book what the provider says of a refund of ours. A later word never undoes an earlier one, except that a bank
    may send back what had succeeded."""
    purchase_id = await session.scalar(select(Refund.purchase_id).where(Refund.id == refund_id))
    if purchase_id is None:
        raise EchoError(Code.NOT_FOUND, f"refund {refund_id}")
    purchase = await purchase_rows.lock(session, purchase_id)
    refund = await _find(session, refund_id)
    assert refund is not None, "read a moment ago, and refunds are never deleted"
    if state.amount_krw != refund.amount_krw or refund.provider_ref not in (None, state.provider_ref):
        raise EchoError(
            Code.PAYMENT_STATE_CONFLICT,
            f"refund {refund.id} of {refund.amount_krw} won is {refund.provider_ref}, the provider says {state}",
        )
    await _book(session, purchase, refund, state, origin)
    return contract(refund)


async def book_from_provider(
    session: AsyncSession, purchase_id: PurchaseId, state: RefundState, origin: TransferOrigin
) -> Refunded | None:
    """Book a refund of the purchase that the provider lists: one of ours, or one from its dashboard.

    None: it failed before we ever heard of it. REFUND_TOO_LARGE when it does not fit beside refunds that are still on
    their way: send those first, the provider will refuse what is too much.
    """
    purchase = await purchase_rows.lock(session, purchase_id)
    id_ = state.refund_id or refund_id(purchase_id, f"provider/{state.provider_ref}")
    by_ref = select(Refund.id).where(
        Refund.purchase_id == purchase_id, Refund.provider_ref == state.provider_ref
    )
    known = await session.scalar(by_ref) or await session.scalar(select(Refund.id).where(Refund.id == id_))
    if known is not None:
        return await record(session, known, state, origin)
    if state.status == "failed":
        return None
    refund = await _reserve_what_is_left(session, purchase, id_, state, origin)
    await _book(session, purchase, refund, state, origin)
    return contract(refund)


async def requested(session: AsyncSession, purchase_id: PurchaseId) -> list[RefundOrder]:
    """Refunds that the provider may not know of yet, in the order in which they are to be sent."""
    refunds = await of_purchase(session, purchase_id)
    purchase = await purchase_rows.get(session, purchase_id)
    orders: list[RefundOrder] = []
    before = sum(r.amount_krw for r in refunds if r.status in (RefundStatus.PENDING, RefundStatus.SUCCEEDED))
    for refund in refunds:
        if refund.status is not RefundStatus.REQUESTED:
            continue
        assert purchase is not None, "a refund has its purchase"
        assert purchase.provider_ref is not None, "only a paid purchase has refunds"
        orders.append(
            RefundOrder(
                refund_id=refund.id,
                purchase_id=purchase_id,
                provider_ref=purchase.provider_ref,
                amount_krw=refund.amount_krw,
                refunded_krw_before=before,
                reason=refund.reason,
            )
        )
        before += refund.amount_krw
    return orders


async def refundable(session: AsyncSession, purchase_id: PurchaseId) -> Part:
    """What can go back to the card now; nothing of a purchase that is not paid. Locks it and the user's accounts."""
    return await lots.unspent(session, await purchase_rows.lock(session, purchase_id))


async def of_purchase(session: AsyncSession, purchase_id: PurchaseId) -> list[Refund]:
    """Oldest first."""
    query = select(Refund).where(Refund.purchase_id == purchase_id).order_by(Refund.seq)
    return list((await session.scalars(query.execution_options(populate_existing=True))).all())


async def dismiss_failed(session: AsyncSession, purchase_id: PurchaseId) -> None:
    """Support has seen the failed refunds of the purchase."""
    await session.execute(
        update(Refund)
        .where(
            Refund.purchase_id == purchase_id,
            Refund.status == RefundStatus.FAILED,
            Refund.dismissed_at.is_(None),
        )
        .values(dismissed_at=func.now())
    )


def contract(refund: Refund) -> Refunded:
    return Refunded(
        refund_id=refund.id,
        purchase_id=refund.purchase_id,
        amount_krw=refund.amount_krw,
        credits=refund.credits,
        status=refund.status,
        reason=refund.reason,
        failure=refund.failure,
    )


# The steps below are in calling order.


async def _find(session: AsyncSession, id_: RefundId) -> Refund | None:
    return await session.scalar(
        select(Refund).where(Refund.id == id_).execution_options(populate_existing=True)
    )


def _repeated(refund: Refund, asked: RefundRequest) -> Refunded:
    if asked.amount_krw not in (None, refund.amount_krw) or asked.credits not in (None, refund.credits):
        raise EchoError(
            Code.IDEMPOTENCY_KEY_REUSED,
            f"refund {refund.id} is of {refund.amount_krw} won, asked for: {asked}",
        )
    return contract(refund)


async def _asked_part(session: AsyncSession, purchase: Purchase, asked: RefundRequest) -> Part:
    """The credits and won that a request means; an error when they cannot be had."""
    taken = await purchase_rows.taken_back(session, purchase.id)
    if not asked.possible:
        raise EchoError(
            Code.VALIDATION_FAILED, "amount_krw and credits exclude each other, and are at least 1"
        )
    if (asked.amount_krw or 0) > purchase.amount_krw - taken.krw or taken.krw == purchase.amount_krw:
        raise EchoError(
            Code.REFUND_TOO_LARGE,
            f"{purchase.amount_krw} won paid, {taken.krw} of them refunded or disputed",
            {"paid_krw": purchase.amount_krw, "refunded_krw": taken.krw},
        )
    free = await lots.unspent(session, purchase)
    if asked.amount_krw is not None:
        part = Part(purchase_rows.credits_for(purchase, taken, asked.amount_krw), asked.amount_krw)
    elif asked.credits is not None:
        part = Part(asked.credits, purchase_rows.krw_for(purchase, taken, asked.credits))
    else:
        part = free
    if part.credits > free.credits or free.credits == 0:
        raise EchoError(
            Code.REFUND_CREDITS_SPENT,
            f"{part.credits} credits asked for, {free.credits} of the purchase are unspent",
            {"refundable_credits": free.credits, "refundable_krw": free.krw},
        )
    if part.credits < 1 or part.krw < 1:
        raise EchoError(Code.VALIDATION_FAILED, "a refund is of at least one credit and one won")
    return part


async def _reserve_what_is_left(
    session: AsyncSession, purchase: Purchase, id_: RefundId, state: RefundState, origin: TransferOrigin
) -> Refund:
    """For a refund that the provider has made already: the user's available credits first, the rest is owed."""
    taken = await purchase_rows.taken_back(session, purchase.id)
    if purchase.status is not PurchaseStatus.PAID:
        raise EchoError(Code.PAYMENT_STATE_CONFLICT, f"purchase {purchase.id} is {purchase.status}")
    if state.amount_krw > purchase.amount_krw - taken.krw:
        raise EchoError(
            Code.REFUND_TOO_LARGE,
            f"{purchase.amount_krw} won paid, {taken.krw} taken back, the provider refunded {state.amount_krw}",
        )
    await purchase_rows.lock_job_of(session, purchase)
    available = (await ledger.lock_balance(session, purchase.user_id)).available_paid
    # At least one: no money goes back for credits that stay. None are left when earlier parts were rounded up.
    credits = max(1, purchase_rows.credits_for(purchase, taken, state.amount_krw))
    credits = min(credits, purchase.credits - taken.credits)
    refund = Refund(
        id=id_,
        purchase_id=purchase.id,
        credits=credits,
        credits_owed=max(0, credits - available),
        amount_krw=state.amount_krw,
        reason=RefundReason.PROVIDER_DASHBOARD,
        status=RefundStatus.PENDING,
        requested_by=f"provider:{purchase.provider}",
        provider_ref=state.provider_ref,
    )
    return await _insert(session, purchase, refund, origin)


async def _insert(
    session: AsyncSession, purchase: Purchase, refund: Refund, origin: TransferOrigin
) -> Refund:
    if refund.credits_taken:
        reserved = purchase_rows.key(purchase.id, f"refund/{refund.id}/reserve")
        await ledger.reserve_refund(
            session,
            reserved,
            purchase.user_id,
            refund.credits_taken,
            _origin(purchase, refund, origin),
        )
        refund.reserve_transfer_id = reserved
    session.add(refund)
    await session.flush()
    await _log(session, purchase, refund, "refund", origin, refund.reserve_transfer_id)
    return refund


async def _book(
    session: AsyncSession, purchase: Purchase, refund: Refund, state: RefundState, origin: TransferOrigin
) -> None:
    """From the refund's status to the provider's, forward only."""
    if state.status == "pending":
        if refund.status is RefundStatus.REQUESTED:
            refund.provider_ref, refund.status = state.provider_ref, RefundStatus.PENDING
            await session.flush()
    elif state.status == "succeeded":
        if not refund.status.settled:
            await _succeed(session, purchase, refund, state, origin)
    elif refund.status is not RefundStatus.FAILED:
        await _fail(session, purchase, refund, state, origin)


async def _succeed(
    session: AsyncSession, purchase: Purchase, refund: Refund, state: RefundState, origin: TransferOrigin
) -> None:
    settled = purchase_rows.key(purchase.id, f"refund/{refund.id}/done")
    await purchase_rows.lock_job_of(session, purchase)
    await ledger.settle_refund(
        session,
        settled,
        purchase.user_id,
        refund.credits_taken,
        refund.amount_krw,
        purchase.provider,
        _origin(purchase, refund, origin),
        owed=refund.credits_owed,
    )
    await _finish(session, refund, RefundStatus.SUCCEEDED, state.provider_ref, settle_transfer_id=settled)
    await _log(session, purchase, refund, "refund_done", origin, settled)


async def _fail(
    session: AsyncSession, purchase: Purchase, refund: Refund, state: RefundState, origin: TransferOrigin
) -> None:
    """The credits come back; and when the money had gone already, it has come back too."""
    returned = purchase_rows.key(purchase.id, f"refund/{refund.id}/return")
    step = _origin(purchase, refund, origin)
    await purchase_rows.lock_job_of(session, purchase)
    if refund.status is RefundStatus.SUCCEEDED:
        debt = (await ledger.lock_balance(session, purchase.user_id)).debt
        if debt < refund.credits_owed:
            raise EchoError(
                Code.PAYMENT_STATE_CONFLICT,
                f"refund {refund.id} has come back, but of the {refund.credits_owed} credits that the user owed for it "
                f"finance has written off all but {debt}: correct that first, then it is booked by itself",
            )
        await ledger.undo_refund(
            session,
            returned,
            purchase.user_id,
            refund.credits_taken,
            refund.amount_krw,
            purchase.provider,
            step,
            owed=refund.credits_owed,
        )
    elif refund.credits_taken:
        await ledger.return_refund(session, returned, purchase.user_id, refund.credits_taken, step)
    else:
        returned = None
    await _finish(
        session,
        refund,
        RefundStatus.FAILED,
        state.provider_ref,
        return_transfer_id=returned,
        failure=state.failure,
    )
    await _log(session, purchase, refund, "refund_failed", origin, returned)
    # A dispute of the same money had to leave room for this refund.
    await freezes.extend(session, purchase, origin)


async def _finish(
    session: AsyncSession, refund: Refund, status: RefundStatus, provider_ref: str, **columns: object
) -> None:
    now = (await session.execute(select(func.now()))).scalar_one()
    # All at once: the table's checks judge every UPDATE.
    refund.status, refund.finished_at = status, now
    refund.provider_ref = refund.provider_ref or provider_ref or None
    for column, value in columns.items():
        setattr(refund, column, value)
    await session.flush()


def _origin(purchase: Purchase, refund: Refund, origin: TransferOrigin) -> TransferOrigin:
    named = purchase_rows.origin_of(purchase, origin)
    return named.model_copy(update={"reason": refund.reason.value})


LINES: dict[str, tuple[saga_log.Outcome, CreditEffect]] = {
    "refund": ("compensated", CreditEffect.REFUNDED),
    "refund_done": ("done", CreditEffect.NONE),
    "refund_failed": ("failed", CreditEffect.GRANTED),
}
"""In the saga log of the job that the purchase pays for."""


async def _log(
    session: AsyncSession,
    purchase: Purchase,
    refund: Refund,
    step: str,
    origin: TransferOrigin,
    transfer_id: UUID | None,
) -> None:
    purchase.version += 1
    if purchase.job_id is None:
        return
    outcome, effect = LINES[step]
    await saga_log.append(
        session, purchase.job_id, step, outcome, origin, key=f"{step}/{refund.id}", credit_effect=effect,
        credits=refund.credits_taken, transfer_id=transfer_id,
        detail=f"{refund.amount_krw} won, {refund.reason}" + (f": {refund.failure}" if refund.failure else ""),
    )  # fmt: skip
    job = await jobs.lock_job(session, purchase.job_id)
    job.version += 1
