"""PortOne V2 by its REST API (docs/adr/024): the purchase's id is the `paymentId`, and one id is paid once.

What PortOne does not have: withdrawing an unpaid payment (the app's window may still pay it, which a webhook
tells), disputes, and fees and payouts, which the gateways behind it settle with the merchant themselves.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote

import httpx

from contracts.errors import Code, EchoError
from contracts.ids import PurchaseId, UserId
from contracts.payments import (
    BalanceEntry,
    Checkout,
    DisputeState,
    PaymentOrder,
    PaymentState,
    Payout,
    Provider,
    RefundOrder,
    RefundState,
)
from contracts.settings import PortOneSettings
from contracts.timing import PROVIDER_CALL
from providers.payments import portone_objects as objects
from providers.payments.breaker import Breaker, Busy, Outage

PAGE = 100
"""Payments a page."""
CHANGED_MEANWHILE = "CANCELLABLE_AMOUNT_CONSISTENCY_BROKEN"


class PortOnePayments:
    def __init__(self, settings: PortOneSettings, *, breaker: Breaker | None = None) -> None:
        self._store_id = settings.store_id
        self._channel_key = settings.channel_key
        self._breaker = breaker or Breaker(Provider.PORTONE)
        self._http = httpx.AsyncClient(
            base_url=settings.api_base,
            headers={"Authorization": f"PortOne {settings.api_secret.get_secret_value()}"},
            timeout=PROVIDER_CALL.total_seconds(),
        )

    async def aclose(self) -> None:
        await self._http.aclose()

    # A payment

    async def create(self, order: PaymentOrder) -> tuple[PaymentState, Checkout]:
        state = None if order.first_try else await self.lookup(order.purchase_id, None)
        if order.payment_method is not None:
            if state is None or (state.status == "open" and state.declined is None):
                state = await self._pay(order, order.payment_method)
        elif state is None:
            state = await self._register(order)
        return state, Checkout(
            provider=Provider.PORTONE,
            provider_ref=order.purchase_id,
            store_id=self._store_id,
            channel_key=self._channel_key,
            payment_id=order.purchase_id,
            order_name=order.description,
        )

    async def lookup(self, purchase_id: PurchaseId, provider_ref: str | None) -> PaymentState | None:
        payment = await self._payment(provider_ref or purchase_id)
        return None if payment is None else objects.state(payment)

    async def cancel(self, purchase_id: PurchaseId, provider_ref: str) -> PaymentState:
        """Only says what there is: a payment that nobody has made needs no cancelling and cannot be forbidden."""
        state = await self.lookup(purchase_id, provider_ref)
        if state is None:
            return PaymentState(provider_ref=provider_ref, status="canceled", amount_krw=0)
        if state.status in ("open", "action_required"):
            return state.model_copy(update={"status": "canceled"})
        return state

    async def _payment(self, payment_id: str) -> dict[str, Any] | None:
        try:
            return await self._ask("GET", f"/payments/{payment_id}", params={"storeId": self._store_id})
        except EchoError as error:
            if error.fields.get("reason") == "PAYMENT_NOT_FOUND":
                return None
            raise

    async def _register(self, order: PaymentOrder) -> PaymentState:
        """Fixes the amount, so that a changed app cannot pay less."""
        body = {"storeId": self._store_id, "totalAmount": order.amount_krw, "currency": "KRW"}
        path = f"/payments/{order.purchase_id}/pre-register"
        try:
            await self._ask("POST", path, key=f"{order.purchase_id}-register", body=body)
        except EchoError as error:
            if error.fields.get("reason") != "ALREADY_PAID":
                raise
            return await self._made(order)
        return PaymentState(provider_ref=order.purchase_id, status="open", amount_krw=order.amount_krw)

    async def _pay(self, order: PaymentOrder, billing_key: str) -> PaymentState:
        body = {
            "storeId": self._store_id,
            "billingKey": billing_key,
            "orderName": order.description,
            "customer": {"id": order.user_id},
            "amount": {"total": order.amount_krw},
            "currency": "KRW",
        }
        path = f"/payments/{order.purchase_id}/billing-key"
        await self._check_owner(billing_key, order.user_id)
        try:
            await self._ask("POST", path, key=f"{order.purchase_id}-pay", body=body)
        except EchoError as error:
            # Declined by the card's bank, or made by an attempt whose answer was lost: the payment tells.
            if error.fields.get("reason") not in ("PG_PROVIDER", "ALREADY_PAID"):
                raise
        return await self._made(order)

    async def _check_owner(self, billing_key: str, user_id: UserId) -> None:
        """PortOne charges any key of the store; whoever has got hold of another customer's must not pay with it."""
        key = await self._ask(
            "GET", f"/billing-keys/{quote(billing_key, safe='')}", params={"storeId": self._store_id}
        )
        if key.get("status") != "ISSUED" or (key.get("customer") or {}).get("id") != user_id:
            raise EchoError(
                Code.PROVIDER_REFUSED,
                "portone: the billing key is not this customer's",
                {"reason": "BILLING_KEY_NOT_FOUND"},
            )

    async def _made(self, order: PaymentOrder) -> PaymentState:
        state = await self.lookup(order.purchase_id, None)
        if state is None:
            raise EchoError(Code.PROVIDER_UNAVAILABLE, "portone: does not show the payment yet")
        return state

    # Refunds

    async def refund(self, order: RefundOrder) -> RefundState:
        payment = await self._payment(order.provider_ref)
        if payment is None:
            raise EchoError(Code.PROVIDER_REFUSED, f"portone: there is no payment {order.provider_ref}")
        for known in objects.refunds(payment):
            if known.refund_id == order.refund_id:
                return known
        # PortOne forgets keys after three hours. Its check of the balance is what an attempt that is still under
        # way cannot pass a second time; it is part of the request and so of its key.
        left = objects.cancellable(payment)
        answer = await self._ask(
            "POST",
            f"/payments/{order.provider_ref}/cancel",
            key=f"{order.refund_id}-{left}",
            body={
                "storeId": self._store_id,
                "amount": order.amount_krw,
                "reason": f"{order.reason} {order.refund_id}",
                "requester": "ADMIN",
                "currentCancellableAmount": left,
            },
        )
        return objects.refund(answer["cancellation"])

    async def refunds(self, provider_ref: str) -> list[RefundState]:
        payment = await self._payment(provider_ref)
        return [] if payment is None else objects.refunds(payment)

    async def disputes(self, provider_ref: str) -> list[DisputeState]:
        return []

    # For reconciliation

    async def entries(self, from_: datetime, to: datetime) -> AsyncIterator[BalanceEntry]:
        """A payment is listed by the time of its last change, so all that changed since `from_` are read."""
        seen: set[str] = set()
        number, total = 0, 1
        while number * PAGE < total:
            request = {
                "page": {"number": number, "size": PAGE},
                "filter": {
                    "storeId": self._store_id,
                    "timestampType": "STATUS_CHANGED_AT",
                    "from": from_.isoformat(),
                    "status": ["PAID", "PARTIAL_CANCELLED", "CANCELLED"],
                    "sortBy": "STATUS_CHANGED_AT",
                    "sortOrder": "DESC",
                },
            }
            page = await self._ask("GET", "/payments", params={"requestBody": json.dumps(request)})
            for payment in page["items"]:
                for entry in objects.entries(payment):
                    # A payment made while pages are turned pushes others onto the next page, again.
                    if from_ <= entry.created_at < to and entry.entry_id not in seen:
                        seen.add(entry.entry_id)
                        yield entry
            number, total = number + 1, page["page"]["totalCount"]

    async def payouts(self, from_: datetime, to: datetime) -> AsyncIterator[Payout]:
        return
        yield  # makes this an iterator, of nothing

    async def payout_entries(self, payout_ref: str) -> AsyncIterator[BalanceEntry]:
        return
        yield  # likewise

    # Requests

    async def _ask(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        key: str | None = None,
        body: object = None,
    ) -> Any:
        headers = {} if key is None else {"Idempotency-Key": key}

        async def send() -> Any:
            try:
                answer = await self._http.request(method, path, params=params, json=body, headers=headers)
            except httpx.RequestError as error:
                raise Outage(f"connection failed ({type(error).__name__})") from error
            return _content(answer)

        return await self._breaker.call(send)


def _content(answer: httpx.Response) -> Any:
    """The JSON of a good answer; else PortOne's error in the words of the breaker and the port."""
    try:
        content = answer.json()
    except ValueError as error:
        raise Outage(f"answered {answer.status_code} without JSON") from error
    if answer.is_success:
        return content
    reason = str(content.get("type", answer.status_code))
    if answer.status_code == 429:
        wait = answer.headers.get("Retry-After", "")
        raise Busy("too many requests", int(wait) if wait.isdecimal() else None)
    if answer.status_code == 422 or reason.startswith("IDEMPOTENCY") or reason == CHANGED_MEANWHILE:
        raise Busy(reason)  # the key is in use or was used with another body, or the balance moved
    if answer.status_code in (401, 403):
        # Ours to repair; purchases wait for it.
        raise EchoError(
            Code.PROVIDER_UNAVAILABLE, f"portone does not accept our secret ({answer.status_code})"
        )
    if answer.status_code >= 500 and reason != "PG_PROVIDER":
        raise Outage(f"answered {answer.status_code}")
    # PG_PROVIDER comes as 502, but is the gateway's own answer: declined.
    raise EchoError(
        Code.PROVIDER_REFUSED,
        f"portone: {reason}: {content.get('pgCode') or content.get('message', '')}",
        {"provider": Provider.PORTONE, "reason": reason},
    )
