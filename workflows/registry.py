"""Every workflow that workers host.

Not in the package's own `__init__`: the sandbox runs that anew for each execution, and would load all for one.
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
