"""PortOne's part of the control surface: the browser SDK's customer, the console, the gateway, and the books."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from dev.standins.control import Order
from dev.standins.portone.api import Won
from dev.standins.portone.errors import ApiError
from dev.standins.portone.payments import DECLINED, MODE, Payments
from dev.standins.store import JsonObject, Store


class Pay(Order):
    """What the app gives the browser SDK, and how the card answers; `open`: the customer has not finished."""

    paymentId: str
    amount: Won
    card: Literal["ok", "declined", "open"] = "ok"
    orderName: str = "order"
    customerId: str | None = None
    customData: str | None = None


_OUTCOME: dict[str, Literal["PAID", "FAILED", "READY"]] = {
    "ok": "PAID",
    "declined": "FAILED",
    "open": "READY",
}


class ConsoleCancel(Order):
    paymentId: str
    amount: Won | None = None
    status: Literal["SUCCEEDED", "REQUESTED"] = "SUCCEEDED"
    reason: str = "cancelled in the console"


class CancellationMode(Order):
    status: Literal["SUCCEEDED", "REQUESTED", "FAILED"]


class CancellationOutcome(Order):
    outcome: Literal["SUCCEEDED", "FAILED"]


def portone_control(store: Store, payments: Payments) -> APIRouter:
    router = APIRouter(prefix="/standin")

    def done(change: Callable[[], JsonObject]) -> JSONResponse:
        with store.transaction():
            try:
                return JSONResponse(change())
            except ApiError as error:
                return JSONResponse(error.body, error.status)

    @router.post("/pay")
    async def pay(order: Pay) -> JSONResponse:
        """As `requestPayment` answers: a `code` says that it failed."""

        def answer() -> JsonObject:
            payment = payments.pay(
                order.paymentId,
                order.amount,
                outcome=_OUTCOME[order.card],
                order_name=order.orderName,
                customer_id=order.customerId,
                custom_data=order.customData,
            )
            answer = {"paymentId": order.paymentId, "transactionId": payment["transactionId"]}
            declined = {"code": "FAILURE_TYPE_PG", "message": DECLINED["pgMessage"]}
            return answer | declined if order.card == "declined" else answer

        return done(answer)

    @router.post("/cancel")
    async def cancel(order: ConsoleCancel) -> JSONResponse:
        return done(lambda: payments.cancel(order.paymentId, order.amount, order.reason, None, order.status))

    @router.post("/cancellations/mode")
    async def cancellation_mode(order: CancellationMode) -> CancellationMode:
        store.set(MODE, order.status)
        return order

    @router.post("/cancellations/{cancellation_id}/settle")
    async def settle(cancellation_id: str, order: CancellationOutcome) -> JSONResponse:
        return done(
            lambda: payments.settle(
                payments.waiting_cancellation(cancellation_id), cancellation_id, order.outcome
            )
        )

    @router.get("/ledger")
    async def ledger() -> JsonObject:
        return _ledger(payments.all())

    return router


def _ledger(payments: list[JsonObject]) -> JsonObject:
    movements: list[JsonObject] = []
    for payment in payments:
        if "paidAt" in payment:
            movements.append(_movement("payment", payment, payment["amount"]["total"], payment["paidAt"]))
        for cancellation in payment.get("cancellations", []):
            if cancellation["status"] == "SUCCEEDED":
                amount, at = -cancellation["totalAmount"], cancellation["cancelledAt"]
                movements.append(_movement("cancellation", payment, amount, at) | {"id": cancellation["id"]})
    movements.sort(key=lambda movement: movement["at"])
    return {
        "balance": sum(movement["amount"] for movement in movements),
        "paid_in": sum(movement["amount"] for movement in movements if movement["kind"] == "payment"),
        "refunded": -sum(movement["amount"] for movement in movements if movement["kind"] == "cancellation"),
        "payments": payments,
        "movements": movements,
    }


def _movement(kind: str, payment: JsonObject, amount: int, at: str) -> JsonObject:
    return {
        "kind": kind,
        "id": payment["transactionId"],
        "paymentId": payment["id"],
        "amount": amount,
        "at": at,
    }
