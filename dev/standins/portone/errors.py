"""PortOne's errors: JSON with a `type`, and for a gateway's own refusal its code and message."""

from __future__ import annotations

from dev.standins.store import JsonObject

_STATUS = {
    "INVALID_REQUEST": 400,
    "UNAUTHORIZED": 401,
    "FORBIDDEN": 403,
    "PAYMENT_NOT_FOUND": 404,
    "BILLING_KEY_NOT_FOUND": 404,
    "ALREADY_PAID": 409,
    "PAYMENT_NOT_PAID": 409,
    "PAYMENT_ALREADY_CANCELLED": 409,
    "CANCEL_AMOUNT_EXCEEDS_CANCELLABLE_AMOUNT": 409,
    "CANCELLABLE_AMOUNT_CONSISTENCY_BROKEN": 409,
    "IDEMPOTENCY_OUTSTANDING_REQUEST": 409,
    "TOO_MANY_REQUESTS": 429,
    "INTERNAL_SERVER_ERROR": 500,
    "PG_PROVIDER": 502,
}


class ApiError(Exception):
    """An error answer. What was written before it was raised stays written, as a declined payment does."""

    def __init__(self, kind: str, message: str, **fields: str) -> None:
        super().__init__(message)
        self.status = _STATUS[kind]
        self.body: JsonObject = {"type": kind, "message": message, **fields}
