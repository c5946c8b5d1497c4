"""Identifiers and the rules that derive one from another, so that no retry can invent a second one."""

from __future__ import annotations

from typing import NewType
from uuid import UUID, uuid5

UserId = NewType("UserId", str)
JobId = NewType("JobId", str)
VideoId = NewType("VideoId", str)
PurchaseId = NewType("PurchaseId", str)
RefundId = NewType("RefundId", str)
ClipId = NewType("ClipId", str)
ShareId = NewType("ShareId", str)
TransferId = NewType("TransferId", UUID)

# Fixed for ever: changing it would let an old workflow charge again under a new id.
TRANSFER_NAMESPACE = UUID("6f1c1a52-3f5e-5d0e-9a53-7e1d0c2b4a10")

JOB_WORKFLOW_PREFIX = "job/"
PURCHASE_WORKFLOW_PREFIX = "purchase/"


def job_workflow_id(job_id: JobId) -> str:
    return f"{JOB_WORKFLOW_PREFIX}{job_id}"


def purchase_workflow_id(purchase_id: PurchaseId) -> str:
    return f"{PURCHASE_WORKFLOW_PREFIX}{purchase_id}"


def purchase_id(user_id: UserId, idempotency_key: str) -> PurchaseId:
    """From the request's key: whoever repeats the request finds the purchase, its workflow and its charge."""
    return PurchaseId(f"pur_{uuid5(TRANSFER_NAMESPACE, f'purchase/{user_id}/{idempotency_key}').hex}")


def refund_id(purchase_id: PurchaseId, key: str) -> RefundId:
    """`key` names the intent: the job's end, support's request, or the provider's own refund."""
    return RefundId(f"ref_{uuid5(TRANSFER_NAMESPACE, f'refund/{purchase_id}/{key}').hex}")


def transfer_id(workflow_id: str, step: str) -> TransferId:
    """The ledger key of one step of one saga. Never from run id or time: a reset must find the same key."""
    return TransferId(uuid5(TRANSFER_NAMESPACE, f"{workflow_id}#{step}"))
