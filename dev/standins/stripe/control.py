"""Stripe's part of the control surface: what customers, banks and the dashboard do, and the books for oracles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import Field

from dev.standins.control import Order
from dev.standins.store import JsonObject
from dev.standins.stripe import balance, confirmation, disputes, refunds, search
from dev.standins.stripe.account import Account, public
from dev.standins.stripe.errors import ApiError
from dev.standins.stripe.lists import rendered

Won = Annotated[int, Field(ge=1)]


class Outcome(Order):
    outcome: Literal["succeed", "fail"]


class DashboardRefund(Order):
    payment_intent: str
    amount: Won | None = None
    status: Literal["succeeded", "pending"] = "succeeded"


class RefundMode(Order):
    status: Literal["succeeded", "pending", "failed"]


class RefundOutcome(Order):
    outcome: Literal["succeeded", "failed"]
    failure_reason: str = "expired_or_canceled_card"


class NewDispute(Order):
    payment_intent: str
    amount: Won | None = None
    reason: str = "fraudulent"


class DisputeOutcome(Order):
    outcome: Literal["won", "lost"]


class SearchLag(Order):
    lag_ms: Annotated[int, Field(ge=0)]


class NewPayout(Order):
    pass


def stripe_control(account: Account) -> APIRouter:
    router = APIRouter(prefix="/standin")

    def done(change: Callable[[], JsonObject]) -> JSONResponse:
        with account.store.transaction():
            try:
                return JSONResponse(rendered(account, change(), []))
            except ApiError as error:
                return JSONResponse(error.body, error.status)

    @router.post("/3ds/{intent_id}")
    async def authenticate(intent_id: str, order: Outcome) -> JSONResponse:
        return done(lambda: confirmation.authenticate(account, intent_id, succeed=order.outcome == "succeed"))

    @router.post("/payment_intents/{intent_id}/settle")
    async def settle_intent(intent_id: str, order: Outcome) -> JSONResponse:
        return done(lambda: confirmation.settle(account, intent_id, succeed=order.outcome == "succeed"))

    @router.post("/refund")
    async def refund_in_dashboard(order: DashboardRefund) -> JSONResponse:
        def refund() -> JsonObject:
            charge = refunds.successful_charge(account, order.payment_intent)
            reason = "requested_by_customer"
            return refunds.refund_charge(account, charge, order.amount, order.status, reason, {})

        return done(refund)

    @router.post("/refunds/mode")
    async def refund_mode(order: RefundMode) -> RefundMode:
        account.store.set(refunds.MODE, order.status)
        return order

    @router.post("/refunds/settle")
    async def settle_refunds(order: RefundOutcome) -> JSONResponse:
        def settle() -> JsonObject:
            pending = [
                found["id"] for found in account.store.oldest("refund") if found["status"] == "pending"
            ]
            for refund_id in pending:
                refunds.settle(account, refund_id, order.outcome, order.failure_reason)
            return {"settled": pending}

        return done(settle)

    @router.post("/refunds/{refund_id}/settle")
    async def settle_refund(refund_id: str, order: RefundOutcome) -> JSONResponse:
        return done(lambda: refunds.settle(account, refund_id, order.outcome, order.failure_reason))

    @router.post("/disputes")
    async def dispute(order: NewDispute) -> JSONResponse:
        return done(lambda: disputes.open_dispute(account, order.payment_intent, order.amount, order.reason))

    @router.post("/disputes/{dispute_id}/close")
    async def close_dispute(dispute_id: str, order: DisputeOutcome) -> JSONResponse:
        return done(lambda: disputes.close_dispute(account, dispute_id, order.outcome))

    @router.post("/search")
    async def search_lag(order: SearchLag) -> SearchLag:
        account.store.set(search.LAG, order.lag_ms)
        return order

    @router.post("/payouts")
    async def pay_out(_: NewPayout) -> JSONResponse:
        return done(lambda: balance.pay_out(account))

    @router.get("/ledger")
    async def ledger() -> JsonObject:
        return _ledger(account)

    return router


def _ledger(account: Account) -> JsonObject:
    movements = list(account.store.oldest("balance_transaction"))

    def total(*categories: str) -> int:
        return sum(found["amount"] for found in movements if found["reporting_category"] in categories)

    return {
        "balance": sum(found["net"] for found in movements),
        "paid_in": total("charge"),
        "refunded": -total("refund", "refund_failure"),
        "disputed": -total("dispute", "dispute_reversal"),
        "fees": sum(found["fee"] for found in movements),
        "paid_out": -total("payout"),
        "payments": [_payment(account, intent) for intent in account.store.oldest("payment_intent")],
        "movements": [public(found) for found in movements],
    }


def _payment(account: Account, intent: JsonObject) -> JsonObject:
    links = {"payment_intent": intent["id"]}
    refunded = [found for found in account.store.oldest("refund", links) if found["status"] != "failed"]
    disputed = [found for found in account.store.oldest("dispute", links) if found["status"] != "won"]
    shown = {
        name: intent[name] for name in ("id", "status", "amount", "amount_received", "customer", "metadata")
    }
    return shown | {
        "refunded": sum(found["amount"] for found in refunded),
        "disputed": sum(found["amount"] for found in disputed),
    }
