"""The PortOne adapter against the stand-in: one purchase is one payment id, and a refund is made once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
import pytest_asyncio
from pydantic import SecretStr

from contracts.errors import Code, EchoError
from contracts.payments import PaymentOrder, PaymentState, Provider
from contracts.settings import PortOneSettings
from dev.servers.standins import PortOneStandIn
from providers.payments.breaker import Breaker
from providers.payments.portone import PortOnePayments
from tests.providers.paying import AMOUNT_KRW, CLOCK, FAULTS, LIMIT_S, a_refund, an_order, insist, order_fault


def opened(standin: PortOneStandIn, breaker: Breaker | None = None) -> PortOnePayments:
    return PortOnePayments(
        PortOneSettings(
            api_secret=SecretStr(standin.api_secret),
            store_id=standin.store_id,
            channel_key=standin.channel_key,
            api_base=standin.url,
        ),
        breaker=breaker,
    )


@pytest_asyncio.fixture
async def portone(portone_standin: PortOneStandIn) -> AsyncIterator[PortOnePayments]:
    payments = opened(portone_standin)
    yield payments
    await payments.aclose()


@pytest_asyncio.fixture
async def hasty(portone_standin: PortOneStandIn) -> AsyncIterator[PortOnePayments]:
    """Waits for an answer for a second only."""
    payments = opened(portone_standin, Breaker(Provider.PORTONE, limit_s=LIMIT_S, clock=CLOCK))
    yield payments
    await payments.aclose()


async def paid(portone: PortOnePayments) -> tuple[PaymentOrder, PaymentState]:
    order = an_order(payment_method="billing-key-ok")
    state, _ = await portone.create(order)
    assert state.status == "succeeded"
    return order, state


# A payment in the app


async def test_an_order_is_registered_and_the_app_pays_it(
    portone: PortOnePayments, portone_standin: PortOneStandIn
) -> None:
    order = an_order()
    state, checkout = await portone.create(order)
    assert (state.status, state.amount_krw) == ("open", AMOUNT_KRW)
    assert (checkout.payment_id, checkout.store_id, checkout.channel_key, checkout.order_name) == (
        order.purchase_id,
        portone_standin.store_id,
        portone_standin.channel_key,
        order.description,
    )
    assert await portone.create(order) == (state, checkout)
    await portone_standin.control.post("pay", paymentId=order.purchase_id, amount=AMOUNT_KRW)
    paid_now = await portone.lookup(order.purchase_id, state.provider_ref)
    assert paid_now is not None
    assert (paid_now.status, paid_now.received_krw) == ("succeeded", AMOUNT_KRW)
    assert (await portone.create(order))[0] == paid_now


async def test_an_app_that_pays_while_the_order_is_repeated_is_believed(
    portone: PortOnePayments, portone_standin: PortOneStandIn
) -> None:
    order = an_order()
    await portone.create(order)
    await portone_standin.control.post("forget_keys")
    await portone_standin.control.post(
        "faults", match="POST /payments/*/pre-register", kind="slow", delay_ms=2_000
    )
    repeat = asyncio.create_task(portone.create(order))
    while await portone_standin.control.get("faults"):  # noqa: ASYNC110 (another process takes it)
        await asyncio.sleep(0.01)
    await portone_standin.control.post("pay", paymentId=order.purchase_id, amount=AMOUNT_KRW)
    state, _ = await repeat
    assert state.status == "succeeded"


async def test_a_card_declined_in_the_app_may_be_replaced(
    portone: PortOnePayments, portone_standin: PortOneStandIn
) -> None:
    order = an_order()
    await portone.create(order)
    await portone_standin.control.post("pay", paymentId=order.purchase_id, amount=AMOUNT_KRW, card="declined")
    state = await portone.lookup(order.purchase_id, None)
    assert state is not None
    assert (state.status, state.declined) == ("open", "6000")
    await portone_standin.control.post("pay", paymentId=order.purchase_id, amount=AMOUNT_KRW)
    state = await portone.lookup(order.purchase_id, None)
    assert state is not None
    assert state.status == "succeeded"


async def test_what_portone_does_not_know_is_none(portone: PortOnePayments) -> None:
    assert await portone.lookup(an_order().purchase_id, None) is None


async def test_a_payment_that_nobody_made_counts_as_cancelled_and_one_that_was_made_does_not(
    portone: PortOnePayments,
) -> None:
    order = an_order()
    await portone.create(order)
    assert (await portone.cancel(order.purchase_id, order.purchase_id)).status == "canceled"
    order, state = await paid(portone)
    assert await portone.cancel(order.purchase_id, order.purchase_id) == state


# A billing key


async def test_a_billing_key_is_charged_at_once(portone: PortOnePayments) -> None:
    _, state = await paid(portone)
    assert state.received_krw == AMOUNT_KRW


async def test_a_declined_billing_key_is_an_answer(
    portone: PortOnePayments, portone_standin: PortOneStandIn
) -> None:
    order = an_order(payment_method="billing-key-declined")
    state, _ = await portone.create(order)
    assert (state.status, state.declined, state.received_krw) == ("failed", "6000", 0)
    assert (await portone.create(order))[0] == state
    assert (await portone_standin.control.get("ledger"))["paid_in"] == 0


async def test_an_unknown_billing_key_is_refused(portone: PortOnePayments) -> None:
    with pytest.raises(EchoError) as caught:
        await portone.create(an_order(payment_method="billing-key-of-nobody"))
    assert caught.value.code is Code.PROVIDER_REFUSED
    assert caught.value.fields["reason"] == "BILLING_KEY_NOT_FOUND"


async def test_a_wrong_secret_of_ours_is_not_the_purchases_fault(portone_standin: PortOneStandIn) -> None:
    payments = PortOnePayments(PortOneSettings(api_secret=SecretStr("revoked"), api_base=portone_standin.url))
    with pytest.raises(EchoError) as caught:
        await payments.create(an_order())
    await payments.aclose()
    assert caught.value.code is Code.PROVIDER_UNAVAILABLE


# Refunds


async def test_a_refund_is_made_once(portone: PortOnePayments, portone_standin: PortOneStandIn) -> None:
    order, state = await paid(portone)
    refund = a_refund(order.purchase_id, state.provider_ref)
    made = await portone.refund(refund)
    assert (made.status, made.amount_krw, made.refund_id) == ("succeeded", 4_000, refund.refund_id)
    assert await portone.refund(refund) == made
    rest = await portone.refund(a_refund(order.purchase_id, state.provider_ref, 6_000, key="rest"))
    assert await portone.refunds(state.provider_ref) == [made, rest]
    assert (await portone_standin.control.get("ledger"))["refunded"] == AMOUNT_KRW
    after = await portone.lookup(order.purchase_id, None)
    assert after is not None
    assert (after.status, after.received_krw, after.refunded_krw) == ("succeeded", AMOUNT_KRW, AMOUNT_KRW)


async def test_a_refund_from_the_console_is_told_as_nobodys(
    portone: PortOnePayments, portone_standin: PortOneStandIn
) -> None:
    order, state = await paid(portone)
    await portone_standin.control.post("cancel", paymentId=order.purchase_id, amount=1_000)
    (refund,) = await portone.refunds(state.provider_ref)
    assert (refund.refund_id, refund.amount_krw, refund.status) == (None, 1_000, "succeeded")


async def test_more_than_was_paid_is_refused(
    portone: PortOnePayments, portone_standin: PortOneStandIn
) -> None:
    order, state = await paid(portone)
    with pytest.raises(EchoError) as caught:
        await portone.refund(a_refund(order.purchase_id, state.provider_ref, AMOUNT_KRW + 1))
    assert caught.value.code is Code.PROVIDER_REFUSED
    assert (await portone_standin.control.get("ledger"))["refunded"] == 0


@pytest.mark.parametrize(("outcome", "status"), [("SUCCEEDED", "succeeded"), ("FAILED", "failed")])
async def test_a_refund_may_wait_for_the_gateway(
    portone: PortOnePayments, portone_standin: PortOneStandIn, outcome: str, status: str
) -> None:
    order, state = await paid(portone)
    await portone_standin.control.post("cancellations/mode", status="REQUESTED")
    refund = a_refund(order.purchase_id, state.provider_ref)
    waiting = await portone.refund(refund)
    assert waiting.status == "pending"
    other = await portone.refund(a_refund(order.purchase_id, state.provider_ref, 1_000, key="other"))
    await portone_standin.control.post(f"cancellations/{waiting.provider_ref}/settle", outcome=outcome)
    assert (await portone.refund(refund)).status == status
    assert [known.refund_id for known in await portone.refunds(state.provider_ref)] == [
        refund.refund_id,
        other.refund_id,
    ]


async def test_two_refunds_at_the_same_time_are_both_made_in_the_end(
    portone: PortOnePayments, portone_standin: PortOneStandIn
) -> None:
    order, state = await paid(portone)
    refunds = [a_refund(order.purchase_id, state.provider_ref, 3_000, key=key) for key in ("a", "b", "c")]
    await asyncio.gather(
        *(insist(portone_standin, lambda refund=refund: portone.refund(refund)) for refund in refunds)
    )
    assert (await portone_standin.control.get("ledger"))["refunded"] == 9_000
    assert len(await portone.refunds(state.provider_ref)) == 3


async def test_the_billing_key_of_another_customer_is_refused(
    portone: PortOnePayments, portone_standin: PortOneStandIn
) -> None:
    with pytest.raises(EchoError) as caught:
        await portone.create(an_order(payment_method="billing-key-ok-of-user-2"))
    assert caught.value.code is Code.PROVIDER_REFUSED
    assert (await portone_standin.control.get("ledger"))["paid_in"] == 0
    await portone.create(an_order("user-2", payment_method="billing-key-ok-of-user-2"))


# For reconciliation


async def test_entries_add_up_to_the_balance(
    portone: PortOnePayments, portone_standin: PortOneStandIn
) -> None:
    order, state = await paid(portone)
    refund = a_refund(order.purchase_id, state.provider_ref)
    await portone.refund(refund)
    await portone_standin.control.post("cancel", paymentId=order.purchase_id, amount=1_000)
    await paid(portone)
    await portone.create(an_order(payment_method="billing-key-declined"))
    now = datetime.now(UTC)
    entries = [entry async for entry in portone.entries(now - timedelta(hours=1), now + timedelta(hours=1))]
    assert sum(entry.amount_krw for entry in entries) == 2 * AMOUNT_KRW - 5_000
    refunds = {(e.amount_krw, e.refund_id, e.payment_ref) for e in entries if e.kind == "refund"}
    assert refunds == {
        (-4_000, refund.refund_id, order.purchase_id),
        (-1_000, None, order.purchase_id),
    }
    assert [e.purchase_id for e in entries if e.kind == "charge"].count(order.purchase_id) == 1
    assert [e async for e in portone.entries(now - timedelta(hours=2), now - timedelta(hours=1))] == []
    assert [payout async for payout in portone.payouts(now - timedelta(hours=1), now)] == []
    assert await portone.disputes(state.provider_ref) == []


# Faults


@pytest.mark.parametrize("kind", FAULTS)
@pytest.mark.parametrize("call", ["GET /payments/*", "POST /payments/*/pre-register"])
async def test_an_order_is_registered_whatever_breaks(
    hasty: PortOnePayments, portone_standin: PortOneStandIn, call: str, kind: str
) -> None:
    order = an_order()
    await order_fault(portone_standin, call, kind)
    state, _ = await insist(portone_standin, lambda: hasty.create(order))
    assert state.status == "open"
    assert await portone_standin.control.get("faults") == [], "the fault must have happened"
    with pytest.raises(httpx.HTTPStatusError, match="the amount registered"):
        await portone_standin.control.post("pay", paymentId=order.purchase_id, amount=1)
    await portone_standin.control.post("pay", paymentId=order.purchase_id, amount=AMOUNT_KRW)


@pytest.mark.parametrize("kind", FAULTS)
async def test_an_order_whose_first_try_did_not_look_is_registered_whatever_broke_it(
    hasty: PortOnePayments, portone_standin: PortOneStandIn, kind: str
) -> None:
    order = an_order()
    tries = iter([order.model_copy(update={"first_try": True})] * 2)
    await order_fault(portone_standin, "POST /payments/*/pre-register", kind)
    state, _ = await insist(portone_standin, lambda: hasty.create(next(tries, order)))
    assert state.status == "open"
    await portone_standin.control.post("pay", paymentId=order.purchase_id, amount=AMOUNT_KRW)
    paid_now = await hasty.lookup(order.purchase_id, None)
    assert paid_now is not None
    await portone_standin.control.post("forget_keys")
    late = order.model_copy(update={"first_try": True})
    assert (await hasty.create(late))[0] == paid_now, "one id is paid once, also when nobody looks"


@pytest.mark.parametrize("kind", FAULTS)
@pytest.mark.parametrize("call", ["GET /payments/*", "GET /billing-keys/*", "POST /payments/*/billing-key"])
async def test_a_billing_key_is_charged_once_whatever_breaks(
    portone: PortOnePayments, hasty: PortOnePayments, portone_standin: PortOneStandIn, call: str, kind: str
) -> None:
    order = an_order(payment_method="billing-key-ok")
    await order_fault(portone_standin, call, kind)
    state, _ = await insist(portone_standin, lambda: hasty.create(order))
    assert state.status == "succeeded"
    await portone_standin.control.post("forget_keys")
    assert (await portone.create(order))[0] == state, "hours later, too"
    assert (await portone_standin.control.get("ledger"))["paid_in"] == AMOUNT_KRW


@pytest.mark.parametrize("kind", FAULTS)
@pytest.mark.parametrize("call", ["GET /payments/*", "POST /payments/*/cancel"])
async def test_a_refund_is_paid_once_whatever_breaks(
    portone: PortOnePayments, hasty: PortOnePayments, portone_standin: PortOneStandIn, call: str, kind: str
) -> None:
    order, state = await paid(portone)
    refund = a_refund(order.purchase_id, state.provider_ref)
    await order_fault(portone_standin, call, kind)
    made = await insist(portone_standin, lambda: hasty.refund(refund))
    await portone_standin.control.post("forget_keys")
    assert await portone.refund(refund) == made, "hours later, too"
    assert (await portone_standin.control.get("ledger"))["refunded"] == 4_000
