"""The steps that call a payment provider. What it says is booked by the step that heard it, in one transaction.

Nothing here is believed but a provider's own answer, and each step may run any number of times, also beside an older
attempt of itself: the port finds what an earlier attempt has sent, and the books what one has booked.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity

from activities.faults import as_echo_error
from activities.rooms import Rooms, origin
from contracts.errors import Code, EchoError
from contracts.ids import PurchaseId
from contracts.ledger import TransferOrigin
from contracts.payments import PaymentState, PurchaseStatus, RefundOrder, RefundState
from contracts.purchases import CheckoutAnswer, ClosePurchase, PurchaseRef, PurchaseState
from db import disputes, jobs, purchases, refunds
from db.tables_money import Purchase
from providers.payments import Payments


class PaymentActivities:
    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._database = rooms.database

    @activity.defn(name="create_payment")
    async def create_payment(self, request: PurchaseRef) -> CheckoutAnswer:
        """The purchase's one payment at the provider. One that is over, or whose job is, is not paid for any more."""
        async with self._database.read() as session:
            purchase = await known_purchase(session, request.purchase_id)
            order = await purchases.order(session, purchase)
            job_over = await _job_over(session, purchase)
        over: Purchase | PurchaseState = purchase
        if not over.status.settled and job_over:
            over = await self.close_payment(_without_job(purchase))
        if over.status.settled:
            return CheckoutAnswer(status=over.status, failure_code=over.failure_code)
        if activity.info().attempt > 1:
            # The key may answer an error for a day, also one that came after the effect.
            order = order.model_copy(update={"first_try": False})
        found, checkout = await self._port(purchase).create(order)
        state = await self._book(purchase, found)
        return CheckoutAnswer(
            status=state.status,
            checkout=None if state.status.settled else checkout,
            action_required=found.status == "action_required",
            failure_code=state.failure_code,
            declined=found.declined,
        )

    @activity.defn(name="verify_payment")
    async def verify_payment(self, request: PurchaseRef) -> PurchaseState:
        """Looks the payment up, also of a purchase that was closed: money may have come after all."""
        async with self._database.read() as session:
            purchase = await known_purchase(session, request.purchase_id)
            state = await purchases.state(session, purchase.id)
            job_over = await _job_over(session, purchase)
        if state.status is PurchaseStatus.PAID:
            return state
        if not state.status.settled and job_over:
            return await self.close_payment(_without_job(purchase))
        found = await self._port(purchase).lookup(purchase.id, purchase.provider_ref)
        return state if found is None else await self._book(purchase, found)

    @activity.defn(name="close_payment")
    async def close_payment(self, request: ClosePurchase) -> PurchaseState:
        """Cancels at the provider first. If the money came meanwhile it is booked; while the bank works on the payment
        it cannot be cancelled, and the purchase stays open."""
        async with self._database.read() as session:
            purchase = await known_purchase(session, request.purchase_id)
            state = await purchases.state(session, purchase.id)
        if state.status.settled:
            return state
        port, ref = self._port(purchase), purchase.provider_ref
        if ref is None:
            found = await port.lookup(purchase.id, None)
            ref = None if found is None else found.provider_ref
        if ref is not None:
            found = await port.cancel(purchase.id, ref)
            if found.status not in ("canceled", "failed"):
                return await self._book(purchase, found)
        async with self._database.transaction() as session:
            return await purchases.close(session, request, _origin(purchase, reason=request.failure_code))

    @activity.defn(name="send_refunds")
    async def send_refunds(self, request: PurchaseRef) -> PurchaseState:
        """Every refund that is written down and not yet sent. One that the provider refuses has failed."""
        async with self._database.read() as session:
            purchase = await known_purchase(session, request.purchase_id)
            orders = await refunds.requested(session, purchase.id)
        for order in orders:
            sent = await self._send(purchase, order)
            async with self._database.transaction() as session:
                await refunds.record(session, order.refund_id, sent, _origin(purchase, reason=order.reason))
        return await self._state(purchase)

    @activity.defn(name="reconcile_purchase")
    async def reconcile_purchase(self, request: PurchaseRef) -> PurchaseState:
        """Books whatever the provider knows of the payment's refunds and disputes and we do not, yet. What the books
        refuse is raised at the end, for support to see: it must not keep the rest out."""
        async with self._database.read() as session:
            purchase = await known_purchase(session, request.purchase_id)
            state = await purchases.state(session, purchase.id)
        if state.status is not PurchaseStatus.PAID or purchase.provider_ref is None:
            return await self.verify_payment(request)
        port, ref = self._port(purchase), purchase.provider_ref
        refunded, disputed = await port.refunds(ref), await port.disputes(ref)
        refused: list[Exception] = []
        for refund in refunded:
            with _collecting(refused):
                async with self._database.transaction() as session:
                    await refunds.book_from_provider(session, purchase.id, refund, _origin(purchase))
        for dispute in disputed:
            why = _origin(purchase, reason=dispute.reason)
            with _collecting(refused):
                async with self._database.transaction() as session:
                    await disputes.record(session, purchase.id, dispute, why)
        if refused:
            raise refused[0]
        return await self._state(purchase)

    # ---- booking what a provider says -------------------------------------------------------------------

    async def _book(self, purchase: Purchase, found: PaymentState) -> PurchaseState:
        """The books after the provider's answer; what can never be paid is closed, there and here."""
        if found.status == "failed":
            # Declined for good as far as we are concerned; whoever has the client secret must not pay it later.
            found = await self._port(purchase).cancel(purchase.id, found.provider_ref)
            if found.status in ("canceled", "failed"):
                return await self._close(purchase, PurchaseStatus.FAILED, Code.PAYMENT_DECLINED, found)
        if found.status == "canceled" and found.declined and purchase.payment_method is not None:
            # By an attempt of this step that died before it had written down why.
            return await self._close(purchase, PurchaseStatus.FAILED, Code.PAYMENT_DECLINED, found)
        if found.status == "canceled":
            return await self._close(purchase, PurchaseStatus.CANCELED, Code.PAYMENT_CANCELED, found)
        async with self._database.transaction() as session:
            if found.status == "succeeded":
                return await purchases.settle(session, purchase.id, found, _origin(purchase))
            state = await purchases.record_checkout(session, purchase.id, found)
        if state.status.settled and state.status is not PurchaseStatus.PAID:
            # Closed while this attempt was on its way: its payment must not stay open behind our back.
            late = await self._port(purchase).cancel(purchase.id, found.provider_ref)
            if late.status == "succeeded":
                return await self._book(purchase, late)
        return _seen(state, found)

    async def _close(
        self, purchase: Purchase, status: PurchaseStatus, code: Code, found: PaymentState
    ) -> PurchaseState:
        closing = ClosePurchase.model_validate(
            {"purchase_id": purchase.id, "status": status, "failure_code": code}
        )
        async with self._database.transaction() as session:
            await purchases.record_checkout(session, purchase.id, found)
            return _seen(await purchases.close(session, closing, _origin(purchase, reason=code)), found)

    async def _send(self, purchase: Purchase, order: RefundOrder) -> RefundState:
        try:
            return await self._port(purchase).refund(order)
        except EchoError as error:
            if error.code is not Code.PROVIDER_REFUSED:
                raise
            return RefundState(
                provider_ref="",
                refund_id=order.refund_id,
                amount_krw=order.amount_krw,
                status="failed",
                failure=error.detail,
            )

    async def _state(self, purchase: Purchase) -> PurchaseState:
        async with self._database.read() as session:
            return await purchases.state(session, purchase.id)

    def _port(self, purchase: Purchase) -> Payments:
        try:
            return self._rooms.payments[purchase.provider]
        except KeyError:
            # Its keys were taken out of the settings: purchases under way wait until they are back.
            raise EchoError(Code.PROVIDER_UNAVAILABLE, f"{purchase.provider} is not configured") from None


async def known_purchase(session: AsyncSession, purchase_id: PurchaseId) -> Purchase:
    purchase = await purchases.get(session, purchase_id)
    if purchase is None:
        raise EchoError(Code.NOT_FOUND, f"purchase {purchase_id}")
    return purchase


@contextmanager
def _collecting(refused: list[Exception]) -> Generator[None]:
    """What is about this refund or dispute alone; a database that is away is not."""
    try:
        yield
    except Exception as failure:
        error = as_echo_error(failure)
        if error.retryable and error.code is not Code.INTERNAL:
            raise
        refused.append(failure)


def _seen(state: PurchaseState, found: PaymentState) -> PurchaseState:
    return state.model_copy(
        update={"provider_status": found.status, "detail": found.declined or state.detail}
    )


async def _job_over(session: AsyncSession, purchase: Purchase) -> bool:
    job = None if purchase.job_id is None else await jobs.get_job(session, purchase.job_id)
    return job is not None and job.status.settled


def _without_job(purchase: Purchase) -> ClosePurchase:
    return ClosePurchase(
        purchase_id=purchase.id, status=PurchaseStatus.CANCELED, failure_code=Code.PAYMENT_CANCELED
    )


def _origin(purchase: Purchase, *, reason: str = "") -> TransferOrigin:
    return origin(purchase.job_id or "", purchase_id=purchase.id, reason=reason)
