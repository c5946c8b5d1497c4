"""A job's credits put aside and what ends that: pending, then captured, released or expired, once.

One call to the server each (`ledger_hold` and `ledger_resolve`, migrations 0003 and 0011), which finds the postings;
they are judged like anybody's (docs/adr/026). Each function is one step of the caller's transaction and may be repeated
with the same transfer id.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.errors import Code, EchoError
from contracts.ids import TransferId, UserId
from contracts.ledger import HoldState, TransferKind, TransferOrigin
from db.ledger import lock_balance
from db.postings import Transfer, call_values, is_recorded, require

HOLD = text("""
    SELECT * FROM ledger_hold(:id, :user_id, :amount, :from_paid, :job_id, :purchase_id, :actor, :step, :workflow_id,
                              :run_id, :reason)""")

RESOLVE = text("""
    SELECT * FROM ledger_resolve(:id, :hold_id, :kind, :amount, :job_id, :purchase_id, :actor, :step, :workflow_id,
                                 :run_id, :reason)""")

RESOLUTION = text("SELECT id, kind, amount FROM transfers WHERE hold_id = :hold_id")


async def hold(
    session: AsyncSession,
    transfer_id: TransferId,
    user_id: UserId,
    amount: int,
    origin: TransferOrigin,
    *,
    from_paid: int = 0,
) -> HoldState:
    """Put credits aside, promotional ones first: pending until captured, released or expired. At least `from_paid` of
    them are paid ones, so that a job's charge comes back whole. CREDITS_SHORT names what is missing."""
    require(amount, perhaps=(from_paid, amount - from_paid))
    values = call_values(transfer_id, origin) | {"user_id": user_id, "amount": amount, "from_paid": from_paid}
    row = (await session.execute(HOLD, values)).one()
    if row.outcome == "unopened":
        await lock_balance(session, user_id)  # opens the accounts
        row = (await session.execute(HOLD, values)).one()
    if row.outcome == "written":
        return HoldState(hold_id=transfer_id, amount=amount)
    # Not written: the id is taken; or the balance is short, perhaps lowered by this very hold.
    if not await is_recorded(session, Transfer(transfer_id, TransferKind.HOLD, amount, user_id), origin):
        raise EchoError(
            Code.CREDITS_SHORT,
            f"{row.required} credits needed, {row.there} available",
            {"required": row.required, "available": row.there},
        )
    state = await get_hold(session, transfer_id)
    assert state is not None, "found a moment ago, and transfers are never deleted"
    return state


async def capture(
    session: AsyncSession,
    transfer_id: TransferId,
    hold_id: UUID,
    amount: int | None,
    origin: TransferOrigin,
) -> HoldState:
    """Take `amount` (None: all) of a hold as revenue, promotional credits first; the rest returns to the user in the
    same transfer."""
    if amount is not None:
        require(amount)
    return await _resolve(session, transfer_id, hold_id, TransferKind.CAPTURE, amount, origin)


async def release(
    session: AsyncSession,
    transfer_id: TransferId,
    hold_id: UUID,
    origin: TransferOrigin,
    *,
    expired: bool = False,
) -> HoldState:
    """Give a hold back whole. `expired` says in the books that time ran out."""
    kind = TransferKind.EXPIRE if expired else TransferKind.RELEASE
    return await _resolve(session, transfer_id, hold_id, kind, None, origin)


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


async def _resolve(
    session: AsyncSession,
    transfer_id: TransferId,
    hold_id: UUID,
    kind: TransferKind,
    amount: int | None,
    origin: TransferOrigin,
) -> HoldState:
    values = call_values(transfer_id, origin) | {"hold_id": hold_id, "kind": kind.value, "amount": amount}
    row = (await session.execute(RESOLVE, values)).one()
    if row.outcome == "unknown":
        raise EchoError(Code.NOT_FOUND, f"hold {hold_id}")
    if row.outcome == "amount":
        raise EchoError(Code.TRANSFER_CONFLICT, f"capture of {amount} from a hold of {row.held}")
    if row.outcome == "taken":
        # The transfer's id is, or the hold's only resolution.
        resolution = Transfer(transfer_id, kind, row.moved, row.owner, hold_id)
        if not await is_recorded(session, resolution, origin):
            raise EchoError(Code.HOLD_RESOLVED, f"hold {hold_id}: {await get_resolution(session, hold_id)}")
    return HoldState(hold_id=hold_id, amount=row.held, resolved_by=kind)
