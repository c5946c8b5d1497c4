"""What the tests of both adapters share: orders, and the retry loop that Temporal is in production."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar
from uuid import uuid4

from contracts.errors import Code, EchoError
from contracts.ids import PurchaseId, UserId, purchase_id, refund_id
from contracts.payments import PaymentOrder, RefundOrder, RefundReason
from dev.servers.standins import StandIn

T = TypeVar("T")

AMOUNT_KRW = 10_000
LIMIT_S = 1.0
"""Of one call in these tests: what hangs for longer timed out."""
FAULTS = (
    "timeout_before",
    "timeout_after",
    "reset_before",
    "reset_after",
    "429",
    "500",
    "500_saved",
    "500_after",
    "slow",
)
ATTEMPTS = 4
"""Fewer than open the breaker."""


class Clock:
    """The breakers' time: stands still, but for waiting as long as a provider asks."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


CLOCK = Clock()


def an_order(
    user_id: str = "user-1", *, payment_method: str | None = None, customer_ref: str | None = None
) -> PaymentOrder:
    user = UserId(user_id)
    return PaymentOrder(
        purchase_id=purchase_id(user, uuid4().hex),
        user_id=user,
        amount_krw=AMOUNT_KRW,
        description="EchoShot 100 credits",
        payment_method=payment_method,
        customer_ref=customer_ref,
    )


def a_refund(
    purchase: PurchaseId, provider_ref: str, amount_krw: int = 4_000, *, key: str = "support"
) -> RefundOrder:
    return RefundOrder(
        refund_id=refund_id(purchase, key),
        purchase_id=purchase,
        provider_ref=provider_ref,
        amount_krw=amount_krw,
        refunded_krw_before=0,
        reason=RefundReason.REQUESTED_BY_CUSTOMER,
    )


async def order_fault(standin: StandIn, match: str, kind: str) -> None:
    delay_ms = int(LIMIT_S * 1000) + 300 if kind == "slow" else 60_000
    await standin.control.post("faults", match=match, kind=kind, delay_ms=delay_ms)


async def insist(standin: StandIn, send: Callable[[], Awaitable[T]]) -> T:
    """Repeats the step while the provider is unavailable; then once more a day later, when keys are forgotten."""
    for _ in range(ATTEMPTS):
        try:
            return await send()
        except EchoError as error:
            if error.code is not Code.PROVIDER_UNAVAILABLE:
                raise
            CLOCK.now_s += int(error.fields.get("retry_after_s", 0))
        await at_rest(standin)
    await standin.control.post("forget_keys")
    return await send()


async def at_rest(standin: StandIn) -> None:
    """No request is being worked on that nobody waits for any more."""
    while any(  # noqa: ASYNC110 (another process works on it)
        request["fault"] == "slow" and request["status"] is None
        for request in await standin.control.get("requests")
    ):
        await asyncio.sleep(0.05)
