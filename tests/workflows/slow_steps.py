"""A real core step that is held up just before its effect, so that a test can act in that moment."""

from __future__ import annotations

import asyncio
from typing import Any

from temporalio import activity
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor


class GatedStep(Interceptor):
    """The step named waits until the test opens the gate, then runs as always."""

    def __init__(self, step: str) -> None:
        self.step = step
        self.workflow_id: str | None = None
        """Only this workflow's step; None: any."""
        self.reached = asyncio.Event()
        self.opened = asyncio.Event()

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _Gated(next, self)


class _Gated(ActivityInboundInterceptor):
    def __init__(self, next: ActivityInboundInterceptor, gate: GatedStep) -> None:
        super().__init__(next)
        self._gate = gate

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        info, gate = activity.info(), self._gate
        if info.activity_type == gate.step and gate.workflow_id in (None, info.workflow_id):
            self._gate.reached.set()
            await self._gate.opened.wait()
        return await super().execute_activity(input)
