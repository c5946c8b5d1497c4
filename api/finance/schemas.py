"""Bodies of `/v1/finance`. Credits and won are whole numbers; a movement out is negative."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Generic, Literal, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator

from api.shapes import (
    Body,
    CorrectionIdText,
    JobIdText,
    Line,
    Moment,
    PageQuery,
    PurchaseIdText,
    ReconciliationIdText,
    RefundIdText,
    UserIdText,
    View,
)
from contracts.finance import (
    Correction,
    CorrectionLeg,
    CorrectionStatus,
    Difference,
    DifferenceKind,
    ProviderTotals,
    UnderWayPayment,
    UnderWayTotal,
)
from contracts.ledger import TransferKind
from contracts.payments import Provider, PurchaseStatus, RefundReason, RefundStatus

Format = Literal["json", "csv"]
Phase = Literal["reserved", "paid_out", "returned", "undone", "opened", "frozen", "won", "lost"]
AMOUNT_MAX = 10**12
"""A slip of the finger must not exceed what finance can explain."""

C = TypeVar("C")
V = TypeVar("V")


class ListQuery(PageQuery[C]):
    """`format=csv` answers with every row that passes the filters, as a stream, and leaves the cursors out."""

    user_id: UserIdText | None = None
    from_: Moment | None = Field(default=None, alias="from")
    """Inclusive."""
    to: Moment | None = None
    """Exclusive."""
    format: Format = "json"

    @property
    def filters(self) -> dict[str, Any]:
        named = self.model_dump(by_alias=True, exclude={"limit", "starting_after", "ending_before", "format"})
        return {name: value for name, value in named.items() if value is not None}


class TransferQuery(ListQuery[UUID]):
    """Filters of transfers."""

    kind: TransferKind | None = None
    job_id: JobIdText | None = None
    purchase_id: PurchaseIdText | None = None


class PurchaseQuery(ListQuery[PurchaseIdText]):
    """Filters of purchases."""

    status: PurchaseStatus | None = None
    provider: Provider | None = None


class RefundQuery(ListQuery[RefundIdText]):
    """Filters of refunds."""

    status: RefundStatus | None = None
    reason: RefundReason | None = None


class RevenueQuery(ListQuery[UUID]):
    """Filters of revenue."""

    job_kind: str | None = Field(default=None, pattern=r"^[a-z_]{1,40}$")


class LiabilityQuery(PageQuery[UUID]):
    """Filters of what is owed to users; it is a state, not a period."""

    user_id: UserIdText | None = None
    format: Format = "json"

    @property
    def filters(self) -> dict[str, Any]:
        return {} if self.user_id is None else {"user_id": self.user_id}


class Transfer(View):
    seq: int
    id: UUID
    created_at: datetime
    kind: TransferKind
    unit: Literal["credit", "krw"]
    amount: int
    user_id: str | None
    job_id: str | None
    purchase_id: str | None
    actor: str
    step: str
    reason: str
    phase: Phase | None
    """Of a refund or a dispute: what this transfer has done. Of a refund only `paid_out` moves money out, of a dispute
    only `opened`."""


class Purchase(View):
    id: str
    created_at: datetime
    paid_at: datetime | None
    user_id: str
    provider: Provider
    job_id: str | None
    credits: int
    amount_krw: int
    status: PurchaseStatus
    failure_code: str | None


class Refund(View):
    id: str
    created_at: datetime
    finished_at: datetime | None
    purchase_id: str
    user_id: str
    provider: Provider
    job_id: str | None
    credits: int
    amount_krw: int
    reason: RefundReason
    status: RefundStatus
    requested_by: str


class Lot(View):
    """The unspent part of a purchase: first bought is first spent."""

    transfer_id: UUID
    bought_at: datetime
    user_id: str
    purchase_id: str | None
    credits: int
    krw: int


class Earned(View):
    """One capture; `krw` is what its paid credits had been bought for."""

    transfer_id: UUID
    created_at: datetime
    user_id: str
    job_id: str | None
    job_kind: str | None
    credits: int
    paid_credits: int
    krw: int


class ListPage(View, Generic[V]):
    data: tuple[V, ...]
    has_more: bool
    totals: dict[str, int] | None = None
    """Of all rows that pass the filters, not of this page; `rows` is their number."""
    totals_by_status: dict[str, dict[str, int]] | None = None
    """Of purchases and refunds, in place of `totals`: the same for each status."""


class ReconcileStart(Body):
    """How far back the providers' statements are fetched anew."""

    days: int = Field(default=30, ge=1, le=400)


class Started(View):
    reconciliation_id: str
    status_url: str
    """404 until it is finished."""


class ReportedDifference(View):
    difference: Difference
    age_s: int
    what_to_do: str
    """In Korean or English, by `Accept-Language`."""
    suggested_legs: tuple[CorrectionLeg, ...]
    """For `POST /v1/finance/corrections` with this kind and subject; empty when no correction is due."""


class ReportedUnderWay(View):
    payment: UnderWayPayment
    age_s: int


class ReportUnderWay(View):
    """Payments that were neither agreed upon nor a difference, because they were still on their way."""

    payments: int
    amount_krw: int
    stages: tuple[UnderWayTotal, ...]
    """The same for each stage: what is `not_paid` may never come."""
    oldest: tuple[ReportedUnderWay, ...]
    """Twenty at most."""


class Report(View):
    """One reconciliation, as it was found."""

    id: str
    period_from: datetime
    period_to: datetime
    providers: tuple[ProviderTotals, ...]
    jobs_compared: int
    differences: tuple[ReportedDifference, ...]
    under_way: ReportUnderWay | None
    """Null in old reports, which did not count them."""


class ReportSummary(View):
    id: str
    period_from: datetime
    period_to: datetime
    differences: int
    krw: int
    """Sum of the differences' amounts without their signs."""


class ReportPage(View):
    data: tuple[ReportSummary, ...]
    has_more: bool


class ReconciliationQuery(PageQuery[ReconciliationIdText]):
    """A page of reconciliations."""


class CorrectionRequest(Body):
    """A transfer by hand. Postings sum to zero in won and in each bucket of credits."""

    reason: Line = Field(examples=["payment pi_3 was taken twice by the provider"])
    legs: tuple[CorrectionLeg, ...] = Field(min_length=2, max_length=20)
    kind: DifferenceKind | None = None
    """Of the difference that it corrects."""
    subject: Line | None = None

    @model_validator(mode="after")
    def _amounts(self) -> CorrectionRequest:
        if any(leg.amount == 0 or abs(leg.amount) > AMOUNT_MAX for leg in self.legs):
            raise ValueError(f"every amount is between 1 and {AMOUNT_MAX}, either sign")
        return self


class Decision(Body):
    note: str = Field(default="", max_length=255, pattern=r"^[^\x00-\x1f\x7f]*$")


class CorrectionQuery(PageQuery[CorrectionIdText]):
    """A page of corrections."""

    status: CorrectionStatus | None = None


class CorrectionPage(View):
    data: tuple[Correction, ...]
    has_more: bool


class RevenuePeriod(View):
    period: date
    """First day, in UTC."""
    job_kind: str
    jobs: int
    credits: int
    paid_credits: int
    krw: int


class RevenueByPeriod(View):
    data: tuple[RevenuePeriod, ...]


class RevenueByQuery(BaseModel):
    """A stretch of time."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    by: Literal["day", "month"] = "month"
    from_: Moment | None = Field(default=None, alias="from")
    to: Moment | None = None
