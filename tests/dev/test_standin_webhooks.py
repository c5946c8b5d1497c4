"""Webhooks of both stand-ins: signed as the providers sign, delivered until received, misbehaving on order."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
import stripe
from standardwebhooks.webhooks import Webhook

from dev.servers.standins import PortOneStandIn, StripeStandIn
from tests.dev.standin_clients import Delivery, Receiver, send


@pytest_asyncio.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver.listening() as opened:
        yield opened


async def create_intent(standin: StripeStandIn, **more: str) -> dict[str, Any]:
    answer = await send(standin, "POST", "/v1/payment_intents", {"amount": "10000", "currency": "krw"} | more)
    return answer.raise_for_status().json()


PAID = {"payment_method": "pm_card_visa", "confirm": "true", "return_url": "https://e.example"}


def about(deliveries: list[Delivery]) -> list[str]:
    return [json.loads(delivery.body)["data"]["object"]["id"] for delivery in deliveries]


def types(deliveries: list[Delivery]) -> list[str]:
    return [json.loads(delivery.body)["type"] for delivery in deliveries]


async def test_the_official_library_accepts_the_signature_and_no_other_secret(
    stripe_standin: StripeStandIn, receiver: Receiver
) -> None:
    await stripe_standin.control.post("webhooks", url=receiver.url)
    intent = await create_intent(stripe_standin)
    (delivery,) = await receiver.until(1)
    signature = delivery.headers["stripe-signature"]
    event = stripe.Webhook.construct_event(delivery.body.decode(), signature, stripe_standin.webhook_secret)
    assert (event.type, event.data.object["id"]) == ("payment_intent.created", intent["id"])
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(delivery.body.decode(), signature, "whsec_other")
    listed = await send(stripe_standin, "GET", f"/v1/events/{event.id}")
    assert listed.json() == json.loads(delivery.body)


async def test_a_payment_a_refund_and_a_dispute_tell_their_whole_story(
    stripe_standin: StripeStandIn, receiver: Receiver
) -> None:
    await stripe_standin.control.post("webhooks", url=receiver.url)
    first = await create_intent(stripe_standin, **PAID)
    await send(stripe_standin, "POST", "/v1/refunds", {"payment_intent": first["id"], "amount": "1000"})
    second = await create_intent(stripe_standin, **PAID)
    dispute = await stripe_standin.control.post("disputes", payment_intent=second["id"])
    await stripe_standin.control.post(f"disputes/{dispute['id']}/close", outcome="won")
    await stripe_standin.control.post("payouts")
    payment = ["payment_intent.created", "charge.succeeded", "payment_intent.succeeded"]
    expected = [
        *payment,
        "charge.refunded",
        "refund.created",
        *payment,
        "charge.dispute.created",
        "charge.dispute.funds_withdrawn",
        "charge.dispute.closed",
        "charge.dispute.funds_reinstated",
        "payout.created",
        "payout.paid",
    ]
    assert types(await receiver.until(len(expected))) == expected


async def test_a_refused_delivery_is_repeated_with_the_same_event(
    stripe_standin: StripeStandIn, receiver: Receiver
) -> None:
    receiver.failures = 2
    await stripe_standin.control.post("webhooks", url=receiver.url)
    await create_intent(stripe_standin)
    got = await receiver.until(3)
    assert len({json.loads(delivery.body)["id"] for delivery in got}) == 1


async def test_duplicated_events_come_twice(stripe_standin: StripeStandIn, receiver: Receiver) -> None:
    await stripe_standin.control.post("webhooks", url=receiver.url, mode="duplicated")
    intent = await create_intent(stripe_standin)
    assert about(await receiver.until(2)) == [intent["id"]] * 2


async def test_reordered_events_come_newest_first(stripe_standin: StripeStandIn, receiver: Receiver) -> None:
    await stripe_standin.control.post("webhooks", url=receiver.url, mode="reordered", delay_ms=600)
    await create_intent(stripe_standin, **PAID)
    assert types(await receiver.until(3)) == [
        "payment_intent.succeeded",
        "charge.succeeded",
        "payment_intent.created",
    ]


async def test_delayed_events_come_after_the_answer_and_later(
    stripe_standin: StripeStandIn, receiver: Receiver
) -> None:
    await stripe_standin.control.post("webhooks", url=receiver.url, mode="delayed", delay_ms=300)
    asked_at = time.time()
    intent = await create_intent(stripe_standin)
    (delivery,) = await receiver.until(1)
    assert time.time() - asked_at >= 0.3
    assert about([delivery]) == [intent["id"]]


async def test_held_events_wait_for_a_flush_and_outlive_a_kill(
    stripe_standin: StripeStandIn, receiver: Receiver
) -> None:
    await stripe_standin.control.post("webhooks", url=receiver.url, mode="held")
    made = [(await create_intent(stripe_standin))["id"] for _ in range(2)]
    stripe_standin.kill()
    await stripe_standin.restart()
    assert receiver.got == []
    assert await stripe_standin.control.post("webhooks/flush", order="newest_first") == {
        "delivered": 2,
        "failed": 0,
    }
    assert about(receiver.got) == made[::-1]


async def test_dropped_events_are_only_listed_until_somebody_sends_them_again(
    stripe_standin: StripeStandIn, receiver: Receiver
) -> None:
    await stripe_standin.control.post("webhooks", url=receiver.url, mode="dropped")
    intent = await create_intent(stripe_standin)
    assert await stripe_standin.control.post("webhooks/flush") == {"delivered": 0, "failed": 0}
    (event,) = (await send(stripe_standin, "GET", "/v1/events")).json()["data"]
    assert await stripe_standin.control.post("webhooks/resend", event_id=event["id"]) == {"status": 200}
    assert about(receiver.got) == [intent["id"]]


async def test_a_webhook_may_come_before_the_answer(
    stripe_standin: StripeStandIn, receiver: Receiver
) -> None:
    await stripe_standin.control.post("webhooks", url=receiver.url)
    await stripe_standin.control.post("faults", match="POST /v1/payment_intents", kind="reset_after")
    with pytest.raises(httpx.TransportError):
        await create_intent(stripe_standin)
    assert types(await receiver.until(1)) == ["payment_intent.created"]


async def test_portone_signs_by_standard_webhooks(
    portone_standin: PortOneStandIn, receiver: Receiver
) -> None:
    await portone_standin.control.post("webhooks", url=receiver.url)
    await portone_standin.control.post("pay", paymentId="pur_1", amount=10_000)
    got = await receiver.until(2)
    assert types(got) == ["Transaction.Ready", "Transaction.Paid"]
    verifier = Webhook(portone_standin.webhook_secret)
    verified: Any = verifier.verify(got[1].body, dict(got[1].headers))
    assert verified["data"]["paymentId"] == "pur_1"
    assert verified["data"]["storeId"] == portone_standin.store_id
