"""Only what the provider signed a moment ago is believed, and of that no card data is kept."""

from __future__ import annotations

import json
import time
from base64 import b64encode
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import SecretStr
from standardwebhooks.webhooks import Webhook
from stripe import WebhookSignature

from api.webhooks.verify import verify_portone, verify_stripe
from contracts.errors import Code, EchoError
from contracts.payments import Provider, ProviderEvent
from contracts.settings import PortOneSettings, Settings, StripeSettings

STRIPE_SECRET = "whsec_stripe"
PORTONE_SECRET = "whsec_" + b64encode(b"portone's secret, 24 byt").decode()
SETTINGS = Settings(
    stripe=StripeSettings(webhook_secret=SecretStr(STRIPE_SECRET)),
    portone=PortOneSettings(webhook_secret=SecretStr(PORTONE_SECRET)),
    webhook_age_s_max=300,
)
PURCHASE = "pur_" + "0123456789abcdef" * 2
CREATED = 1_795_000_000

INTENT: dict[str, Any] = {
    "id": "pi_1",
    "object": "payment_intent",
    "amount": 10_000,
    "currency": "krw",
    "status": "succeeded",
    "metadata": {"purchase_id": PURCHASE, "note": "of another system"},
    "client_secret": "pi_1_secret_2",
    "receipt_email": "ann@example.com",
    "last_payment_error": {
        "code": "card_declined",
        "decline_code": "generic_decline",
        "payment_method": {"card": {"last4": "4242"}},
    },
}


def stripe_event(thing: dict[str, Any], kind: str = "payment_intent.succeeded") -> bytes:
    return json.dumps(
        {"id": "evt_1", "object": "event", "type": kind, "created": CREATED, "data": {"object": thing}}
    ).encode()


def by_stripe(raw: bytes, *, secret: str = STRIPE_SECRET, at_s: int | None = None) -> dict[str, str]:
    at_s = int(time.time()) if at_s is None else at_s
    return {"stripe-signature": WebhookSignature.generate_signature_header(raw.decode(), secret, at_s)}


PORTONE_EVENT = json.dumps(
    {
        "type": "Transaction.PartialCancelled",
        "timestamp": "2026-11-21T15:00:00.123Z",
        "data": {
            "storeId": "store-1",
            "paymentId": PURCHASE,
            "transactionId": "tx-1",
            "cancellationId": "can-1",
            "card": {"number": "4242"},
        },
    }
).encode()


def by_portone(raw: bytes, *, secret: str = PORTONE_SECRET, at_s: int | None = None) -> dict[str, str]:
    at_s = int(time.time()) if at_s is None else at_s
    signature = Webhook(secret).sign("msg_1", datetime.fromtimestamp(at_s, UTC), raw.decode())
    return {"webhook-id": "msg_1", "webhook-timestamp": str(at_s), "webhook-signature": signature}


def refused(verify: Any, raw: bytes, headers: dict[str, str], settings: Settings = SETTINGS) -> Code:
    with pytest.raises(EchoError) as caught:
        verify(raw, headers, settings)
    return caught.value.code


def test_a_signed_stripe_event_is_read() -> None:
    raw = stripe_event(INTENT)
    event, _ = verify_stripe(raw, by_stripe(raw), SETTINGS)
    assert event == ProviderEvent.model_validate(
        {
            "provider": Provider.STRIPE,
            "event_id": "evt_1",
            "type": "payment_intent.succeeded",
            "occurred_at": datetime.fromtimestamp(CREATED, UTC),
            "object_ref": "pi_1",
            "purchase_id": PURCHASE,
        }
    )


def test_nothing_of_the_card_or_the_person_is_kept() -> None:
    raw = stripe_event(INTENT)
    _, kept = verify_stripe(raw, by_stripe(raw), SETTINGS)
    assert kept["object"]["amount"] == 10_000
    assert kept["object"]["metadata"] == {"purchase_id": PURCHASE}
    assert kept["object"]["last_payment_error"] == {
        "code": "card_declined",
        "decline_code": "generic_decline",
    }
    for secret in ("4242", "ann@example.com", "pi_1_secret_2", "another system"):
        assert secret not in json.dumps(kept)


@pytest.mark.parametrize(
    ("kind", "thing", "payment", "purchase"),
    [
        ("charge.refunded", {"object": "charge", "payment_intent": "pi_1"}, "pi_1", None),
        ("charge.dispute.created", {"object": "dispute", "payment_intent": "pi_1"}, "pi_1", None),
        (
            "refund.updated",
            {"object": "refund", "payment_intent": "pi_1", "metadata": {"purchase_id": PURCHASE}},
            "pi_1",
            PURCHASE,
        ),
        ("payout.paid", {"object": "payout", "id": "po_1"}, "", None),
        ("payment_intent.created", INTENT | {"metadata": {"purchase_id": "order-17"}}, "pi_1", None),
        ("payment_intent.created", INTENT | {"metadata": {}}, "pi_1", None),
    ],
)
def test_the_payment_that_an_event_is_about_is_named(
    kind: str, thing: dict[str, Any], payment: str, purchase: str | None
) -> None:
    raw = stripe_event(thing, kind)
    event, _ = verify_stripe(raw, by_stripe(raw), SETTINGS)
    assert (event.object_ref, event.purchase_id) == (payment, purchase)


def test_a_signed_portone_event_is_read_without_its_card() -> None:
    event, kept = verify_portone(PORTONE_EVENT, by_portone(PORTONE_EVENT), SETTINGS)
    assert (event.event_id, event.type, event.object_ref, event.purchase_id) == (
        "msg_1",
        "Transaction.PartialCancelled",
        PURCHASE,
        PURCHASE,
    )
    assert event.occurred_at == datetime(2026, 11, 21, 15, 0, 0, 123_000, UTC)
    assert kept["data"]["cancellationId"] == "can-1"
    assert "4242" not in json.dumps(kept)


@pytest.mark.parametrize("late_s", [-290, -1, 0, 1, 290])
def test_a_clock_that_is_a_little_off_is_forgiven(late_s: int) -> None:
    raw = stripe_event(INTENT)
    verify_stripe(raw, by_stripe(raw, at_s=int(time.time()) + late_s), SETTINGS)
    verify_portone(PORTONE_EVENT, by_portone(PORTONE_EVENT, at_s=int(time.time()) + late_s), SETTINGS)


@pytest.mark.parametrize("off_s", [-86_400, -310, 310, 86_400])
def test_a_stale_signature_and_one_from_the_future_are_refused(off_s: int) -> None:
    raw = stripe_event(INTENT)
    at_s = int(time.time()) + off_s
    assert refused(verify_stripe, raw, by_stripe(raw, at_s=at_s)) is Code.WEBHOOK_SIGNATURE
    stale = by_portone(PORTONE_EVENT, at_s=at_s)
    assert refused(verify_portone, PORTONE_EVENT, stale) is Code.WEBHOOK_SIGNATURE


def test_a_stricter_age_is_kept_for_both() -> None:
    strict = SETTINGS.model_copy(update={"webhook_age_s_max": 10})
    raw = stripe_event(INTENT)
    at_s = int(time.time()) - 60
    assert refused(verify_stripe, raw, by_stripe(raw, at_s=at_s), strict) is Code.WEBHOOK_SIGNATURE
    stale = by_portone(PORTONE_EVENT, at_s=at_s)
    assert refused(verify_portone, PORTONE_EVENT, stale, strict) is Code.WEBHOOK_SIGNATURE


@pytest.mark.parametrize(
    "header",
    [
        "",
        "t=",
        "t=now,v1=00",
        "t={now}",
        "t={now},v0=00",
        "t={now},v1=",
        "t={now},v1=ÿ",
        "v1=00",
        ",",
        "=",
    ],
)
def test_a_stripe_header_that_is_none_is_refused(header: str) -> None:
    raw, header = stripe_event(INTENT), header.replace("{now}", str(int(time.time())))
    assert refused(verify_stripe, raw, {"stripe-signature": header}) is Code.WEBHOOK_SIGNATURE
    assert refused(verify_stripe, raw, {}) is Code.WEBHOOK_SIGNATURE


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
@pytest.mark.parametrize("value", [None, "", "x", "v1", "v1,", "v1,ÿ", "v1,!!!", "nan", "1e999", ",,,"])
def test_a_portone_header_that_is_none_is_refused(name: str, value: str | None) -> None:
    headers = by_portone(PORTONE_EVENT)
    if value is None:
        del headers[name]
    else:
        headers[name] = value
    assert refused(verify_portone, PORTONE_EVENT, headers) is Code.WEBHOOK_SIGNATURE


@pytest.mark.parametrize("changed", [b" ", b"\xff", b"\x00"])
def test_a_changed_body_is_refused(changed: bytes) -> None:
    raw = stripe_event(INTENT)
    assert refused(verify_stripe, raw + changed, by_stripe(raw)) is Code.WEBHOOK_SIGNATURE
    headers = by_portone(PORTONE_EVENT)
    assert refused(verify_portone, PORTONE_EVENT + changed, headers) is Code.WEBHOOK_SIGNATURE


@pytest.mark.parametrize("data", [None, [], "pi_1", {"object": None}, {"object": {"metadata": []}}])
def test_an_event_of_a_shape_that_nobody_foresaw_is_about_nothing(data: object) -> None:
    raw = json.dumps({"id": "evt_2", "type": "new.kind", "created": CREATED, "data": data}).encode()
    event, _ = verify_stripe(raw, by_stripe(raw), SETTINGS)
    assert (event.event_id, event.object_ref, event.purchase_id) == ("evt_2", "", None)


def test_the_secret_of_somebody_else_is_refused() -> None:
    raw = stripe_event(INTENT)
    assert refused(verify_stripe, raw, by_stripe(raw, secret="whsec_other")) is Code.WEBHOOK_SIGNATURE
    other = "whsec_" + b64encode(b"another secret, 24 bytes").decode()
    forged = by_portone(PORTONE_EVENT, secret=other)
    assert refused(verify_portone, PORTONE_EVENT, forged) is Code.WEBHOOK_SIGNATURE


def test_without_a_secret_nothing_is_believed() -> None:
    raw = stripe_event(INTENT)
    unset = Settings()
    assert refused(verify_stripe, raw, by_stripe(raw, secret=""), unset) is Code.WEBHOOK_SIGNATURE
    assert refused(verify_portone, PORTONE_EVENT, by_portone(PORTONE_EVENT), unset) is Code.WEBHOOK_SIGNATURE


def test_while_secrets_are_rotated_both_are_believed() -> None:
    both = Settings(
        stripe=StripeSettings(webhook_secret=SecretStr(f"whsec_new, {STRIPE_SECRET}")),
        portone=PortOneSettings(webhook_secret=SecretStr(f"whsec_bmV3,{PORTONE_SECRET}")),
    )
    raw = stripe_event(INTENT)
    for secret in ("whsec_new", STRIPE_SECRET):
        verify_stripe(raw, by_stripe(raw, secret=secret), both)
    for secret in ("whsec_bmV3", PORTONE_SECRET):
        verify_portone(PORTONE_EVENT, by_portone(PORTONE_EVENT, secret=secret), both)


@pytest.mark.parametrize("raw", [b"{", b"[]", b"{}", b"null", b'{"id": 7, "type": "x", "created": 1}'])
def test_a_signed_body_that_is_no_event_is_a_bad_request(raw: bytes) -> None:
    assert refused(verify_stripe, raw, by_stripe(raw)) is Code.BAD_REQUEST
    assert refused(verify_portone, raw, by_portone(raw)) is Code.BAD_REQUEST
