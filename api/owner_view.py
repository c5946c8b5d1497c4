"""What an owner reads of their job's saga and money: our own words, without providers' codes, internal errors, names
of staff, and fees. The rows themselves stay as they were written; staff reads them whole."""

from __future__ import annotations

from collections.abc import Iterable

from api.auth import STAFF, Role
from contracts.errors import Code
from contracts.finance import AuditEntry, SagaAudit
from contracts.jobs import SagaStep
from contracts.ledger import CreditEffect
from contracts.payments import DisputeStatus, Provider, RefundStatus

AMOUNTS = frozenset({"charge", "adjust_hold", "dispute"})
"""Steps whose detail is amounts, ids and codes of ours."""
AMOUNTS_FIRST = frozenset({"refund", "refund_done", "refund_failed"})
"""Those which put the provider's reason behind a colon."""
OF_THE_PROVIDER = frozenset({"fee", "other"})
"""Movements of the provider's balance that are between the provider and us."""
CODES = frozenset(map(str, Code))
EFFECTS = frozenset(map(str, CreditEffect))
STATES = frozenset(map(str, (*RefundStatus, *DisputeStatus, *Provider)))


def steps_for_owner(steps: Iterable[SagaStep]) -> tuple[SagaStep, ...]:
    return tuple(
        step.model_copy(update={"actor": _actor(step.actor), "detail": _of_step(step.step, step.detail)})
        for step in steps
    )


def audit_for_owner(found: SagaAudit) -> SagaAudit:
    own = tuple(
        entry.model_copy(update={"actor": _actor(entry.actor), "detail": _of_entry(entry)})
        for entry in found.entries
        if entry.source != "staff" and not (entry.source == "provider" and entry.what in OF_THE_PROVIDER)
    )
    return found.model_copy(update={"entries": own})


def _actor(actor: str) -> str:
    role = actor.partition(":")[0]
    if role not in STAFF:
        return actor
    return Role.FINANCE if role == Role.FINANCE else Role.SUPPORT


def _of_step(step: str, detail: str) -> str:
    head = detail.partition(":")[0]
    if step in AMOUNTS:
        return detail
    return head if step in AMOUNTS_FIRST or head in CODES else ""


def _of_entry(entry: AuditEntry) -> str:
    first, _, rest = entry.detail.partition(" ")
    match entry.source:
        case "ledger":
            return entry.detail
        case "saga":
            step = entry.what.partition(" ")[0]
            if first not in EFFECTS:
                return _of_step(step, entry.detail)
            return f"{first} {_of_step(step, rest)}".rstrip()
        case _:
            return first if first in STATES else ""
