"""The one workflow runner, used by workers and by replay: Temporal's sandbox, with our pure words passed through."""

from __future__ import annotations

from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

LIBRARIES = ("contracts", "pydantic", "pydantic_core", "annotated_types", "typing_extensions")
WORDS = (
    "workflows.card",
    "workflows.faults",
    "workflows.purchase_card",
    "workflows.search",
    "workflows.steps",
    "workflows.summary",
)
"""What workflows say, not what they do: no state, no clock, no chance (held to by tests/workflows/test_sandbox.py)."""
PASSED_THROUGH = LIBRARIES + WORDS
"""Modules without side effects; importing them anew for every run would cost tens of milliseconds."""


def sandboxed_runner() -> SandboxedWorkflowRunner:
    return SandboxedWorkflowRunner(
        restrictions=SandboxRestrictions.default.with_passthrough_modules(*PASSED_THROUGH)
    )
