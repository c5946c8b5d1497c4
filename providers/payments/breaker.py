"""Circuit breaker and time limit round every call to one provider, so that an outage costs no waiting.

Closed: calls pass. After `OUTAGES_MAX` outages in a row it opens: calls fail at once for `OPEN_S`. Then one probe
passes; its outcome closes or opens it again. Only outages count: a declined card or a refused request is an
answer of a provider that is well. A provider that asks to slow down (429) is left alone for as long as it says.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from math import ceil
from typing import TypeVar

from contracts.errors import Code, EchoError
from contracts.timing import PROVIDER_CALL

T = TypeVar("T")

OUTAGES_MAX = 5
OPEN_S = 15
PAUSE_S_MAX = 60
"""A longer Retry-After is not waited for in one go: one call a minute asks again."""


class Outage(Exception):
    """No usable answer: time-out, lost connection, 5xx. Whether the request took effect is unknown."""


class Busy(Exception):
    """An answer that asks to come back later; nothing was done, or the same request is still in flight."""

    def __init__(self, detail: str, retry_after_s: int | None = None) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class Breaker:
    """One per provider and process. `clock` gives seconds of any origin."""

    def __init__(
        self,
        provider: str,
        *,
        limit_s: float = PROVIDER_CALL.total_seconds(),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._provider = provider
        self._limit_s = limit_s
        self._clock = clock
        self._outages = 0
        self._shut_until = 0.0
        self._probing = False

    async def call(self, send: Callable[[], Awaitable[T]]) -> T:
        """What `send` answers, within the limit. Raises PROVIDER_UNAVAILABLE for `Outage`, `Busy` and time-outs,
        and without calling `send` while open; `retry_after_s` says when the next call may pass."""
        self._admit()
        probe = self._probing = self._outages >= OUTAGES_MAX
        try:
            async with asyncio.timeout(self._limit_s):
                answer = await send()
        except (Outage, TimeoutError) as error:
            raise self._outage(str(error) or f"no answer within {self._limit_s:g} s") from error
        except Busy as error:
            self._outages = 0
            raise self._pause(error) from error
        except EchoError:
            self._outages = 0  # a refusal is an answer
            raise
        finally:
            if probe:
                self._probing = False
        self._outages = 0
        return answer

    def _admit(self) -> None:
        left_s = self._shut_until - self._clock()
        if left_s > 0:
            raise self._unavailable("not asked, it was out of order or busy a moment ago", ceil(left_s))
        if self._probing:
            raise self._unavailable("not asked, another call is finding out whether it is back", 1)

    def _outage(self, detail: str) -> EchoError:
        self._outages += 1
        if self._outages < OUTAGES_MAX:
            return self._unavailable(detail)
        self._shut_until = self._clock() + OPEN_S
        return self._unavailable(detail, OPEN_S)

    def _pause(self, busy: Busy) -> EchoError:
        if busy.retry_after_s is None:
            return self._unavailable(str(busy))
        pause_s = min(busy.retry_after_s, PAUSE_S_MAX)
        self._shut_until = self._clock() + pause_s
        return self._unavailable(str(busy), pause_s)

    def _unavailable(self, detail: str, retry_after_s: int | None = None) -> EchoError:
        fields: dict[str, str | int] = {"provider": self._provider}
        if retry_after_s is not None:
            fields["retry_after_s"] = retry_after_s
        return EchoError(Code.PROVIDER_UNAVAILABLE, f"{self._provider}: {detail}", fields)
