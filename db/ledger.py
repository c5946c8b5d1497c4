"""Credits, in double entry: every transfer is one immutable row and the postings that it consists of.

The rules (balanced, never negative, one resolution a hold, written once) are enforced by the database itself, see
docs/adr/020 and migration 0002; this module finds the right postings and turns a refusal into words. Each function
is one step of the caller's transaction and may be repeated with the same transfer id. Amounts are whole credits.
The user's accounts are locked first, in the order of their ids, so no two transfers can wait for each other.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.errors import Code, EchoError
from contracts.ids import TransferId, UserId
from contracts.ledger import AccountKind, Balance, Bucket, HoldState, TransferKind, TransferOrigin

SPENDING_ORDER = (Bucket.PROMO, Bucket.PAID)
"""Of a hold and of a capture: what the user has paid for is used last."""

GRANTED_FROM = {Bucket.PROMO: AccountKind.PROMO, Bucket.PAID: AccountKind.ISSUED}


@dataclass(frozen=True)
class Leg:
    """One posting: `amount` is added to the account, the user's own or the system's."""

    account: AccountKind
    bucket: Bucket
    amount: int


async def grant(
    session: AsyncSession,
    transfer_id: TransferId,
    user_id: UserId,
    amount: int,
    bucket: Bucket,
    origin: TransferOrigin,
) -> None:
    """Credits come into being: promotional ones, or paid ones whose money has been booked elsewhere."""
    await _lock_user(session, user_id)
    legs = [Leg(AccountKind.AVAILABLE, bucket, amount), Leg(GRANTED_FROM[bucket], bucket, -amount)]
    await _write(session, transfer_id, TransferKind.GRANT, user_id, amount, legs, origin)


async def hold(
    session: AsyncSession, transfer_id: TransferId, user_id: UserId, amount: int, origin: TransferOrigin
) -> HoldState:
    """Put credits aside: pending until captured, released or expired. CREDITS_SHORT names what is missing."""
    available = _parts(await _lock_user(session, user_id), AccountKind.AVAILABLE)
    if sum(available.values()) < amount:
        # A repeat finds the balance already lowered by its own first run.
        if await _recorded(session, transfer_id) is None:
            raise EchoError(
                Code.CREDITS_SHORT,
                f"{amount} credits needed, {sum(available.values())} available",
                {"required": amount, "available": sum(available.values())},
            )
        available = {Bucket.PAID: amount}
    legs = [
        leg
        for bucket, part in _split(amount, available).items()
        for leg in (Leg(AccountKind.AVAILABLE, bucket, -part), Leg(AccountKind.HELD, bucket, part))
    ]
    if await _write(session, transfer_id, TransferKind.HOLD, user_id, amount, legs, origin):
        return HoldState(hold_id=transfer_id, amount=amount)
    state = await get_hold(session, transfer_id)
    assert state is not None
    return state


async def capture(
    session: AsyncSession,
    transfer_id: TransferId,
    hold_id: UUID,
    amount: int | None,
    origin: TransferOrigin,
) -> HoldState:
    """Take `amount` (None: all) of a hold as revenue; the rest returns to the user in the same transfer."""
    pending = await _lock_hold(session, hold_id)
    taken = pending.state.amount if amount is None else amount
    if taken > pending.state.amount:
        raise EchoError(Code.TRANSFER_CONFLICT, f"capture of {taken} from a hold of {pending.state.amount}")
    legs: list[Leg] = []
    for bucket, part in _split(taken, pending.held).items():
        legs.append(Leg(AccountKind.REVENUE, bucket, part))
    for bucket, held in pending.held.items():
        legs.append(Leg(AccountKind.HELD, bucket, -held))
        legs.append(Leg(AccountKind.AVAILABLE, bucket, held - _split(taken, pending.held).get(bucket, 0)))
    return await _resolve(session, transfer_id, pending, TransferKind.CAPTURE, taken, legs, origin)


async def release(
    session: AsyncSession,
    transfer_id: TransferId,
    hold_id: UUID,
    origin: TransferOrigin,
    *,
    expired: bool = False,
) -> HoldState:
    """Give a hold back whole. `expired` says in the books that time ran out."""
    pending = await _lock_hold(session, hold_id)
    kind = TransferKind.EXPIRE if expired else TransferKind.RELEASE
    legs = [
        leg
        for bucket, held in pending.held.items()
        for leg in (Leg(AccountKind.HELD, bucket, -held), Leg(AccountKind.AVAILABLE, bucket, held))
    ]
    return await _resolve(session, transfer_id, pending, kind, pending.state.amount, legs, origin)


async def get_hold(session: AsyncSession, hold_id: UUID) -> HoldState | None:
    row = (
        await session.execute(
            text("""
                SELECT h.amount, r.kind FROM transfers h LEFT JOIN transfers r ON r.hold_id = h.id
                 WHERE h.id = :hold_id AND h.kind = 'hold'"""),
            {"hold_id": hold_id},
        )
    ).one_or_none()
    if row is None:
        return None
    return HoldState(
        hold_id=hold_id,
        amount=row.amount,
        resolved_by=None if row.kind is None else TransferKind(row.kind),
    )


async def hold_amounts(session: AsyncSession, hold_ids: Collection[UUID]) -> dict[UUID, int]:
    """Amounts of many holds, resolved ones too, in one query."""
    rows = await session.execute(
        text("SELECT id, amount FROM transfers WHERE id = ANY(:ids) AND kind = 'hold'"),
        {"ids": list(hold_ids)},
    )
    return {row.id: row.amount for row in rows}


async def balance(session: AsyncSession, user_id: UserId) -> Balance:
    """Zeros for a user who never had a credit."""
    rows = await session.execute(
        text("SELECT kind, bucket, balance FROM accounts WHERE user_id = :user_id"), {"user_id": user_id}
    )
    return _balance({(AccountKind(r.kind), Bucket(r.bucket)): r.balance for r in rows})


async def lock_balance(session: AsyncSession, user_id: UserId) -> Balance:
    """The balance, which nobody else changes until this transaction ends."""
    return _balance(await _lock_user(session, user_id))


@dataclass(frozen=True)
class Resolution:
    id: UUID
    kind: TransferKind
    amount: int


async def get_resolution(session: AsyncSession, hold_id: UUID) -> Resolution | None:
    """The transfer that ended a hold; None while it is pending."""
    query = text("SELECT id, kind, amount FROM transfers WHERE hold_id = :hold_id")
    row = (await session.execute(query, {"hold_id": hold_id})).one_or_none()
    return None if row is None else Resolution(row.id, TransferKind(row.kind), row.amount)


# The steps below are in calling order.

Accounts = dict[tuple[AccountKind, Bucket], int]
"""Balances of one user."""


@dataclass(frozen=True)
class _Pending:
    user_id: UserId
    state: HoldState
    resolution_id: UUID | None
    held: dict[Bucket, int]


async def _lock_user(session: AsyncSession, user_id: UserId) -> Accounts:
    """The user's balances, which nobody else changes until this transaction ends."""
    # NO KEY UPDATE is what the balance trigger takes too; ORDER BY keeps every transfer in one order.
    lock = text("""SELECT kind, bucket, balance FROM accounts WHERE user_id = :user_id
                    ORDER BY id FOR NO KEY UPDATE""")
    rows = (await session.execute(lock, {"user_id": user_id})).all()
    if not rows:
        await session.execute(
            text("""
                INSERT INTO accounts (kind, unit, bucket, user_id, balance)
                SELECT kind, 'credit', bucket, :user_id, 0
                  FROM unnest('{available,held}'::text[]) kind, unnest('{promo,paid}'::text[]) bucket
                 ORDER BY kind, bucket ON CONFLICT DO NOTHING"""),
            {"user_id": user_id},
        )
        rows = (await session.execute(lock, {"user_id": user_id})).all()
    return {(AccountKind(r.kind), Bucket(r.bucket)): r.balance for r in rows}


async def _lock_hold(session: AsyncSession, hold_id: UUID) -> _Pending:
    user_id = await session.scalar(
        text("SELECT user_id FROM transfers WHERE id = :hold_id AND kind = 'hold'"), {"hold_id": hold_id}
    )
    if user_id is None:
        raise EchoError(Code.NOT_FOUND, f"hold {hold_id}")
    await _lock_user(session, user_id)
    rows = (
        await session.execute(
            text("""
                SELECT h.amount AS amount, r.id AS resolution_id, r.kind AS resolution, a.bucket, p.amount AS held
                  FROM transfers h
                  JOIN postings p ON p.transfer_id = h.id
                  JOIN accounts a ON a.id = p.account_id AND a.kind = 'held'
                  LEFT JOIN transfers r ON r.hold_id = h.id
                 WHERE h.id = :hold_id"""),
            {"hold_id": hold_id},
        )
    ).all()
    first = rows[0]
    return _Pending(
        user_id=user_id,
        state=HoldState(
            hold_id=hold_id,
            amount=first.amount,
            resolved_by=None if first.resolution is None else TransferKind(first.resolution),
        ),
        resolution_id=first.resolution_id,
        held={Bucket(r.bucket): r.held for r in rows},
    )


async def _resolve(
    session: AsyncSession,
    transfer_id: TransferId,
    pending: _Pending,
    kind: TransferKind,
    amount: int,
    legs: Sequence[Leg],
    origin: TransferOrigin,
) -> HoldState:
    if pending.resolution_id not in (None, transfer_id):
        raise EchoError(
            Code.HOLD_RESOLVED,
            f"hold {pending.state.hold_id} by {pending.state.resolved_by} {pending.resolution_id}",
        )
    await _write(
        session, transfer_id, kind, pending.user_id, amount, legs, origin, hold_id=pending.state.hold_id
    )
    return pending.state.model_copy(update={"resolved_by": kind})


async def _write(
    session: AsyncSession,
    transfer_id: TransferId,
    kind: TransferKind,
    user_id: UserId,
    amount: int,
    legs: Sequence[Leg],
    origin: TransferOrigin,
    *,
    hold_id: UUID | None = None,
) -> bool:
    """Write a transfer with all its postings in one statement; False when this very transfer is there already."""
    if amount < 1:
        raise EchoError(Code.VALIDATION_FAILED, f"a transfer moves at least 1 credit, not {amount}")
    legs = [leg for leg in legs if leg.amount != 0]
    values = {
        "id": transfer_id,
        "kind": kind.value,
        "amount": amount,
        "user_id": user_id,
        "hold_id": hold_id,
        "job_id": origin.job_id or None,
        "actor": origin.actor,
        "step": origin.step,
        "workflow_id": origin.workflow_id,
        "run_id": origin.run_id,
        "reason": origin.reason,
        "accounts": [leg.account.value for leg in legs],
        "buckets": [leg.bucket.value for leg in legs],
        "amounts": [leg.amount for leg in legs],
    }
    written = await session.execute(
        text("""
            WITH transfer AS (
                INSERT INTO transfers (id, kind, unit, amount, user_id, hold_id, job_id, actor, step, workflow_id,
                                       run_id, reason)
                VALUES (:id, :kind, 'credit', :amount, :user_id, :hold_id, :job_id, :actor, :step, :workflow_id,
                        :run_id, :reason)
                ON CONFLICT (id) DO NOTHING RETURNING id, user_id)
            INSERT INTO postings (transfer_id, account_id, amount)
            SELECT transfer.id, account.id, leg.amount
              FROM transfer
             CROSS JOIN unnest(:accounts ::text[], :buckets ::text[], :amounts ::bigint[]) leg (kind, bucket, amount)
              JOIN accounts account ON account.kind = leg.kind AND account.bucket = leg.bucket
               AND (account.user_id = transfer.user_id OR account.user_id IS NULL)
            RETURNING transfer_id"""),
        values,
    )
    if written.first() is not None:
        return True
    recorded = await _recorded(session, transfer_id)
    bucket = legs[0].bucket if kind is TransferKind.GRANT else None
    asked = _Recorded(kind, amount, user_id, hold_id, origin.job_id, bucket)
    if recorded != asked:
        raise EchoError(Code.TRANSFER_CONFLICT, f"transfer {transfer_id} is {recorded}, asked for {asked}")
    return False


@dataclass(frozen=True)
class _Recorded:
    """What two transfers of one id must have in common. Who asked may differ: a sweeper repeats for a workflow."""

    kind: TransferKind
    amount: int
    user_id: str | None
    hold_id: UUID | None
    job_id: str
    bucket: Bucket | None
    """Of a grant; how a hold is split follows from the balances, not from the request."""


async def _recorded(session: AsyncSession, transfer_id: TransferId) -> _Recorded | None:
    row = (
        await session.execute(
            text("""
                SELECT t.kind, t.amount, t.user_id, t.hold_id, coalesce(t.job_id, '') AS job_id, min(a.bucket) AS bucket
                  FROM transfers t JOIN postings p ON p.transfer_id = t.id JOIN accounts a ON a.id = p.account_id
                 WHERE t.id = :id GROUP BY t.id"""),
            {"id": transfer_id},
        )
    ).one_or_none()
    if row is None:
        return None
    kind = TransferKind(row.kind)
    bucket = Bucket(row.bucket) if kind is TransferKind.GRANT else None
    return _Recorded(kind, row.amount, row.user_id, row.hold_id, row.job_id, bucket)


def _split(amount: int, parts: dict[Bucket, int]) -> dict[Bucket, int]:
    """`amount` taken from `parts` in spending order; buckets that give nothing are left out."""
    taken: dict[Bucket, int] = {}
    for bucket in SPENDING_ORDER:
        if (part := min(amount, parts.get(bucket, 0))) > 0:
            taken[bucket] = part
            amount -= part
    return taken


def _parts(accounts: Accounts, kind: AccountKind) -> dict[Bucket, int]:
    return {bucket: amount for (account, bucket), amount in accounts.items() if account is kind}


def _balance(accounts: Accounts) -> Balance:
    available = _parts(accounts, AccountKind.AVAILABLE)
    held = _parts(accounts, AccountKind.HELD)
    return Balance(
        available=sum(available.values()),
        held=sum(held.values()),
        available_promo=available.get(Bucket.PROMO, 0),
        available_paid=available.get(Bucket.PAID, 0),
        held_promo=held.get(Bucket.PROMO, 0),
        held_paid=held.get(Bucket.PAID, 0),
    )
