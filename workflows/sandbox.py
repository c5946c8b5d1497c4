"""The one workflow runner, used by workers and by replay: Temporal's sandbox, with our pure words passed through."""

from __future__ import annotations

from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

PASSED_THROUGH = ("contracts", "pydantic", "pydantic_core", "annotated_types", "typing_extensions")
"""Modules without side effects; importing them anew for every run would cost tens of milliseconds each."""


def sandboxed_runner() -> SandboxedWorkflowRunner:
    return SandboxedWorkflowRunner(
        restrictions=SandboxRestrictions.default.with_passthrough_modules(*PASSED_THROUGH)
    )
