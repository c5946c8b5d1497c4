"""The words of the purchase saga: what its workflow is given, what each step is given and returns."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from contracts.base import Contract
from contracts.cards import has_card_number
from contracts.ids import JobId, PurchaseId, RefundId, UserId, purchase_workflow_id
from contracts.payments import Checkout, Provider, PurchaseStatus, RefundReason, RefundStatus, RefundTo
from contracts.text import WholeNumber, is_storable
from contracts.timing import PurchaseDeadlines


class PurchaseRef(Contract):
    """Input of steps that need nothing else; everything else is in the purchase's row."""

    purchase_id: PurchaseId
    actor: str = "system:TokenPurchase"


class PurchaseState(Contract):
    """A purchase as the books know it: what every step answers."""

    status: PurchaseStatus
    provider_status: str = ""
    """As last looked up, in the words of `PaymentState.status`."""
    credits: int = 0
    amount_krw: int = 0
    refunded_krw: int = 0
    refunds_open: int = 0
    """Refunds requested or pending."""
    refunding: dict[RefundId, int] = Field(default_factory=dict[RefundId, int])
    """The won of each of them."""
    refunds_failed: int = 0
    """Refunds that the provider could not pay and nobody has seen to."""
    disputes_open: int = 0
    disputed_krw: int = 0
    """Of open disputes, as far as it is booked."""
    credits_frozen: int = 0
    """By open disputes."""
    lost_krw: int = 0
    """What banks have kept."""
    credits_lost: int = 0
    """Credits that went with it."""
    credits_owed: int = 0
    """Credits that were spent before and have become the customer's debt."""
    job_id: JobId | None = None
    failure_code: str | None = None
    detail: str = ""
    """The provider's decline code of the latest try, or why the latest refund failed."""
    paid_at: datetime | None = None


class PurchaseMemory(Contract):
    """What a run of `TokenPurchaseWorkflow` leaves to the next, when its history has grown too long."""

    started_at: datetime
    """Of the first run: deadlines are counted from there."""
    state: PurchaseState
    told: bool
    """The job and the customer know of the payment."""
    looks: int
    """At the provider, since the latest news."""
    fault: tuple[str, str, str] | None
    """Step, code and detail of what support is shown."""
    refused: str | None
    creation_interrupted: bool
    cancel_requested: bool = False
    money_back: bool
    asked: dict[RefundId, int]
    more_asked: int


class PurchaseInput(Contract):
    """Input of `TokenPurchaseWorkflow`: written once by the API, true for the life of the purchase."""

    purchase_id: PurchaseId
    user_id: UserId
    provider: Provider
    credits: int
    amount_krw: int
    job_id: JobId | None = None
    """The job that the purchase pays for."""
    deadlines: PurchaseDeadlines = PurchaseDeadlines()
    memory: PurchaseMemory | None = None
    """Only of a run that continues another."""

    @property
    def workflow_id(self) -> str:
        return purchase_workflow_id(self.purchase_id)


class ClosePurchase(Contract):
    """End a purchase that was not paid. Cancelled at the provider first; if the money came meanwhile it is settled."""

    purchase_id: PurchaseId
    status: Literal[PurchaseStatus.FAILED, PurchaseStatus.CANCELED, PurchaseStatus.EXPIRED]
    failure_code: str


SUPPORT_REASONS = frozenset(
    {
        RefundReason.REQUESTED_BY_CUSTOMER,
        RefundReason.DUPLICATE,
        RefundReason.FRAUDULENT,
        RefundReason.SERVICE_FAULT,
        RefundReason.GOODWILL,
    }
)
"""The others are the saga's own and the provider's."""


class RefundRequest(Contract):
    """Input of the `refund` update and of the API's request. Without arguments: everything that is not spent.

    At most one of `amount_krw` and `credits`.
    """

    amount_krw: WholeNumber | None = None
    credits: WholeNumber | None = None
    reason: RefundReason = RefundReason.REQUESTED_BY_CUSTOMER
    note: str = ""
    request_id: str = ""
    """Names the intent, so that a repeat refunds once. The update's own id when empty."""
    actor: str = ""
    """Set by whoever passes the request on; what people type here in the Web UI is not believed."""

    @property
    def possible(self) -> bool:
        asked = [amount for amount in (self.amount_krw, self.credits) if amount is not None]
        return len(asked) < 2 and all(amount > 0 for amount in asked)

    @property
    def fit_for_support(self) -> bool:
        """A reason that is a person's to give, and words that can and may be kept."""
        words = is_storable(self.note) and not has_card_number(self.note)
        return self.possible and self.reason in SUPPORT_REASONS and words


WEB_UI = "support:web-ui"
"""Who asks by an update: Temporal does not say which person it was."""


class RequestRefund(Contract):
    purchase_id: PurchaseId
    key: str
    """Names the intent; `refund_id(purchase_id, key)` is the refund's id."""
    request: RefundRequest


class Refunded(Contract):
    """A refund as the books know it."""

    refund_id: RefundId
    purchase_id: PurchaseId
    amount_krw: int
    credits: int
    status: RefundStatus
    reason: RefundReason
    failure: str = ""


class ChargeState(Contract):
    """What the job's saga learns of the purchase that pays for it."""

    status: PurchaseStatus
    held_credits: int = 0
    """Held for the job since the moment of payment."""
    amount_krw: int = 0
    refund_to: RefundTo = RefundTo.CARD
    failure_code: str | None = None


class PurchaseOutcome(Contract):
    """Result of `TokenPurchaseWorkflow`."""

    purchase_id: PurchaseId
    status: PurchaseStatus
    credits: int
    amount_krw: int
    refunded_krw: int = 0
    failure_code: str | None = None


class CheckoutAnswer(Contract):
    """What the app needs, once the provider has answered."""

    status: PurchaseStatus
    checkout: Checkout | None = None
    """None while the provider is away (ask again) and once the purchase is settled."""
    action_required: bool = False
    """The bank asks the customer for authentication."""
    failure_code: str | None = None
    declined: str | None = None
    """The provider's decline code of the latest try."""


class PurchaseNotice(Contract):
    """A message to the user about their purchase."""

    purchase_id: PurchaseId
    user_id: UserId
    event: Literal["paid"]
    """`paid`: the receipt."""
    credits: int
    amount_krw: int

    @property
    def key(self) -> str:
        """The receiver knows a repeat by it."""
        return f"{self.purchase_id}/{self.event}"
