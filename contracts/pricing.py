"""What a job costs, in credits. The quote is stored with the job, so new prices leave it alone."""

from __future__ import annotations

from typing import Literal

from contracts.base import Contract
from contracts.media import MediaInfo

CREDITS_PER_STARTED_MINUTE: dict[str, int] = {
    "enhance": 10,
}
"""By job kind. At the smallest package (100 credits for 10,000 won) a credit is 100 won."""

CHARGE_KRW_PER_CREDIT = 100
"""Of a job paid by card without a package. Flat, so that any part of a charge can be refunded to the won."""

PAYMENT_KRW_MIN = 1_000
"""Stripe takes no less than 50 US cents' worth, about 700 won; this leaves room for the exchange rate."""


class Quote(Contract):
    credits: int
    started_minutes: int
    credits_per_minute: int
    basis: Literal["declared", "measured", "assumed"]
    """`declared`: the client's duration; `measured`: ours, at ingest; `assumed`: one minute until then."""


def measured_quote(kind: str, info: MediaInfo, *, rate: int | None = None) -> Quote:
    """Price by the picture's own duration, as measured at ingest; `rate` as in `quote`."""
    return quote(kind, int(info.video.duration_s * 1000), "measured", rate=rate)


def quote(
    kind: str,
    duration_ms: int | None,
    basis: Literal["declared", "measured", "assumed"],
    *,
    rate: int | None = None,
) -> Quote:
    """Price of one job of `kind` on a source of `duration_ms` milliseconds; None counts as one minute.

    `rate`, in credits a minute, is that of the job's first quote; None: today's.
    """
    minutes = 1 if duration_ms is None else max(1, -(-duration_ms // 60_000))
    rate = CREDITS_PER_STARTED_MINUTE[kind] if rate is None else rate
    return Quote(credits=minutes * rate, started_minutes=minutes, credits_per_minute=rate, basis=basis)
