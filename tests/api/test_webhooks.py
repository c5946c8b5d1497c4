"""What providers report: twice, late, early, forged or about nobody, money is booked once or not at all."""

from __future__ import annotations

import json
import time
from uuid import uuid4

import httpx
import pytest

from dev.servers.ports import free_port
from dev.standins.stripe.account import signature_headers
from tests.api.acts import assert_problem
from tests.api.serving import served
from tests.api.till import VISA, Till, signed_at
from tests.workflows.house import until


def event(payment: str = "pi_unknown", *, type: str = "payment_intent.succeeded", **metadata: str) -> bytes:
    """As Stripe would tell of a payment."""
    about = {
        "id": payment,
        "object": "payment_intent",
        "amount": 10_000,
        "amount_received": 10_000,
        "status": "succeeded",
        "metadata": metadata,
    }
    body = {
        "id": f"evt_{uuid4().hex}",
        "object": "event",
        "type": type,
        "created": int(time.time()),
        "data": {"object": about},
    }
    return json.dumps(body).encode()


async def paid_by_events(till: Till, mode: str) -> list[dict[str, object]]:
    """A purchase in the app while the provider reports in this mode; then what stands in the inbox."""
    await till.webhooks(mode, delay_ms=200)
    alice = till.person("alice")
    answer = await till.buys(alice)
    await till.pays(answer["checkout"])
    await till.becomes(alice, answer["purchase"]["id"], "PAID")

    async def all_delivered() -> bool:
        return await till.rows("SELECT 1 FROM webhook_inbox WHERE delivered_at IS NULL") == []

    await until(all_delivered)
    assert (await alice.get("/v1/credits/balance")).json()["available_paid"] == 100
    assert len(await till.rows("SELECT id FROM transfers WHERE kind = 'purchase'")) == 1
    await till.shop.assert_agreed()
    return await till.rows("SELECT event_id, type, outcome FROM webhook_inbox")


async def test_an_event_with_characters_that_are_no_text_is_kept_without_them(till: Till) -> None:
    strange = json.loads(event(purchase_id="\0\ud800"))
    strange["type"] = "payment_intent.\0\ud800"
    strange["data"]["object"]["cancellation_reason"] = "\ud800\0"
    assert (await till.send(json.dumps(strange).encode())).status_code == 200
    [kept] = await till.rows("SELECT type, payload FROM webhook_inbox")
    assert kept["type"] == "payment_intent.\ufffd?"
    assert kept["payload"]["object"]["cancellation_reason"] == "?\ufffd"


@pytest.mark.parametrize("mode", ["duplicated", "reordered"])
async def test_events_that_repeat_or_overtake_each_other_grant_once(mode: str, till: Till) -> None:
    inbox = await paid_by_events(till, mode)
    assert "payment_intent.succeeded" in {row["type"] for row in inbox}
    assert len({row["event_id"] for row in inbox}) == len(inbox)


async def test_an_event_that_comes_before_the_answer_to_the_payment_is_not_lost(till: Till) -> None:
    await till.stripe.control.post(
        "faults", match="POST /v1/payment_intents", kind="slow_after", delay_ms=1500, times=1
    )
    alice = till.person("alice")
    purchase = (await till.buys(alice, payment_method=VISA))["purchase"]
    await till.becomes(alice, purchase["id"], "PAID")
    outcomes = await till.rows("SELECT outcome FROM webhook_inbox WHERE type = 'payment_intent.succeeded'")
    assert outcomes == [{"outcome": "delivered"}]
    await till.shop.assert_agreed()


async def test_that_a_payment_was_created_is_news_only_once_its_purchase_is_over(till: Till) -> None:
    await till.webhooks("held")
    alice = till.person("alice")
    purchase = (await till.buys(alice))["purchase"]
    asked = len(await till.stripe.control.get("requests"))
    created = event(purchase_id=purchase["id"], type="payment_intent.created")
    assert (await till.send(created)).status_code == 200
    outcome = "SELECT outcome FROM webhook_inbox ORDER BY received_at"
    assert await till.rows(outcome) == [{"outcome": "expected"}]
    assert len(await till.stripe.control.get("requests")) == asked

    await alice.post(f"/v1/payments/{purchase['id']}/cancel")
    await till.becomes(alice, purchase["id"], "CANCELED")
    late = event(purchase_id=purchase["id"], type="payment_intent.created")
    assert (await till.send(late)).status_code == 200

    async def told() -> bool:
        return await till.rows(outcome) == [{"outcome": "expected"}, {"outcome": "delivered"}]

    await until(told)


async def test_a_forged_missing_or_stale_signature_is_refused_and_nothing_is_stored(
    closed_till: Till,
) -> None:
    body, secret = event(), closed_till.stripe.webhook_secret
    other = event()
    wrong = [
        signature_headers("whsec_somebody_elses", body),
        signature_headers(secret, other),
        {},
        {"Stripe-Signature": ""},
        {"Stripe-Signature": "t=,v1="},
        {"Stripe-Signature": "t=abc,v1=\xff".encode("latin-1").decode("latin-1")},
        signed_at(secret, body, seconds_ago=301),
        signed_at(secret, body, seconds_ago=-600),
        signed_at("", body, seconds_ago=0),
    ]
    for headers in wrong:
        encoded = {name: value.encode("latin-1") for name, value in headers.items()}
        async with httpx.AsyncClient(base_url=closed_till.api.url, trust_env=False) as client:
            answer = await client.post("/v1/webhooks/stripe", content=body, headers=encoded)
        assert_problem(answer, 400, "webhook_signature")
    assert await closed_till.rows("SELECT event_id FROM webhook_inbox") == []


async def test_a_provider_without_a_secret_is_not_believed(closed_till: Till) -> None:
    """An empty key signs, too: whoever knows that there is none could sign with it."""
    async with httpx.AsyncClient(base_url=closed_till.api.url, trust_env=False) as client:
        answer = await client.post("/v1/webhooks/portone", content=b"{}", headers={"webhook-id": "1"})
    assert_problem(answer, 400, "webhook_signature")


async def test_an_event_about_nobody_is_kept_as_unknown(closed_till: Till) -> None:
    strangers = [event(), event(purchase_id="pur_" + "0" * 32), event(purchase_id="another system's")]
    for body in strangers:
        assert (await closed_till.send(body)).status_code == 200
    rows = await closed_till.rows("SELECT outcome FROM webhook_inbox")
    assert rows == [{"outcome": "unknown"}] * 3


async def test_a_repeat_is_answered_200_and_written_once(closed_till: Till) -> None:
    body = event()
    assert [(await closed_till.send(body)).status_code for _ in range(3)] == [200, 200, 200]
    assert len(await closed_till.rows("SELECT event_id FROM webhook_inbox")) == 1


async def test_a_genuine_body_that_is_no_event_is_a_bad_request(closed_till: Till) -> None:
    for body in (b"", b"[]", b"{}", b'{"id": 1}'):
        assert_problem(await closed_till.send(body), 400, "bad_request")
    assert await closed_till.rows("SELECT event_id FROM webhook_inbox") == []


async def test_a_body_beyond_the_limit_is_refused(closed_till: Till) -> None:
    body = b" " * (closed_till.api.settings.request_body_bytes_max + 1)
    assert_problem(await closed_till.send(body), 413, "payload_too_large")


async def test_an_event_that_nobody_could_be_told_of_is_answered_and_left_to_the_sweeper(till: Till) -> None:
    await till.webhooks("held")
    alice = till.person("alice")
    answer = await till.buys(alice)
    await till.pays(answer["checkout"])
    cut_off = till.shop.house.settings.model_copy(update={"temporal_address": f"127.0.0.1:{free_port()}"})
    async with served(cut_off) as api:
        await till.webhooks("held", url=f"{api.url}/v1/webhooks/stripe")
        sent = await till.stripe.control.post("webhooks/flush")
    assert sent["failed"] == 0
    waiting = await till.rows("SELECT outcome FROM webhook_inbox WHERE delivered_at IS NULL")
    assert 0 < len(waiting) <= sent["delivered"]  # that a customer was created is about nobody's payment
    assert (await alice.get("/v1/credits/balance")).json()["available"] == 0

    report = await till.sweep()

    assert report.events_delivered == len(waiting)
    await till.becomes(alice, answer["purchase"]["id"], "PAID")
    await till.shop.assert_agreed()


async def test_nothing_of_the_card_is_kept_from_an_event(till: Till) -> None:
    await paid_by_events(till, "normal")
    rows = await till.rows("SELECT payload::text AS payload FROM webhook_inbox")
    for word in ("4242", "card", "client_secret", "last4", "billing", "fingerprint"):
        assert not any(word in row["payload"] for row in rows), word
