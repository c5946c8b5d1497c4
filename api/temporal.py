"""The API's calls to Temporal.

Reads and new jobs must work while Temporal is away, so the client connects at its first call, every call has a
short limit, and every failure is one code: EchoError(UNAVAILABLE).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from temporalio.client import Client, WorkflowUpdateFailedError
from temporalio.service import RPCError

from contracts.errors import Code, EchoError

CALL_TIMEOUT_S = 3.0

T = TypeVar("T")


class Temporal:
    def __init__(self, client: Client) -> None:
        self._client = client

    async def call(self, action: Callable[[Client], Awaitable[T]]) -> T:
        """Run `action` with the client."""
        try:
            async with asyncio.timeout(CALL_TIMEOUT_S):
                return await action(self._client)
        except (RPCError, WorkflowUpdateFailedError, RuntimeError, OSError, TimeoutError) as error:
            raise EchoError(Code.UNAVAILABLE, f"Temporal: {str(error) or type(error).__name__}") from error

    async def check(self) -> None:
        async def ask(client: Client) -> None:
            if not await client.service_client.check_health():
                raise EchoError(Code.UNAVAILABLE, "Temporal: not serving")

        await self.call(ask)
