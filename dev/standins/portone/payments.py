"""Payments and their cancellations: the states, and what each step demands of them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal
from uuid import uuid4

from dev.standins.portone.errors import ApiError
from dev.standins.store import JsonObject, Store, new_id

Emit = Callable[[str, JsonObject, str | None], None]
"""From webhook type, payment and cancellation id."""

MODE = "cancellation_mode"
"""Setting: the status in which cancellations of the API begin."""
DECLINED = {"reason": "한도초과", "pgCode": "6000", "pgMessage": "한도초과 승인거절"}
_UNPAID = ("READY", "FAILED")
BILLING_KEYS = {"billing-key-ok": True, "billing-key-declined": False}
"""Built-in test keys: whether the card pays. They are `OWNER`'s; `billing-key-ok-of-X` is the customer X's."""
OWNER = "user-1"


class Payments:
    def __init__(self, store: Store, store_id: str, channel_key: str, emit: Emit) -> None:
        self._store = store
        self._store_id = store_id
        self._channel_key = channel_key
        self._emit = emit

    def find(self, payment_id: str) -> JsonObject:
        found = self._store.get("payment", payment_id)
        if found is None:
            raise ApiError("PAYMENT_NOT_FOUND", f"no payment {payment_id}")
        return found

    def register(self, payment_id: str, amount: int) -> None:
        """Fix the amount that alone may be paid under this id. The payment stays invisible until somebody pays."""
        known = self._store.get("payment", payment_id)
        if known is not None and known["status"] not in _UNPAID:
            raise ApiError("ALREADY_PAID", f"{payment_id} is paid already")
        self._store.set(f"registered/{payment_id}", amount)

    def pay(
        self,
        payment_id: str,
        amount: int,
        *,
        outcome: Literal["PAID", "FAILED", "READY"],
        order_name: str,
        customer_id: str | None,
        custom_data: str | None = None,
        billing_key: str | None = None,
    ) -> JsonObject:
        """One try (READY: not finished yet). The same id may be tried again until it is paid; then never again."""
        known = self._store.get("payment", payment_id)
        if known is not None and known["status"] not in _UNPAID:
            raise ApiError("ALREADY_PAID", f"{payment_id} is paid already")
        registered = self._store.setting(f"registered/{payment_id}", amount)
        if registered != amount:
            raise ApiError("INVALID_REQUEST", f"the amount registered for {payment_id} is {registered}")
        now = _now()
        payment: JsonObject = {
            "status": outcome,
            "id": payment_id,
            "transactionId": str(uuid4()),
            "merchantId": "merchant-standin",
            "storeId": self._store_id,
            "method": {"type": "PaymentMethodCard", "card": {"brand": "VISA", "number": "42424242****4242"}},
            "channel": {
                "type": "TEST",
                "id": "channel-id-standin",
                "key": self._channel_key,
                "name": "stand-in",
                "pgProvider": "TOSSPAYMENTS",
                "pgMerchantId": "standin",
            },
            "version": "V2",
            "requestedAt": now,
            "updatedAt": now,
            "statusChangedAt": now,
            "orderName": order_name,
            "amount": _amounts(amount, cancelled=0, paid=outcome == "PAID"),
            "currency": "KRW",
            "customer": {"id": customer_id} if customer_id else {},
            "isCulturalExpense": False,
        }
        payment |= {"customData": custom_data} if custom_data is not None else {}
        payment |= {"billingKey": billing_key} if billing_key is not None else {}
        if outcome == "PAID":
            payment |= {"paidAt": now, "pgTxId": new_id("pg")}
        elif outcome == "FAILED":
            payment |= {"failedAt": now, "failure": DECLINED}
        if known is None:
            self._store.add("payment", payment)
        else:
            self._store.save(payment)
        self._emit("Transaction.Ready", payment, None)
        if outcome != "READY":
            self._emit(f"Transaction.{outcome.capitalize()}", payment, None)
        return payment

    def billing_key(self, billing_key: str) -> tuple[bool, str]:
        """Whether its card pays, and whose it is."""
        name, _, owner = billing_key.partition("-of-")
        if name not in BILLING_KEYS:
            raise ApiError("BILLING_KEY_NOT_FOUND", f"no billing key {billing_key}")
        return BILLING_KEYS[name], owner or OWNER

    def pay_with_billing_key(
        self, payment_id: str, amount: int, billing_key: str, order_name: str, customer_id: str | None
    ) -> JsonObject:
        approved, _ = self.billing_key(billing_key)
        payment = self.pay(
            payment_id,
            amount,
            outcome="PAID" if approved else "FAILED",
            order_name=order_name,
            customer_id=customer_id,
            billing_key=billing_key,
        )
        if not approved:
            raise ApiError(
                "PG_PROVIDER",
                "the payment gateway refused",
                pgCode=DECLINED["pgCode"],
                pgMessage=DECLINED["pgMessage"],
            )
        return payment

    def cancel(
        self,
        payment_id: str,
        amount: int | None,
        reason: str,
        expected_left: int | None,
        status: Literal["SUCCEEDED", "REQUESTED", "FAILED"],
    ) -> JsonObject:
        """Give money back; `amount` None: all that is left. The cancellation as it was answered."""
        payment = self.find(payment_id)
        if payment["status"] in _UNPAID:
            raise ApiError("PAYMENT_NOT_PAID", f"{payment_id} is not paid")
        if payment["status"] == "CANCELLED":
            raise ApiError("PAYMENT_ALREADY_CANCELLED", f"{payment_id} is cancelled already")
        left = _left(payment)
        if expected_left is not None and expected_left != left:
            raise ApiError("CANCELLABLE_AMOUNT_CONSISTENCY_BROKEN", f"{left} won can be cancelled")
        amount = left if amount is None else amount
        if not 0 < amount <= left:
            raise ApiError("CANCEL_AMOUNT_EXCEEDS_CANCELLABLE_AMOUNT", f"{left} won can be cancelled")
        cancellation = {
            "status": "REQUESTED",
            "id": new_id("cancellation").replace("_", "-"),
            "pgCancellationId": new_id("pgc"),
            "totalAmount": amount,
            "taxFreeAmount": 0,
            "vatAmount": 0,
            "reason": reason,
            "requestedAt": _now(),
        }
        payment.setdefault("cancellations", []).append(cancellation)
        self._store.save(payment)
        if status == "REQUESTED":
            self._emit("Transaction.CancelPending", payment, cancellation["id"])
            return cancellation
        return self.settle(payment_id, cancellation["id"], status)

    def settle(
        self, payment_id: str, cancellation_id: str, outcome: Literal["SUCCEEDED", "FAILED"]
    ) -> JsonObject:
        """The gateway's word on a cancellation. PortOne sends no webhook for one that failed."""
        payment = self.find(payment_id)
        cancellation = next(
            (found for found in payment.get("cancellations", []) if found["id"] == cancellation_id), None
        )
        if cancellation is None or cancellation["status"] != "REQUESTED":
            raise ApiError("INVALID_REQUEST", f"no cancellation {cancellation_id} waits")
        cancellation["status"] = outcome
        now = _now()
        payment["updatedAt"] = now
        if outcome == "SUCCEEDED":
            cancellation["cancelledAt"] = now
            done = [found for found in payment["cancellations"] if found["status"] == "SUCCEEDED"]
            cancelled, total = sum(found["totalAmount"] for found in done), payment["amount"]["total"]
            whole = cancelled == total
            payment |= {
                "status": "CANCELLED" if whole else "PARTIAL_CANCELLED",
                "amount": _amounts(total, cancelled=cancelled, paid=True),
                "cancelledAt": now,
                "statusChangedAt": now,
            }
            kind = "Transaction.Cancelled" if whole else "Transaction.PartialCancelled"
            self._emit(kind, payment, cancellation_id)
        self._store.save(payment)
        return cancellation

    def waiting_cancellation(self, cancellation_id: str) -> str:
        """The payment of a cancellation."""
        for payment in self._store.oldest("payment"):
            if any(found["id"] == cancellation_id for found in payment.get("cancellations", [])):
                return payment["id"]
        raise ApiError("INVALID_REQUEST", f"no cancellation {cancellation_id}")

    def all(self) -> list[JsonObject]:
        return list(self._store.oldest("payment"))


def _left(payment: JsonObject) -> int:
    """Won that can still be cancelled: what waits for the gateway is taken already."""
    taken = [found for found in payment.get("cancellations", []) if found["status"] != "FAILED"]
    return payment["amount"]["total"] - sum(found["totalAmount"] for found in taken)


def _amounts(total: int, *, cancelled: int, paid: bool) -> JsonObject:
    vat = total // 11  # a tenth on top of the supply price
    return {
        "total": total,
        "taxFree": 0,
        "vat": vat,
        "supply": total - vat,
        "discount": 0,
        "paid": total - cancelled if paid else 0,
        "cancelled": cancelled,
        "cancelledTaxFree": 0,
    }


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")
