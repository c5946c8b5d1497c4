"""What a job costs, in credits. The quote is stored with the job, so new prices leave it alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from contracts.base import Contract

CHARGE_KRW_PER_CREDIT = 100
"""Of a job paid by card without a package. Flat, so that any part of a charge can be refunded to the won."""

PAYMENT_KRW_MIN = 1_000
"""Stripe takes no less than 50 US cents' worth, about 700 won; this leaves room for the exchange rate."""

Basis = Literal["declared", "measured", "assumed"]


class Quote(Contract):
    """A price by time or by piece; what does not apply is 0."""

    credits: int
    started_minutes: int = 0
    credits_per_minute: int = 0
    pieces: int = 0
    credits_per_piece: int = 0
    basis: Basis
    """`declared`: the client's duration; `measured`: ours, at ingest; `assumed`: one minute until then."""


@dataclass(frozen=True)
class PerMinute:
    """A price for each started minute of the source."""

    credits: int

    def quote(
        self, params: Any, duration_ms: int | None, basis: Basis, *, first: Quote | None = None
    ) -> Quote:
        """Price of one job on a source of `duration_ms` milliseconds; None counts as one minute. `first`, the job's
        earlier quote, keeps its rate; None: today's."""
        minutes = 1 if duration_ms is None else max(1, -(-duration_ms // 60_000))
        rate = self.credits if first is None else first.credits_per_minute
        return Quote(credits=minutes * rate, started_minutes=minutes, credits_per_minute=rate, basis=basis)


@dataclass(frozen=True)
class PerPiece:
    """A price for each piece that is made; those that cannot be made cost nothing."""

    credits: int
    pieces: Callable[[Any], int]
    """How many a job's params ask for."""

    def quote(
        self, params: Any, duration_ms: int | None, basis: Basis, *, first: Quote | None = None
    ) -> Quote:
        pieces = self.pieces(params)
        rate = self.credits if first is None else first.credits_per_piece
        return Quote(credits=pieces * rate, pieces=pieces, credits_per_piece=rate, basis=basis)


Price = PerMinute | PerPiece
