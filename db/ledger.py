"""Credits and won, in double entry: every transfer is one immutable row and the postings that it consists of.

The rules (balanced, the shape of its kind, never negative, one resolution a hold, written once) are enforced by the
database itself, see docs/adr/020 and 022 and migrations 0002 and 0003; this module finds the right postings and turns a
refusal into words. Each function is one step of the caller's transaction and may be repeated with the same transfer
id. Amounts are whole credits and whole won.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.errors import Code, EchoError
from contracts.finance import CorrectionLeg
from contracts.ids import TransferId, UserId
from contracts.ledger import AccountKind, Balance, Bucket, TransferKind, TransferOrigin
from contracts.payments import Provider
from db.postings import Account, Accounts, Leg, Ref, Transfer, is_recorded, lock, require, write

GRANTED_FROM = {
    Bucket.PROMO: Ref(AccountKind.PROMO, Bucket.PROMO),
    Bucket.PAID: Ref(AccountKind.ISSUED, Bucket.PAID),
}

AVAILABLE = Ref(AccountKind.AVAILABLE, Bucket.PAID)
REFUNDS = Ref(AccountKind.REFUNDS, Bucket.PAID)
DISPUTES = Ref(AccountKind.DISPUTES, Bucket.PAID)
DEBT = Ref(AccountKind.DEBT, Bucket.PAID)
ISSUED = Ref(AccountKind.ISSUED, Bucket.PAID)
LOSSES = Ref(AccountKind.LOSSES, Bucket.PAID)
ISSUED_KRW = Ref(AccountKind.ISSUED, None)

HOLDING = [Ref(kind, bucket) for kind in (AccountKind.AVAILABLE, AccountKind.HELD) for bucket in Bucket]

# What a transfer of each kind posts. Amounts of zero are left out.


async def grant(
    session: AsyncSession,
    transfer_id: TransferId,
    user_id: UserId,
    amount: int,
    bucket: Bucket,
    origin: TransferOrigin,
    *,
    expires_at: datetime | None = None,
) -> None:
    """Credits come into being: promotional ones (until `expires_at`), or paid ones whose money has been booked
    elsewhere."""
    require(amount)
    legs = [Leg(Ref(AccountKind.AVAILABLE, bucket), amount), Leg(GRANTED_FROM[bucket], -amount)]
    await _book(session, transfer_id, TransferKind.GRANT, amount, user_id, legs, origin, expires_at)


async def purchase(
    session: AsyncSession,
    transfer_id: TransferId,
    user_id: UserId,
    credits: int,
    krw: int,
    provider: Provider,
    origin: TransferOrigin,
) -> None:
    """Money has come and its credits are the user's. TRANSFER_CONFLICT when the purchase was paid by another one."""
    require(credits, krw)
    legs = [
        Leg(AVAILABLE, credits),
        Leg(ISSUED, -credits),
        Leg(_cash(provider), krw),
        Leg(ISSUED_KRW, -krw),
    ]
    await _book(session, transfer_id, TransferKind.PURCHASE, credits, user_id, legs, origin)


async def reserve_refund(
    session: AsyncSession, transfer_id: TransferId, user_id: UserId, credits: int, origin: TransferOrigin
) -> None:
    """Put credits on their way back to the card, before the provider is asked. CREDITS_SHORT when they are spent."""
    require(credits)
    legs = [Leg(AVAILABLE, -credits), Leg(REFUNDS, credits)]
    await _book(session, transfer_id, TransferKind.REFUND, credits, user_id, legs, origin)


async def settle_refund(
    session: AsyncSession,
    transfer_id: TransferId,
    user_id: UserId,
    credits: int,
    krw: int,
    provider: Provider,
    origin: TransferOrigin,
    *,
    owed: int = 0,
) -> None:
    """The provider has paid: `credits` reserved ones are gone, and so are `krw` won. `owed` credits more were refunded
    at the provider after they had been spent: the user's debt. Both are 0 when won less than a credit go back."""
    require(krw, perhaps=(credits, owed))
    legs = [
        Leg(REFUNDS, -credits),
        Leg(ISSUED, credits),
        Leg(DEBT, owed),
        Leg(LOSSES, -owed),
        Leg(_cash(provider), -krw),
        Leg(ISSUED_KRW, krw),
    ]
    await _book(session, transfer_id, TransferKind.REFUND, credits + owed or krw, user_id, legs, origin)


async def return_refund(
    session: AsyncSession, transfer_id: TransferId, user_id: UserId, credits: int, origin: TransferOrigin
) -> None:
    """The provider could not pay: reserved credits are the user's again."""
    require(credits)
    legs = [Leg(REFUNDS, -credits), Leg(AVAILABLE, credits)]
    await _book(session, transfer_id, TransferKind.REFUND, credits, user_id, legs, origin)


async def undo_refund(
    session: AsyncSession,
    transfer_id: TransferId,
    user_id: UserId,
    credits: int,
    krw: int,
    provider: Provider,
    origin: TransferOrigin,
    *,
    owed: int = 0,
) -> None:
    """A refund that was paid has come back to the provider (the card is closed): the opposite of `settle_refund` and of
    the reserve before it, so the credits are available again and the debt is gone."""
    require(krw, perhaps=(credits, owed))
    legs = [
        Leg(AVAILABLE, credits),
        Leg(ISSUED, -credits),
        Leg(DEBT, -owed),
        Leg(LOSSES, owed),
        Leg(_cash(provider), krw),
        Leg(ISSUED_KRW, -krw),
    ]
    await _book(session, transfer_id, TransferKind.REFUND, credits + owed or krw, user_id, legs, origin)


async def open_dispute(
    session: AsyncSession,
    transfer_id: TransferId,
    user_id: UserId,
    freeze: int,
    krw: int,
    provider: Provider,
    origin: TransferOrigin,
) -> None:
    """A bank has taken `krw` won back for now; `freeze` credits (those not yet spent, perhaps none) cannot be spent.
    Credits that come free later are frozen without won."""
    require(krw + freeze, perhaps=(krw, freeze))
    legs = [
        Leg(AVAILABLE, -freeze),
        Leg(DISPUTES, freeze),
        Leg(_cash(provider), -krw),
        Leg(_disputed(provider), krw),
    ]
    await _book(session, transfer_id, TransferKind.DISPUTE, krw or freeze, user_id, legs, origin)


async def win_dispute(
    session: AsyncSession,
    transfer_id: TransferId,
    user_id: UserId,
    frozen: int,
    krw: int,
    provider: Provider,
    origin: TransferOrigin,
) -> None:
    """The money is back, and `frozen` credits are the user's again."""
    require(krw, perhaps=(frozen,))
    legs = [
        Leg(DISPUTES, -frozen),
        Leg(AVAILABLE, frozen),
        Leg(_disputed(provider), -krw),
        Leg(_cash(provider), krw),
    ]
    await _book(session, transfer_id, TransferKind.DISPUTE, krw, user_id, legs, origin)


async def lose_dispute(
    session: AsyncSession,
    transfer_id: TransferId,
    user_id: UserId,
    frozen: int,
    owed: int,
    krw: int,
    provider: Provider,
    origin: TransferOrigin,
) -> None:
    """The money is gone, `frozen` credits with it; `owed` credits, spent before the dispute, are the user's debt."""
    require(krw, perhaps=(frozen, owed))
    legs = [
        Leg(DISPUTES, -frozen),
        Leg(ISSUED, frozen),
        Leg(DEBT, owed),
        Leg(LOSSES, -owed),
        Leg(_disputed(provider), -krw),
        Leg(ISSUED_KRW, krw),
    ]
    await _book(session, transfer_id, TransferKind.DISPUTE, krw, user_id, legs, origin)


async def expire_promo(
    session: AsyncSession, transfer_id: TransferId, user_id: UserId, credits: int, origin: TransferOrigin
) -> None:
    """Promotional credits that nobody used in time go. Paid ones never do."""
    require(credits)
    legs = [
        Leg(Ref(AccountKind.AVAILABLE, Bucket.PROMO), -credits),
        Leg(Ref(AccountKind.BREAKAGE, Bucket.PROMO), credits),
    ]
    await _book(session, transfer_id, TransferKind.EXPIRE, credits, user_id, legs, origin)


async def correct(
    session: AsyncSession, transfer_id: TransferId, legs: Sequence[CorrectionLeg], origin: TransferOrigin
) -> None:
    """What finance has decided; `origin.reason` says why. Any accounts but held ones, of one user at most, so that each
    user's history holds all that changed their credits: moving credits between two users takes two corrections."""
    users = {leg.user_id for leg in legs if leg.user_id is not None}
    refs = [Ref(leg.account, leg.bucket, leg.provider) for leg in legs]
    named = all(ref.owned == (leg.user_id is not None) for ref, leg in zip(refs, legs, strict=True))
    if len(users) > 1 or not named or len(set(refs)) < len(refs) or not all(leg.amount for leg in legs):
        raise EchoError(
            Code.VALIDATION_FAILED,
            "a correction names one user at most, exactly for user accounts, and each account once with an amount",
        )
    user_id = UserId(users.pop()) if users else None
    credits = sum(leg.amount for leg in legs if leg.bucket is not None and leg.amount > 0)
    amount = credits or sum(leg.amount for leg in legs if leg.amount > 0)
    booked = [Leg(ref, leg.amount) for ref, leg in zip(refs, legs, strict=True)]
    try:
        async with session.begin_nested():
            await _book(session, transfer_id, TransferKind.CORRECTION, amount, user_id, booked, origin)
    except (
        IntegrityError
    ) as error:  # people name the accounts: the database knows which exist and may be touched
        raise EchoError(Code.VALIDATION_FAILED, str(error.orig).partition("\n")[0]) from error


async def balance(session: AsyncSession, user_id: UserId) -> Balance:
    """Zeros for a user who never had a credit."""
    query = text("SELECT id, kind, bucket, balance FROM accounts WHERE user_id = :user_id")
    rows = await session.execute(query, {"user_id": user_id})
    return _balance({Ref(AccountKind(r.kind), Bucket(r.bucket)): Account(r.id, r.balance) for r in rows})


async def lock_balance(session: AsyncSession, user_id: UserId) -> Balance:
    """The balance, which nobody else changes until this transaction ends."""
    return _balance(await lock(session, user_id, HOLDING))


# The steps below are in calling order.


async def _book(
    session: AsyncSession,
    transfer_id: TransferId,
    kind: TransferKind,
    amount: int,
    user_id: UserId | None,
    legs: Sequence[Leg],
    origin: TransferOrigin,
    expires_at: datetime | None = None,
) -> None:
    """A transfer whose legs the caller names whole."""
    legs = [leg for leg in legs if leg.amount != 0]
    accounts = await lock(session, user_id, [leg.account for leg in legs])
    transfer = Transfer(transfer_id, kind, amount, user_id, expires_at=expires_at, legs=frozenset(legs))
    for leg in legs:
        left = accounts[leg.account].balance
        if left is None or left + leg.amount >= 0:
            continue
        # A repeat finds the balance already lowered by its own first run.
        if await is_recorded(session, transfer, origin):
            return
        code = Code.CREDITS_SHORT if leg.account.kind is AccountKind.AVAILABLE else Code.TRANSFER_CONFLICT
        raise EchoError(
            code,
            f"{-leg.amount} credits needed in {leg.account.kind}, {left} there",
            {"required": -leg.amount, "available": left},
        )
    await write(session, transfer, legs, accounts, origin)


def _cash(provider: Provider) -> Ref:
    return Ref(AccountKind.CASH, None, provider)


def _disputed(provider: Provider) -> Ref:
    return Ref(AccountKind.DISPUTES, None, provider)


def _balances(accounts: Accounts, kind: AccountKind) -> dict[Bucket, int]:
    return {
        ref.bucket: account.balance
        for ref, account in accounts.items()
        if ref.kind is kind and ref.bucket is not None and account.balance is not None
    }


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
        debt=sum(_balances(accounts, AccountKind.DEBT).values()),
    )
