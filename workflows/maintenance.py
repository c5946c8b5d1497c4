"""Scheduled housekeeping: settle jobs whose workflow is gone, delete files and credits whose time has come, seal the
journal."""

from __future__ import annotations

from temporalio import workflow

from contracts.maintenance import (
    ExpiryReport,
    ExpiryRequest,
    RetentionReport,
    RetentionRequest,
    SealReport,
    SealRequest,
    SweepReport,
    SweepRequest,
)
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


@workflow.defn(name="ExpirePromotions")
class ExpiryWorkflow:
    """Promotional credits that nobody has used in time; paid ones never expire."""

    @workflow.run
    async def run(self) -> ExpiryReport:
        return await steps.expire_promotional(ExpiryRequest())


@workflow.defn(name="SealJournal")
class SealJournalWorkflow:
    """From its seal on, a transfer cannot be changed unseen (docs/adr/023)."""

    @workflow.run
    async def run(self) -> SealReport:
        return await steps.seal_journal(SealRequest())
