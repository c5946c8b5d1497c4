"""The product's workflow runner for tests, which start hundreds of workers in one process."""

from __future__ import annotations

from temporalio import workflow
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

from workflows.sandbox import sandboxed_runner

_prepared: set[type] = set()


class PreparedOnce(SandboxedWorkflowRunner):
    """Every worker first imports each workflow on trial, 0.2 s together; what stood the trial once is not tried again.

    Each run still gets a sandbox of its own.
    """

    def prepare_workflow(self, defn: workflow._Definition) -> None:
        if defn.cls not in _prepared:
            super().prepare_workflow(defn)
            _prepared.add(defn.cls)


def prepared_runner() -> PreparedOnce:
    return PreparedOnce(restrictions=sandboxed_runner().restrictions)
