"""The payments port: one protocol, one module per provider of card payments (docs/adr/024)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Protocol

from contracts.ids import PurchaseId
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
from contracts.settings import Settings
from providers.payments.portone import PortOnePayments
from providers.payments.stripe import StripePayments


class Payments(Protocol):
    """Every method may be repeated at any time: it first finds what an earlier attempt, whose answer was lost,
    has done. Errors: PROVIDER_UNAVAILABLE (ask again later; the effect of this attempt is unknown),
    PROVIDER_REFUSED (final, without effect). A declined card is an answer."""

    async def create(self, order: PaymentOrder) -> tuple[PaymentState, Checkout]:
        """The order's one payment, made or found, and what the app needs to complete it."""
        ...

    async def lookup(self, purchase_id: PurchaseId, provider_ref: str | None) -> PaymentState | None:
        """None: the provider knows of no such payment (yet)."""
        ...

    async def cancel(self, purchase_id: PurchaseId, provider_ref: str) -> PaymentState:
        """Cancels a payment that is not made yet. One that was made meanwhile is answered as it is."""
        ...

    async def refund(self, order: RefundOrder) -> RefundState: ...

    async def refunds(self, provider_ref: str) -> list[RefundState]:
        """All of the payment, those from the provider's dashboard too; oldest first."""
        ...

    async def disputes(self, provider_ref: str) -> list[DisputeState]: ...

    def entries(self, from_: datetime, to: datetime) -> AsyncIterator[BalanceEntry]:
        """Movements of the balance, `from_ <= created_at < to`, in no promised order."""
        ...

    def payouts(self, from_: datetime, to: datetime) -> AsyncIterator[Payout]: ...

    def payout_entries(self, payout_ref: str) -> AsyncIterator[BalanceEntry]:
        """What a payout consists of, each with its `payout_ref`. Nothing where the provider does not tell."""
        ...

    async def aclose(self) -> None: ...


def payments(settings: Settings) -> dict[Provider, Payments]:
    """Those whose secret is configured; belongs to the running event loop, closed by its owner."""
    opened: dict[Provider, Payments] = {}
    if settings.stripe.secret_key.get_secret_value():
        opened[Provider.STRIPE] = StripePayments(settings.stripe)
    if settings.portone.api_secret.get_secret_value():
        opened[Provider.PORTONE] = PortOnePayments(settings.portone)
    return opened
