"""Credits, in double entry: every transfer is one immutable row and the postings that it consists of.

The rules (balanced, never negative, one resolution a hold, written once) are enforced by the database itself, see
docs/adr/020 and migration 0002; this module finds the right postings and turns a refusal into words. Each function
is one step of the caller's transaction and may be repeated with the same transfer id. Amounts are whole credits.
The user's accounts are locked first, in the order of their ids, so no two transfers can wait for each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.errors import Code, EchoError
from contracts.ids import TransferId, UserId
from contracts.ledger import AccountKind, Balance, Bucket, HoldState, TransferKind, TransferOrigin

SPENDING_ORDER = (Bucket.PROMO, Bucket.PAID)
"""Of a hold and of a capture: what the user has paid for is used last."""

GRANTED_FROM = {Bucket.PROMO: AccountKind.PROMO, Bucket.PAID: AccountKind.ISSUED}

# The statements, parsed once. NO KEY UPDATE is the lock that the balance trigger takes too. A system account is
# only named, never locked: all users' transfers meet in it.

LOCK_USER = text("""
    WITH own AS (SELECT id, kind, bucket, balance FROM accounts WHERE user_id = :user_id
                  ORDER BY id FOR NO KEY UPDATE)
    SELECT * FROM own
     UNION ALL
    SELECT id, kind, bucket, NULL FROM accounts WHERE user_id IS NULL AND unit = 'credit'""")

# What a hold consists of never changes, so it may be read beside the lock; whether it is still pending may not.
LOCK_HOLDER = text("""
    WITH own AS (SELECT a.id, a.kind, a.bucket, p.amount AS held, h.amount, h.user_id
                   FROM transfers h
                   JOIN accounts a ON a.user_id = h.user_id
                   LEFT JOIN postings p ON p.transfer_id = h.id AND p.account_id = a.id AND a.kind = 'held'
                  WHERE h.id = :hold_id AND h.kind = 'hold'
                  ORDER BY a.id FOR NO KEY UPDATE OF a)
    SELECT * FROM own
     UNION ALL
    SELECT id, kind, bucket, NULL, NULL, NULL FROM accounts WHERE user_id IS NULL AND unit = 'credit'""")

OPEN_ACCOUNTS = text("""
    INSERT INTO accounts (kind, unit, bucket, user_id, balance)
    SELECT kind, 'credit', bucket, :user_id, 0
      FROM unnest('{available,held}'::text[]) kind, unnest('{promo,paid}'::text[]) bucket
     ORDER BY kind, bucket ON CONFLICT DO NOTHING""")

WRITE = text("""
    WITH transfer AS (
        INSERT INTO transfers (id, kind, unit, amount, user_id, hold_id, job_id, actor, step, workflow_id, run_id,
                               reason)
        VALUES (:id, :kind, 'credit', :amount, :user_id, :hold_id, :job_id, :actor, :step, :workflow_id, :run_id,
                :reason)
        ON CONFLICT DO NOTHING RETURNING id)
    INSERT INTO postings (transfer_id, account_id, amount)
    SELECT transfer.id, leg.account_id, leg.amount
      FROM transfer CROSS JOIN unnest(:accounts ::bigint[], :amounts ::bigint[]) leg (account_id, amount)
    RETURNING transfer_id""")

RECORDED = text("""
    SELECT t.kind, t.amount, t.user_id, t.hold_id, t.job_id, min(a.bucket) AS bucket
      FROM transfers t JOIN postings p ON p.transfer_id = t.id JOIN accounts a ON a.id = p.account_id
     WHERE t.id = :id GROUP BY t.id""")

RESOLUTION = text("SELECT id, kind, amount FROM transfers WHERE hold_id = :hold_id")


async def grant(
    session: AsyncSession,
    transfer_id: TransferId,
    user_id: UserId,
    amount: int,
    bucket: Bucket,
    origin: TransferOrigin,
) -> None:
    """Credits come into being: promotional ones, or paid ones whose money has been booked elsewhere."""
    accounts = await _lock_user(session, user_id)
    legs = [Leg(AccountKind.AVAILABLE, bucket, amount), Leg(GRANTED_FROM[bucket], bucket, -amount)]
    transfer = Transfer(transfer_id, TransferKind.GRANT, amount, user_id, bucket=bucket)
    await _write(session, transfer, legs, accounts, origin)


async def hold(
    session: AsyncSession, transfer_id: TransferId, user_id: UserId, amount: int, origin: TransferOrigin
) -> HoldState:
    """Put credits aside: pending until captured, released or expired. CREDITS_SHORT names what is missing."""
    accounts = await _lock_user(session, user_id)
    transfer = Transfer(transfer_id, TransferKind.HOLD, amount, user_id)
    available = _balances(accounts, AccountKind.AVAILABLE)
    if sum(available.values()) < amount:
        # A repeat finds the balance already lowered by its own first run.
        if not await _is_recorded(session, transfer, origin):
            raise EchoError(
                Code.CREDITS_SHORT,
                f"{amount} credits needed, {sum(available.values())} available",
                {"required": amount, "available": sum(available.values())},
            )
        return await _hold_state(session, transfer_id)
    legs = [
        leg
        for bucket, part in _split(amount, available).items()
        for leg in (Leg(AccountKind.AVAILABLE, bucket, -part), Leg(AccountKind.HELD, bucket, part))
    ]
    if await _write(session, transfer, legs, accounts, origin):
        return HoldState(hold_id=transfer_id, amount=amount)
    return await _hold_state(session, transfer_id)


async def capture(
    session: AsyncSession,
    transfer_id: TransferId,
    hold_id: UUID,
    amount: int | None,
    origin: TransferOrigin,
) -> HoldState:
    """Take `amount` (None: all) of a hold as revenue; the rest returns to the user in the same transfer."""
    held = await _lock_holder(session, hold_id)
    taken_sum = held.amount if amount is None else amount
    if taken_sum > held.amount:
        raise EchoError(Code.TRANSFER_CONFLICT, f"capture of {taken_sum} from a hold of {held.amount}")
    taken = _split(taken_sum, held.parts)
    legs: list[Leg] = []
    for bucket, part in held.parts.items():
        legs.append(Leg(AccountKind.HELD, bucket, -part))
        legs.append(Leg(AccountKind.REVENUE, bucket, taken.get(bucket, 0)))
        legs.append(Leg(AccountKind.AVAILABLE, bucket, part - taken.get(bucket, 0)))
    transfer = Transfer(transfer_id, TransferKind.CAPTURE, taken_sum, held.user_id, hold_id)
    return await _resolve(session, transfer, held, legs, origin)


async def release(
    session: AsyncSession,
    transfer_id: TransferId,
    hold_id: UUID,
    origin: TransferOrigin,
    *,
    expired: bool = False,
) -> HoldState:
    """Give a hold back whole. `expired` says in the books that time ran out."""
    held = await _lock_holder(session, hold_id)
    legs = [
        leg
        for bucket, part in held.parts.items()
        for leg in (Leg(AccountKind.HELD, bucket, -part), Leg(AccountKind.AVAILABLE, bucket, part))
    ]
    kind = TransferKind.EXPIRE if expired else TransferKind.RELEASE
    transfer = Transfer(transfer_id, kind, held.amount, held.user_id, hold_id)
    return await _resolve(session, transfer, held, legs, origin)


async def get_hold(session: AsyncSession, hold_id: UUID) -> HoldState | None:
    query = text("""SELECT h.amount, r.kind FROM transfers h LEFT JOIN transfers r ON r.hold_id = h.id
                     WHERE h.id = :hold_id AND h.kind = 'hold'""")
    row = (await session.execute(query, {"hold_id": hold_id})).one_or_none()
    if row is None:
        return None
    return HoldState(
        hold_id=hold_id,
        amount=row.amount,
        resolved_by=None if row.kind is None else TransferKind(row.kind),
    )


@dataclass(frozen=True)
class Resolution:
    """The transfer that ended a hold."""

    id: UUID
    kind: TransferKind
    amount: int


async def get_resolution(session: AsyncSession, hold_id: UUID) -> Resolution | None:
    """None while the hold is pending."""
    row = (await session.execute(RESOLUTION, {"hold_id": hold_id})).one_or_none()
    return None if row is None else Resolution(row.id, TransferKind(row.kind), row.amount)


async def balance(session: AsyncSession, user_id: UserId) -> Balance:
    """Zeros for a user who never had a credit."""
    query = text("SELECT id, kind, bucket, balance FROM accounts WHERE user_id = :user_id")
    return _balance(_accounts((await session.execute(query, {"user_id": user_id})).all()))


async def lock_balance(session: AsyncSession, user_id: UserId) -> Balance:
    """The balance, which nobody else changes until this transaction ends."""
    return _balance(await _lock_user(session, user_id))


# The steps below are in calling order.


class Account(NamedTuple):
    id: int
    balance: int | None
    """None for the system's: theirs is the sum of their postings."""


Accounts = dict[tuple[AccountKind, Bucket], Account]
"""One user's and the system's credit accounts."""


class Leg(NamedTuple):
    """One posting: `amount` is added to the account."""

    account: AccountKind
    bucket: Bucket
    amount: int


@dataclass(frozen=True)
class Transfer:
    """What two transfers of one id must have in common. Who asked may differ: a sweeper repeats for a workflow."""

    id: TransferId
    kind: TransferKind
    amount: int
    user_id: UserId
    hold_id: UUID | None = None
    bucket: Bucket | None = None
    """Of a grant; how a hold is split follows from the balances, not from the request."""


@dataclass(frozen=True)
class Held:
    """A hold's content, pending or not."""

    user_id: UserId
    amount: int
    parts: dict[Bucket, int]
    accounts: Accounts


async def _lock_user(session: AsyncSession, user_id: UserId) -> Accounts:
    accounts = _accounts((await session.execute(LOCK_USER, {"user_id": user_id})).all())
    if (AccountKind.AVAILABLE, Bucket.PAID) not in accounts:
        await session.execute(OPEN_ACCOUNTS, {"user_id": user_id})
        accounts = _accounts((await session.execute(LOCK_USER, {"user_id": user_id})).all())
    return accounts


async def _lock_holder(session: AsyncSession, hold_id: UUID) -> Held:
    rows = (await session.execute(LOCK_HOLDER, {"hold_id": hold_id})).all()
    own = [row for row in rows if row.user_id is not None]
    if not own:
        raise EchoError(Code.NOT_FOUND, f"hold {hold_id}")
    return Held(
        user_id=own[0].user_id,
        amount=own[0].amount,
        parts={Bucket(row.bucket): row.held for row in own if row.held is not None},
        accounts={(AccountKind(r.kind), Bucket(r.bucket)): Account(r.id, None) for r in rows},
    )


async def _resolve(
    session: AsyncSession, transfer: Transfer, held: Held, legs: Sequence[Leg], origin: TransferOrigin
) -> HoldState:
    assert transfer.hold_id is not None
    await _write(session, transfer, legs, held.accounts, origin)
    return HoldState(hold_id=transfer.hold_id, amount=held.amount, resolved_by=transfer.kind)


async def _write(
    session: AsyncSession,
    transfer: Transfer,
    legs: Sequence[Leg],
    accounts: Accounts,
    origin: TransferOrigin,
) -> bool:
    """Write a transfer with all its postings in one statement; False when this very transfer is there already."""
    if transfer.amount < 1:
        raise EchoError(Code.VALIDATION_FAILED, f"a transfer moves at least 1 credit, not {transfer.amount}")
    legs = [leg for leg in legs if leg.amount != 0]
    values = {
        "id": transfer.id,
        "kind": transfer.kind.value,
        "amount": transfer.amount,
        "user_id": transfer.user_id,
        "hold_id": transfer.hold_id,
        "job_id": origin.job_id or None,
        "actor": origin.actor,
        "step": origin.step,
        "workflow_id": origin.workflow_id,
        "run_id": origin.run_id,
        "reason": origin.reason,
        "accounts": [accounts[leg.account, leg.bucket].id for leg in legs],
        "amounts": [leg.amount for leg in legs],
    }
    if (await session.execute(WRITE, values)).first() is not None:
        return True
    # Not written: the id is taken, or the hold is.
    if await _is_recorded(session, transfer, origin):
        return False
    resolution = await get_resolution(session, transfer.hold_id) if transfer.hold_id else None
    raise EchoError(Code.HOLD_RESOLVED, f"hold {transfer.hold_id} by {resolution}")


async def _is_recorded(session: AsyncSession, transfer: Transfer, origin: TransferOrigin) -> bool:
    """Whether this transfer is in the books; TRANSFER_CONFLICT when its id is there with other content."""
    row = (await session.execute(RECORDED, {"id": transfer.id})).one_or_none()
    if row is None:
        return False
    kind = TransferKind(row.kind)
    bucket = Bucket(row.bucket) if kind is TransferKind.GRANT else None
    recorded = Transfer(transfer.id, kind, row.amount, row.user_id, row.hold_id, bucket)
    if (recorded, row.job_id) != (transfer, origin.job_id or None):
        raise EchoError(Code.TRANSFER_CONFLICT, f"recorded: {recorded}, asked for: {transfer}")
    return True


async def _hold_state(session: AsyncSession, hold_id: UUID) -> HoldState:
    state = await get_hold(session, hold_id)
    assert state is not None, "found a moment ago, and transfers are never deleted"
    return state


def _accounts(rows: Sequence[Row[tuple[int, str, str, int | None]]]) -> Accounts:
    return {(AccountKind(row.kind), Bucket(row.bucket)): Account(row.id, row.balance) for row in rows}


def _balances(accounts: Accounts, kind: AccountKind) -> dict[Bucket, int]:
    return {bucket: account.balance or 0 for (of, bucket), account in accounts.items() if of is kind}


def _balance(accounts: Accounts) -> Balance:
    available = _balances(accounts, AccountKind.AVAILABLE)
    held = _balances(accounts, AccountKind.HELD)
    return Balance(
        available=sum(available.values()),
        held=sum(held.values()),
        available_promo=available.get(Bucket.PROMO, 0),
        available_paid=available.get(Bucket.PAID, 0),
        held_promo=held.get(Bucket.PROMO, 0),
        held_paid=held.get(Bucket.PAID, 0),
    )


def _split(amount: int, parts: dict[Bucket, int]) -> dict[Bucket, int]:
    """`amount` taken from `parts` in spending order; buckets that give nothing are left out."""
    taken: dict[Bucket, int] = {}
    for bucket in SPENDING_ORDER:
        if (part := min(amount, parts.get(bucket, 0))) > 0:
            taken[bucket] = part
            amount -= part
    return taken
