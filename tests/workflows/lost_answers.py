"""A worker that dies round a step, as Temporal sees it: the step was taken and no answer ever comes."""

from __future__ import annotations

from typing import Any, Literal

from temporalio import activity
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

Moment = Literal["before", "after"]


class LosesAnswers(Interceptor):
    """For each job in `of`, the first attempt of its step is taken and never answered: before the step has any
    effect, or after its effect is committed. The server finds out by the step's time-out, as after a crash."""

    def __init__(self) -> None:
        self.of: dict[str, tuple[str, Moment]] = {}
        """Workflow id to the step and the moment of death."""
        self.lost: list[tuple[str, Moment]] = []

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _Losing(next, self)


class _Losing(ActivityInboundInterceptor):
    def __init__(self, next: ActivityInboundInterceptor, plan: LosesAnswers) -> None:
        super().__init__(next)
        self._plan = plan

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        info = activity.info()
        step, moment = self._plan.of.get(info.workflow_id or "", ("", "before"))
        if step != info.activity_type or info.attempt > 1:
            return await super().execute_activity(input)
        self._plan.lost.append((step, moment))
        if moment == "after":
            await super().execute_activity(input)
        return activity.raise_complete_async()
