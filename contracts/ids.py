"""Identifiers and the rules that derive one from another, so that no retry can invent a second one."""

from __future__ import annotations

from typing import NewType
from uuid import UUID, uuid5

UserId = NewType("UserId", str)
JobId = NewType("JobId", str)
VideoId = NewType("VideoId", str)
TransferId = NewType("TransferId", UUID)

# Fixed for ever: changing it would let an old workflow charge again under a new id.
TRANSFER_NAMESPACE = UUID("6f1c1a52-3f5e-5d0e-9a53-7e1d0c2b4a10")

JOB_WORKFLOW_PREFIX = "job/"


def job_workflow_id(job_id: JobId) -> str:
    return f"{JOB_WORKFLOW_PREFIX}{job_id}"


def transfer_id(workflow_id: str, step: str) -> TransferId:
    """The ledger key of one step of one saga. Never from run id or time: a reset must find the same key."""
    return TransferId(uuid5(TRANSFER_NAMESPACE, f"{workflow_id}#{step}"))
