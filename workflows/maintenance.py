"""Scheduled housekeeping: settle jobs whose workflow is gone, delete files whose time has come."""

from __future__ import annotations

from temporalio import workflow

from contracts.maintenance import RetentionReport, RetentionRequest, SweepReport, SweepRequest
from workflows import steps


@workflow.defn(name="Sweep")
class SweepWorkflow:
    """A terminated workflow runs no code, and a crash can come between commit and start: this repairs both."""

    @workflow.run
    async def run(self) -> SweepReport:
        return await steps.sweep(SweepRequest())


@workflow.defn(name="Retention")
class RetentionWorkflow:
    @workflow.run
    async def run(self) -> RetentionReport:
        return await steps.retain(RetentionRequest())
