"""Corrections of the books: proposed by one person of finance, approved by another, then one transfer.

The database enforces the two people, and refuses a correction that nobody approved (migration 0007).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.errors import Code, EchoError
from contracts.finance import Correction, CorrectionLeg, CorrectionStatus, DifferenceKind
from contracts.ids import UserId, transfer_id
from contracts.ledger import AccountKind, Bucket, TransferOrigin
from db import ledger
from db.ids import new_id
from db.pages import Page, Rows, cut
from db.postings import Ref
from db.users import get_user

_CREDITS = {
    AccountKind.AVAILABLE: (Bucket.PROMO, Bucket.PAID),
    AccountKind.REFUNDS: (Bucket.PAID,),
    AccountKind.DISPUTES: (Bucket.PAID,),
    AccountKind.DEBT: (Bucket.PAID,),
    AccountKind.REVENUE: (Bucket.PROMO, Bucket.PAID),
    AccountKind.PROMO: (Bucket.PROMO,),
    AccountKind.BREAKAGE: (Bucket.PROMO,),
    AccountKind.ISSUED: (Bucket.PAID,),
    AccountKind.LOSSES: (Bucket.PAID,),
}
"""The accounts of credits that a correction may touch, with their buckets: migration 0003's chart without `held`."""
_WON = {
    AccountKind.ISSUED: False,
    AccountKind.LOSSES: False,
    AccountKind.CASH: True,
    AccountKind.DISPUTES: True,
}
"""Those of won, and whether each provider has its own."""


async def propose(
    session: AsyncSession,
    *,
    legs: Sequence[CorrectionLeg],
    reason: str,
    actor: str,
    kind: DifferenceKind | None = None,
    subject: str | None = None,
) -> Correction:
    """Written down, nothing moves yet. VALIDATION_FAILED when the legs do not balance per unit and bucket,
    CORRECTION_IMPOSSIBLE when no approval could make them a transfer. Whether the credits are there is seen then."""
    _check_balanced(legs)
    await _check_accounts(session, legs)
    row = await session.execute(
        text("""INSERT INTO corrections (id, reason, kind, subject, legs, proposed_by)
                VALUES (:id, :reason, :kind, :subject, cast(:legs AS jsonb), :actor) RETURNING *"""),
        {
            "id": new_id("cor"),
            "reason": reason,
            "kind": kind,
            "subject": subject,
            "legs": "[" + ",".join(leg.model_dump_json() for leg in legs) + "]",
            "actor": actor,
        },
    )
    return _correction(row.one())


async def approve(session: AsyncSession, correction_id: str, actor: str, note: str = "") -> Correction:
    """The transfer is written now. CORRECTION_CONFLICT for the proposer, and for a correction decided before."""
    found = await _lock(session, correction_id)
    if found.status is CorrectionStatus.APPROVED and found.decided_by == actor:
        return found
    if found.status is not CorrectionStatus.PROPOSED:
        raise EchoError(Code.CORRECTION_CONFLICT, correction_id, {"state": found.status})
    if _person(found.proposed_by) == _person(actor):
        raise EchoError(Code.CORRECTION_CONFLICT, correction_id, {"proposed_by": found.proposed_by})
    written = transfer_id(f"correction/{correction_id}", "correction")
    origin = TransferOrigin(actor=actor, step="correction", reason=found.reason)
    await ledger.correct(session, written, found.legs, origin)
    return await _decide(session, correction_id, CorrectionStatus.APPROVED, actor, note, written)


async def reject(session: AsyncSession, correction_id: str, actor: str, note: str = "") -> Correction:
    """Also by whoever proposed it: taking one's word back needs no second person."""
    found = await _lock(session, correction_id)
    if found.status is CorrectionStatus.REJECTED and found.decided_by == actor:
        return found
    if found.status is not CorrectionStatus.PROPOSED:
        raise EchoError(Code.CORRECTION_CONFLICT, correction_id, {"state": found.status})
    return await _decide(session, correction_id, CorrectionStatus.REJECTED, actor, note, None)


async def page_of(
    session: AsyncSession, page: Page, status: CorrectionStatus | None = None
) -> Rows[Correction]:
    """Newest first; ids sort by time."""
    forward = page.ending_before is None
    beyond, order = ("<", "DESC") if forward else (">", "ASC")
    rows = await session.execute(
        text(f"""
            SELECT * FROM corrections
             WHERE (cast(:status AS text) IS NULL OR status = :status)
               AND (cast(:cursor AS text) IS NULL OR id {beyond} :cursor)
             ORDER BY id {order} LIMIT :limit"""),  # noqa: S608 - two words of our own
        {"status": status, "cursor": page.starting_after or page.ending_before, "limit": page.limit + 1},
    )
    return cut([_correction(row) for row in rows], page)


async def _lock(session: AsyncSession, correction_id: str) -> Correction:
    query = text("SELECT * FROM corrections WHERE id = :id FOR UPDATE")
    row = (await session.execute(query, {"id": correction_id})).one_or_none()
    if row is None:
        raise EchoError(Code.NOT_FOUND, f"no correction {correction_id}")
    return _correction(row)


async def _decide(
    session: AsyncSession,
    correction_id: str,
    status: CorrectionStatus,
    actor: str,
    note: str,
    transfer: Any,
) -> Correction:
    row = await session.execute(
        text("""UPDATE corrections SET status = :status, decided_by = :actor, decided_at = clock_timestamp(),
                       decision_note = :note, transfer_id = :transfer WHERE id = :id RETURNING *"""),
        {"id": correction_id, "status": status, "actor": actor, "note": note, "transfer": transfer},
    )
    return _correction(row.one())


def _person(actor: str) -> str:
    """Without the role, which may change between two requests."""
    return actor.rpartition(":")[2]


def _check_balanced(legs: Sequence[CorrectionLeg]) -> None:
    sums: dict[str, int] = {}
    for leg in legs:
        unit = "krw" if leg.bucket is None else leg.bucket.value
        sums[unit] = sums.get(unit, 0) + leg.amount
    wrong = {unit: total for unit, total in sums.items() if total}
    if wrong or not legs:
        raise EchoError(Code.VALIDATION_FAILED, f"postings do not sum to zero: {wrong}")


async def _check_accounts(session: AsyncSession, legs: Sequence[CorrectionLeg]) -> None:
    for number, leg in enumerate(legs, 1):
        problem = _problem(leg)
        if problem is None and _account(leg) in map(_account, legs[: number - 1]):
            problem = "the account is named twice"
        if problem is not None:
            raise EchoError(
                Code.CORRECTION_IMPOSSIBLE, f"leg {number}, {leg.account}: {problem}", {"leg": number}
            )
    users = {leg.user_id for leg in legs if leg.user_id is not None}
    if len(users) > 1:
        raise EchoError(Code.CORRECTION_IMPOSSIBLE, f"{len(users)} users: take one correction for each")
    for user_id in users:
        if not user_id.isprintable() or await get_user(session, UserId(user_id)) is None:
            raise EchoError(Code.CORRECTION_IMPOSSIBLE, f"there is no user {user_id!a}")


def _account(leg: CorrectionLeg) -> CorrectionLeg:
    """The leg without its amount."""
    return leg.model_copy(update={"amount": 0})


def _problem(leg: CorrectionLeg) -> str | None:
    """Why there is no such account, or why a correction may not touch it."""
    if leg.account is AccountKind.HELD:
        return "held credits belong to their job; cancel it or give it up instead"
    if leg.bucket is None:
        if leg.account not in _WON:
            return "an account of credits needs its bucket"
        if leg.user_id is not None:
            return "won are no user's"
        if _WON[leg.account] != (leg.provider is not None):
            return (
                "it needs its provider"
                if _WON[leg.account]
                else "no provider has an account of its own there"
            )
        return None
    if leg.bucket not in _CREDITS.get(leg.account, ()):
        return f"it has no {leg.bucket} credits"
    if leg.provider is not None:
        return "credits are no provider's"
    if Ref(leg.account, leg.bucket).owned != (leg.user_id is not None):
        return "it is the platform's, no user's" if leg.user_id is not None else "it needs its user"
    return None


def _correction(row: Row[Any]) -> Correction:
    return Correction(
        id=row.id,
        reason=row.reason,
        legs=tuple(CorrectionLeg.model_validate(leg) for leg in row.legs),
        kind=row.kind,
        subject=row.subject,
        status=row.status,
        proposed_by=row.proposed_by,
        proposed_at=row.proposed_at,
        decided_by=row.decided_by,
        decided_at=row.decided_at,
        decision_note=row.decision_note,
        transfer_id=None if row.transfer_id is None else str(row.transfer_id),
    )
