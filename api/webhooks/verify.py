"""Whether a webhook comes from the provider, and what it says, without the card.

Signatures are checked on the raw body, by the libraries that the providers name. A signature made too long ago, or
in the future, is refused, since it could be sent again for ever. Of the content only listed fields are kept.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic import SecretStr
from standardwebhooks.webhooks import EmptyWebhookSecretError, Webhook, WebhookVerificationError
from stripe import SignatureVerificationError, WebhookSignature

from contracts.errors import Code, EchoError
from contracts.ids import PurchaseId
from contracts.payments import Provider, ProviderEvent
from contracts.settings import Settings
from contracts.text import storable_json

Json = dict[str, Any]

STRIPE_EVENT_FIELDS = ("id", "type", "created", "api_version", "livemode")
STRIPE_OBJECT_FIELDS = (
    *("id", "object", "created", "status", "currency", "amount", "amount_received", "amount_refunded"),
    *("payment_intent", "charge", "reason", "cancellation_reason", "failure_reason", "failure_code"),
    *("balance_transaction", "arrival_date"),
)
STRIPE_ERROR_FIELDS = ("type", "code", "decline_code")
STRIPE_METADATA_FIELDS = ("purchase_id", "refund_id")
PORTONE_EVENT_FIELDS = ("type", "timestamp")
PORTONE_DATA_FIELDS = ("storeId", "paymentId", "transactionId", "cancellationId")

PURCHASE_ID = re.compile(r"pur_[0-9a-f]{32}")


def verify_stripe(raw: bytes, headers: Mapping[str, str], settings: Settings) -> tuple[ProviderEvent, Json]:
    """The event, and what of it may be stored. Raises WEBHOOK_SIGNATURE, or BAD_REQUEST when the provider signed
    something that is no event. Secrets being rotated are separated by commas."""
    header = headers.get("stripe-signature", "")
    _check(settings.stripe.webhook_secret, lambda secret: WebhookSignature.verify_header(raw, header, secret))
    # The library would refuse the past only.
    _check_age(next(item[2:] for item in header.split(",") if item.startswith("t=")), settings)
    event = _parsed(raw)
    thing = _part(_part(event, "data"), "object")
    kept = _only(event, STRIPE_EVENT_FIELDS) | {
        "object": _only(thing, STRIPE_OBJECT_FIELDS)
        | {"metadata": _only(_part(thing, "metadata"), STRIPE_METADATA_FIELDS)}
        | {"last_payment_error": _only(_part(thing, "last_payment_error"), STRIPE_ERROR_FIELDS)}
    }
    payment_ref = thing.get("id") if thing.get("object") == "payment_intent" else thing.get("payment_intent")
    return (
        _event(
            Provider.STRIPE,
            event.get("id"),
            event.get("type"),
            lambda: datetime.fromtimestamp(event["created"], UTC),
            payment_ref,
            kept["object"]["metadata"].get("purchase_id"),
        ),
        kept,
    )


def verify_portone(raw: bytes, headers: Mapping[str, str], settings: Settings) -> tuple[ProviderEvent, Json]:
    """As `verify_stripe`, by Standard Webhooks, whose library takes nothing older than five minutes anyway."""
    given = dict(headers)
    _check(
        settings.portone.webhook_secret, lambda secret: Webhook(secret).verify(raw, given, json_parse=False)
    )
    _check_age(headers.get("webhook-timestamp", ""), settings)
    event = _parsed(raw)
    data = _part(event, "data")
    kept = _only(event, PORTONE_EVENT_FIELDS) | {"data": _only(data, PORTONE_DATA_FIELDS)}
    return (
        _event(
            Provider.PORTONE,
            headers.get("webhook-id"),
            event.get("type"),
            lambda: datetime.fromisoformat(event["timestamp"]),
            data.get("paymentId"),
            data.get("paymentId"),
        ),
        kept,
    )


def _check(secrets: SecretStr, verify: Callable[[str], object]) -> None:
    """Any of the secrets will do. None configured: nobody can have signed."""
    for secret in filter(None, secrets.get_secret_value().split(",")):
        try:
            verify(secret.strip())
        except (SignatureVerificationError, WebhookVerificationError, EmptyWebhookSecretError):
            continue
        except (ValueError, TypeError):
            continue  # a header or body that is no text, or no base64
        return
    raise EchoError(Code.WEBHOOK_SIGNATURE)


def _check_age(signed_at_s: str, settings: Settings) -> None:
    """The time is part of what was signed."""
    if abs(time.time() - int(signed_at_s)) > settings.webhook_age_s_max:
        raise EchoError(Code.WEBHOOK_SIGNATURE, f"signed at {signed_at_s}, now it is {int(time.time())}")


def _parsed(raw: bytes) -> Json:
    try:
        event = json.loads(raw)
    except ValueError as error:
        raise EchoError(Code.BAD_REQUEST, "the signed body is not JSON") from error
    if not isinstance(event, dict):
        raise EchoError(Code.BAD_REQUEST, "the signed body is not an event")
    return storable_json(event)


def _event(
    provider: Provider,
    event_id: object,
    kind: object,
    occurred_at: Callable[[], datetime],
    payment_ref: object,
    purchase_id: object,
) -> ProviderEvent:
    try:
        return ProviderEvent(
            provider=provider,
            event_id=event_id,  # pyright: ignore[reportArgumentType]
            type=kind,  # pyright: ignore[reportArgumentType]
            occurred_at=occurred_at(),
            object_ref=payment_ref or "",  # pyright: ignore[reportArgumentType]
            purchase_id=_ours(purchase_id),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise EchoError(Code.BAD_REQUEST, "the signed body is not an event") from error


def _ours(value: object) -> PurchaseId | None:
    """The account may also be paid for things that are not ours."""
    return PurchaseId(value) if isinstance(value, str) and PURCHASE_ID.fullmatch(value) else None


def _part(source: Json, name: str) -> Json:
    value = source.get(name)
    return value if isinstance(value, dict) else {}


def _only(source: Json, names: tuple[str, ...]) -> Json:
    return {name: source[name] for name in names if source.get(name) is not None}
