"""The providers' own statements, kept as evidence: each entry of their balance, each payout to our bank."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.finance import ProviderTotals
from contracts.payments import BalanceEntry, Payout, Provider

KEEP_ENTRY = text("""
    INSERT INTO provider_entries (provider, entry_id, kind, amount_krw, fee_krw, occurred_at, payment_ref, source_ref,
                                  purchase_id, refund_id, payout_ref)
    VALUES (:provider, :entry_id, :kind, :amount_krw, :fee_krw, :created_at, :payment_ref, :source_ref,
            :purchase_id, :refund_id, :payout_ref)
    ON CONFLICT (provider, entry_id) DO UPDATE SET payout_ref = excluded.payout_ref
     WHERE provider_entries.payout_ref IS NULL AND excluded.payout_ref IS NOT NULL""")

KEEP_PAYOUT = text("""
    INSERT INTO provider_payouts (provider, payout_ref, amount_krw, status, arrived_at)
    VALUES (:provider, :payout_ref, :amount_krw, :status, :arrived_at)
    ON CONFLICT (provider, payout_ref) DO UPDATE SET status = excluded.status, arrived_at = excluded.arrived_at""")

TOTALS = text("""
    SELECT provider,
           coalesce(sum(amount_krw) FILTER (WHERE kind = 'charge'), 0)::bigint AS received_krw,
           -coalesce(sum(amount_krw) FILTER (WHERE kind IN ('refund', 'refund_failure')), 0)::bigint AS refunded_krw,
           -coalesce(sum(amount_krw) FILTER (WHERE kind IN ('dispute', 'dispute_reversal')), 0)::bigint AS disputed_krw,
           coalesce(sum(fee_krw), 0)::bigint AS fees_krw,
           -coalesce(sum(amount_krw) FILTER (WHERE kind = 'payout'), 0)::bigint AS paid_out_krw
      FROM provider_entries WHERE occurred_at >= :from AND occurred_at < :to GROUP BY provider""")

CASH = text("""
    SELECT a.provider, coalesce(sum(p.amount), 0)::bigint AS krw
      FROM accounts a LEFT JOIN postings p ON p.account_id = a.id WHERE a.kind = 'cash' GROUP BY a.provider""")


async def keep_entries(session: AsyncSession, entries: Sequence[BalanceEntry]) -> None:
    if entries:
        await session.execute(KEEP_ENTRY, [entry.model_dump() for entry in entries])


async def keep_payouts(session: AsyncSession, payouts: Sequence[Payout]) -> None:
    if payouts:
        await session.execute(KEEP_PAYOUT, [payout.model_dump() for payout in payouts])


async def totals(session: AsyncSession, from_: datetime, to: datetime) -> tuple[ProviderTotals, ...]:
    """What each provider moved in [from_, to), and what the books call its cash today. Whole won."""
    moved = {row.provider: row for row in await session.execute(TOTALS, {"from": from_, "to": to})}
    cash: dict[str, int] = {row.provider: row.krw for row in await session.execute(CASH)}
    return tuple(
        ProviderTotals(
            provider=Provider(name),
            received_krw=moved[name].received_krw if name in moved else 0,
            refunded_krw=moved[name].refunded_krw if name in moved else 0,
            disputed_krw=moved[name].disputed_krw if name in moved else 0,
            fees_krw=moved[name].fees_krw if name in moved else 0,
            paid_out_krw=moved[name].paid_out_krw if name in moved else 0,
            cash_krw=cash.get(name, 0),
        )
        for name in sorted(moved.keys() | cash.keys())
    )
