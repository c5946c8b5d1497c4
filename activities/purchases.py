"""The steps of a purchase that need no provider: what support asks for, and whom the payment concerns."""

from __future__ import annotations

from temporalio import activity
from temporalio.service import RPCError, RPCStatusCode

from activities.payments import known_purchase
from activities.rooms import Rooms, origin
from contracts.ids import JobId, job_workflow_id
from contracts.payments import PurchaseStatus
from contracts.purchases import ChargeState, PurchaseRef, PurchaseState, Refunded, RequestRefund
from contracts.video_job import JobRef
from db import jobs, purchases, refunds


class PurchaseActivities:
    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._database = rooms.database

    @activity.defn(name="request_refund")
    async def request_refund(self, request: RequestRefund) -> Refunded:
        asked = request.request
        async with self._database.transaction() as session:
            why = origin(purchase_id=request.purchase_id, actor=asked.actor, reason=asked.reason)
            return await refunds.request(session, request, why)

    @activity.defn(name="dismiss_refund_failures")
    async def dismiss_refund_failures(self, request: PurchaseRef) -> PurchaseState:
        async with self._database.transaction() as session:
            await refunds.dismiss_failed(session, request.purchase_id)
            return await purchases.state(session, request.purchase_id)

    @activity.defn(name="charge_state")
    async def charge_state(self, request: JobRef) -> ChargeState:
        async with self._database.read() as session:
            return await purchases.charge_state(session, request.job_id)

    @activity.defn(name="announce_payment")
    async def announce_payment(self, request: PurchaseRef) -> int:
        """Tells the job that the purchase pays for, and jobs that wait for credits. Returns how many heard it."""
        async with self._database.read() as session:
            purchase = await known_purchase(session, request.purchase_id)
            waiting = await jobs.waiting_for_funds(session, purchase.user_id)
        heard = [await self._signal(job_id, "funds_added") for job_id in waiting]
        if purchase.job_id is not None:
            heard.append(await self._signal(purchase.job_id, "charge_settled"))
        return sum(heard)

    @activity.defn(name="tell_purchase")
    async def tell_purchase(self, request: JobRef) -> bool:
        """The job has ended: what is not paid yet is cancelled, a refund of what was paid is sent."""
        async with self._database.read() as session:
            job = await jobs.get_job(session, request.job_id)
            if job is None or job.purchase_id is None:
                return False
            purchase = await known_purchase(session, job.purchase_id)
            refunds_open = (await purchases.state(session, purchase.id)).refunds_open
        given = purchases.purchase_input(purchase, self._rooms.settings.purchase_deadlines)
        if not purchase.status.settled:
            await self._rooms.starter.cancel_purchase(given)
        elif purchase.status is PurchaseStatus.PAID and refunds_open:
            await self._rooms.starter.announce_refund(given)
        else:
            return False
        return True

    async def _signal(self, job_id: JobId, signal: str) -> bool:
        try:
            await self._rooms.temporal.get_workflow_handle(job_workflow_id(job_id)).signal(signal)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            return False  # not started yet, or ended: it looks for itself
        return True
