"""Bodies of `/v1/credits` and `/v1/pricing`."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from api.shapes import Moment, PageQuery, View
from contracts.ledger import TransferKind
from contracts.payments import Provider, RefundTo
from contracts.refunds import Arrives, CardBack, CreditsBack

PERIOD_DEFAULT = timedelta(days=365)


class HistoryQuery(PageQuery[UUID]):
    """A page of transfers."""


class Transfer(View):
    """One line of the books, as the change that it made to the user's credits."""

    id: UUID
    at: datetime
    kind: TransferKind
    amount: int
    available_change: int
    held_change: int
    job_id: str | None
    reason: str


class TransferPage(View):
    data: tuple[Transfer, ...]
    has_more: bool


class UsageQuery(BaseModel):
    """A stretch of time; by default the year before `to`, which is now."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    by: Literal["day", "month"] = "month"
    from_: Moment | None = Field(default=None, alias="from")
    """Inclusive."""
    to: Moment | None = None
    """Exclusive."""

    @property
    def period(self) -> tuple[datetime, datetime]:
        to = self.to or datetime.now(UTC)
        # The first year of the calendar has none before it.
        earliest = datetime.min.replace(tzinfo=UTC) + PERIOD_DEFAULT
        return self.from_ or max(to, earliest) - PERIOD_DEFAULT, to


class UsageLine(View):
    period: date
    """First day of the period, in UTC."""
    kind: str
    credits: int
    jobs: int


class Usage(View):
    data: tuple[UsageLine, ...]


class KindPrice(View):
    kind: str
    title_en: str
    title_ko: str
    credits_per_started_minute: int | None
    """Null for a kind with a price by piece."""
    credits_per_piece: int | None
    """Null for a kind with a price by time. What cannot be made costs nothing."""


class CreditPackage(View):
    """On sale now."""

    package: str
    """What `POST /v1/payments/tokens` calls it."""
    credits: int
    krw: int
    price_id: str
    """Old purchases keep theirs."""
    valid_to: datetime | None
    """The first moment at which it no longer is."""


class RefundCase(View):
    """What comes back, for any of these states and this reason."""

    subject: str
    paid_by: str
    states: tuple[str, ...]
    reason: str
    refund_to: RefundTo | None
    credits: CreditsBack
    card: CardBack
    arrives: Arrives
    text_en: str
    text_ko: str


class Pricing(View):
    """What things cost, and how large a source may be."""

    kinds: tuple[KindPrice, ...]
    packages: tuple[CreditPackage, ...]
    providers: tuple[Provider, ...]
    """Of payments, those that are offered here."""
    charge_krw_per_credit: int
    """Of a job that a card pays for without a package."""
    refund_matrix: tuple[RefundCase, ...]
    upload_bytes_max: int
    single_put_bytes_max: int
    duration_s_max: int
