"""How a transfer is written: lock the user's accounts, open what is missing, write once, recognise a repeat.

The user's accounts are locked first, in the order of their ids, so no two transfers can wait for each other. A system
account is only named, never locked: all users' transfers meet in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.errors import Code, EchoError
from contracts.ids import TransferId, UserId
from contracts.ledger import AccountKind, Bucket, TransferKind, TransferOrigin
from contracts.payments import Provider

OWNED = frozenset(
    {AccountKind.AVAILABLE, AccountKind.HELD, AccountKind.REFUNDS, AccountKind.DISPUTES, AccountKind.DEBT}
)
"""Kinds whose credit accounts belong to a user each. Won are never a user's."""


class Ref(NamedTuple):
    """An account, as seen by one user's transfer: credits have a bucket, won have none."""

    kind: AccountKind
    bucket: Bucket | None
    provider: Provider | None = None

    @property
    def owned(self) -> bool:
        return self.bucket is not None and self.kind in OWNED


class Leg(NamedTuple):
    """One posting: `amount` is added to the account."""

    account: Ref
    amount: int


class Account(NamedTuple):
    id: int
    balance: int | None
    """None for the system's: theirs is the sum of their postings."""


Accounts = dict[Ref, Account]
"""One user's and the system's accounts."""


@dataclass(frozen=True)
class Transfer:
    """What two transfers of one id must have in common. Who asked may differ: a sweeper repeats for a workflow."""

    id: TransferId
    kind: TransferKind
    amount: int
    user_id: UserId | None
    hold_id: UUID | None = None
    expires_at: datetime | None = None
    legs: frozenset[Leg] | None = None
    """None where they follow from the balances or from the hold, not from the request."""


# The statements, parsed once. NO KEY UPDATE is the lock that the balance trigger takes too.

LOCK = text("""
    WITH own AS (SELECT id, kind, bucket, provider, balance FROM accounts WHERE user_id = :user_id
                  ORDER BY id FOR NO KEY UPDATE)
    SELECT * FROM own
     UNION ALL
    SELECT id, kind, bucket, provider, NULL FROM accounts WHERE user_id IS NULL""")

# Two first purchases at once open the same accounts: the second waits for the first and finds them.
OPEN = text("""
    INSERT INTO accounts (kind, unit, bucket, provider, user_id, balance)
    SELECT kind, CASE WHEN bucket IS NULL THEN 'krw' ELSE 'credit' END, bucket, provider,
           CASE WHEN owned THEN :user_id END, CASE WHEN owned THEN 0 END
      FROM unnest(:kinds ::text[], :buckets ::text[], :providers ::text[], :owned ::boolean[])
           WITH ORDINALITY new (kind, bucket, provider, owned, place)
     ORDER BY place ON CONFLICT DO NOTHING""")

WRITE = text("""
    WITH transfer AS (
        INSERT INTO transfers (id, kind, unit, amount, user_id, job_id, purchase_id, expires_at, actor, step,
                               workflow_id, run_id, reason)
        VALUES (:id, :kind, :unit, :amount, :user_id, :job_id, :purchase_id, :expires_at, :actor, :step, :workflow_id,
                :run_id, :reason)
        ON CONFLICT DO NOTHING RETURNING id)
    INSERT INTO postings (transfer_id, account_id, amount)
    SELECT transfer.id, leg.account_id, leg.amount
      FROM transfer CROSS JOIN unnest(:accounts ::bigint[], :amounts ::bigint[]) leg (account_id, amount)
    RETURNING transfer_id""")

RECORDED = text("""
    SELECT t.kind, t.amount, t.user_id, t.hold_id, t.expires_at, t.job_id, t.purchase_id, array_agg(a.kind) AS kinds,
           array_agg(a.bucket) AS buckets, array_agg(a.provider) AS providers, array_agg(p.amount) AS amounts
      FROM transfers t JOIN postings p ON p.transfer_id = t.id JOIN accounts a ON a.id = p.account_id
     WHERE t.id = :id GROUP BY t.id""")


def require(*amounts: int, perhaps: tuple[int, ...] = ()) -> None:
    """The first must move something, the others may be zero."""
    if min(amounts) < 1 or min(perhaps, default=0) < 0:
        raise EchoError(Code.VALIDATION_FAILED, f"a transfer cannot move {amounts}, {perhaps}")


async def lock(session: AsyncSession, user_id: UserId | None, needed: Iterable[Ref]) -> Accounts:
    """The user's and the system's accounts, those in `needed` opened if they are new."""
    accounts = await _locked(session, user_id)
    missing = sorted({ref for ref in needed if ref not in accounts}, key=str)
    if not missing:
        return accounts
    values = {
        "user_id": user_id,
        "kinds": [ref.kind.value for ref in missing],
        "buckets": [ref.bucket and ref.bucket.value for ref in missing],
        "providers": [ref.provider and ref.provider.value for ref in missing],
        "owned": [ref.owned for ref in missing],
    }
    await session.execute(OPEN, values)
    return await _locked(session, user_id)


async def write(
    session: AsyncSession,
    transfer: Transfer,
    legs: Sequence[Leg],
    accounts: Accounts,
    origin: TransferOrigin,
) -> None:
    """Write a transfer with all its postings in one statement; nothing when this very transfer is there already."""
    values = call_values(transfer.id, origin) | {
        "kind": transfer.kind.value,
        "unit": "krw" if _in_won(transfer, legs) else "credit",
        "amount": transfer.amount,
        "user_id": transfer.user_id,
        "expires_at": transfer.expires_at,
        "accounts": [accounts[leg.account].id for leg in legs],
        "amounts": [leg.amount for leg in legs],
    }
    if (await session.execute(WRITE, values)).first() is not None:
        return
    # Not written: the id is taken, or the purchase has its payment.
    if await is_recorded(session, transfer, origin):
        return
    raise EchoError(Code.TRANSFER_CONFLICT, f"purchase {origin.purchase_id} is paid for by another transfer")


async def is_recorded(session: AsyncSession, transfer: Transfer, origin: TransferOrigin) -> bool:
    """Whether this transfer is in the books; TRANSFER_CONFLICT when its id is there with other content."""
    row = (await session.execute(RECORDED, {"id": transfer.id})).one_or_none()
    if row is None:
        return False
    written = zip(row.kinds, row.buckets, row.providers, row.amounts, strict=True)
    legs = frozenset(
        Leg(Ref(AccountKind(kind), bucket and Bucket(bucket), provider and Provider(provider)), amount)
        for kind, bucket, provider, amount in written
    )
    recorded = Transfer(
        id=transfer.id,
        kind=TransferKind(row.kind),
        amount=row.amount,
        user_id=row.user_id,
        hold_id=row.hold_id,
        expires_at=row.expires_at,
        legs=None if transfer.legs is None else legs,
    )
    asked_of = (origin.job_id or None, origin.purchase_id or None)
    if (recorded, row.job_id, row.purchase_id) != (transfer, *asked_of):
        raise EchoError(Code.TRANSFER_CONFLICT, f"recorded: {recorded}, asked for: {transfer}")
    return True


def call_values(transfer_id: TransferId, origin: TransferOrigin) -> dict[str, Any]:
    """What every transfer says of itself, as the statements name it."""
    return {
        "id": transfer_id,
        "job_id": origin.job_id or None,
        "purchase_id": origin.purchase_id or None,
        "actor": origin.actor,
        "step": origin.step,
        "workflow_id": origin.workflow_id,
        "run_id": origin.run_id,
        "reason": origin.reason,
    }


async def _locked(session: AsyncSession, user_id: UserId | None) -> Accounts:
    rows = await session.execute(LOCK, {"user_id": user_id})
    return {
        Ref(
            AccountKind(row.kind), row.bucket and Bucket(row.bucket), row.provider and Provider(row.provider)
        ): Account(row.id, row.balance)
        for row in rows
    }


def _in_won(transfer: Transfer, legs: Sequence[Leg]) -> bool:
    """A dispute is about won, unless it only freezes credits; everything else about credits, unless it moves none."""
    units = {leg.account.bucket is None for leg in legs}
    return units == {True} or (transfer.kind is TransferKind.DISPUTE and True in units)
