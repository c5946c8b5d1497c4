"""Durable processes only.

Every activity call stands in `workflows/steps.py` with its time-outs, retries, queue and summary. Activities
are called by name, never imported.
"""

from __future__ import annotations

from typing import Any

from workflows.maintenance import ExpiryWorkflow, RetentionWorkflow, SealJournalWorkflow, SweepWorkflow
from workflows.reconcile import ReconcileWorkflow
from workflows.token_purchase import TokenPurchaseWorkflow
from workflows.video_job import VideoJobWorkflow

WORKFLOWS: tuple[type[Any], ...] = (
    VideoJobWorkflow,
    TokenPurchaseWorkflow,
    SweepWorkflow,
    RetentionWorkflow,
    ExpiryWorkflow,
    ReconcileWorkflow,
    SealJournalWorkflow,
)
