"""Bodies of `/v1/support`. Nothing here says which card paid: support has no need of it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from api.payments.schemas import Dispute, PurchaseBase, Refund
from api.shapes import Body, NoCard, View
from contracts.ids import PurchaseId, RefundId
from contracts.payments import RefundReason, RefundStatus
from contracts.text import WholeNumber

AMOUNT_MAX = 10_000_000
"""Won or credits; far above every purchase."""

Note = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x08\x0b-\x1f\x7f]*$", max_length=1000), NoCard]

SupportReason = Literal[
    RefundReason.REQUESTED_BY_CUSTOMER,
    RefundReason.DUPLICATE,
    RefundReason.FRAUDULENT,
    RefundReason.SERVICE_FAULT,
    RefundReason.GOODWILL,
]


class RefundRequest(Body):
    """At most one of `amount_krw` and `credits`; without both, everything that is not spent."""

    amount_krw: WholeNumber | None = Field(default=None, ge=1, le=AMOUNT_MAX, examples=[5_000])
    credits: WholeNumber | None = Field(default=None, ge=1, le=AMOUNT_MAX)
    reason: SupportReason
    note: Note = ""
    """For colleagues; kept with the refund."""

    @model_validator(mode="after")
    def _one_measure(self) -> Self:
        if self.amount_krw is not None and self.credits is not None:
            raise PydanticCustomError("one_measure", "amount_krw and credits exclude each other")
        return self


class Refunded(View):
    """A refund that was written down; the payment service is told of it next."""

    id: RefundId
    purchase_id: PurchaseId
    amount_krw: int
    credits: int
    status: RefundStatus
    reason: RefundReason


class Refundable(View):
    """What of the purchase is neither spent, held, refunded nor disputed."""

    credits: int
    amount_krw: int


class SupportRefund(Refund):
    requested_by: str
    note: str
    failed: bool
    """The card could not take it: the credits were given back, and somebody must see to it."""


class SupportDispute(Dispute):
    reason: str
    """The bank's, in the provider's words."""


class Event(View):
    """What the provider has reported, and what came of it."""

    type: str
    received_at: datetime
    outcome: str | None
    """Null: not delivered yet."""


class SupportPurchase(PurchaseBase):
    """A purchase as support sees it."""

    user_id: str
    declined: str | None
    """The provider's own code of the latest try, not for the customer, whose sentence is in `failure`. While another
    card is awaited `failure` is null, and the sentence is in the customer's own `declined.message`."""
    refunds: tuple[SupportRefund, ...]
    refundable: Refundable
    disputes: tuple[SupportDispute, ...]
    events: tuple[Event, ...]
    """Oldest first."""
    workflow_id: str
    workflow_url: str | None
    """The Temporal Web UI."""


class SupportLine(PurchaseBase):
    """A purchase in a list."""

    refunds: tuple[Refund, ...]
    user_id: str


class SupportPage(View):
    data: tuple[SupportLine, ...]
    has_more: bool
