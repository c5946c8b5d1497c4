"""A workflow for the tests of the servers, alone in its module because the sandbox imports the whole of it."""

from __future__ import annotations

from temporalio import workflow


@workflow.defn
class Greeting:
    """Waits for a name, so that a server can be killed while it is open."""

    def __init__(self) -> None:
        self._name = ""

    @workflow.run
    async def run(self) -> str:
        await workflow.wait_condition(lambda: self._name != "")
        return f"hello {self._name}"

    @workflow.signal
    def name(self, name: str) -> None:
        self._name = name
