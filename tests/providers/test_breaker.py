"""A provider that is out of order is not asked for a while, and found out to be back by one call."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from contracts.errors import Code, EchoError
from providers.payments.breaker import OPEN_S, OUTAGES_MAX, PAUSE_S_MAX, Breaker, Busy, Outage

Send = Callable[[], Awaitable[str]]


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


class Provider:
    """Answers what it is told to, and counts who asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.fault: Exception | None = None

    async def __call__(self) -> str:
        self.asked += 1
        if self.fault is not None:
            raise self.fault
        return "answer"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker("stripe", clock=clock)


@pytest.fixture
def provider() -> Provider:
    return Provider()


async def refused(breaker: Breaker, send: Send) -> EchoError:
    with pytest.raises(EchoError) as caught:
        await breaker.call(send)
    assert caught.value.code is Code.PROVIDER_UNAVAILABLE
    return caught.value


async def broken(breaker: Breaker, provider: Provider) -> None:
    provider.fault = Outage("down")
    for _ in range(OUTAGES_MAX):
        await refused(breaker, provider)


async def test_an_answer_passes(breaker: Breaker, provider: Provider) -> None:
    assert await breaker.call(provider) == "answer"


async def test_an_outage_is_retryable_and_names_the_provider(breaker: Breaker, provider: Provider) -> None:
    provider.fault = Outage("answered 500")
    error = await refused(breaker, provider)
    assert error.retryable
    assert error.detail == "stripe: answered 500"
    assert error.fields == {"provider": "stripe"}


async def test_after_so_many_outages_in_a_row_nobody_asks(breaker: Breaker, provider: Provider) -> None:
    await broken(breaker, provider)
    error = await refused(breaker, provider)
    assert provider.asked == OUTAGES_MAX
    assert error.fields["retry_after_s"] == OPEN_S


async def test_an_answer_between_outages_keeps_it_closed(breaker: Breaker, provider: Provider) -> None:
    for fault in [Outage("down")] * (OUTAGES_MAX - 1) + [None] + [Outage("down")] * (OUTAGES_MAX - 1):
        provider.fault = fault
        try:
            await breaker.call(provider)
        except EchoError:
            assert fault is not None
    provider.fault = None
    assert await breaker.call(provider) == "answer"


async def test_a_refused_request_is_no_outage(breaker: Breaker, provider: Provider) -> None:
    provider.fault = EchoError(Code.PROVIDER_REFUSED, "no such card")
    for _ in range(OUTAGES_MAX * 2):
        with pytest.raises(EchoError) as caught:
            await breaker.call(provider)
        assert caught.value.code is Code.PROVIDER_REFUSED
    assert provider.asked == OUTAGES_MAX * 2


async def test_a_probe_that_is_answered_closes_it(breaker: Breaker, provider: Provider, clock: Clock) -> None:
    await broken(breaker, provider)
    clock.now_s += OPEN_S
    provider.fault = None
    assert await breaker.call(provider) == "answer"
    provider.fault = Outage("down")
    await refused(breaker, provider)
    provider.fault = None
    assert await breaker.call(provider) == "answer", "one outage after the repair must not open it again"


async def test_a_probe_that_fails_opens_it_again(breaker: Breaker, provider: Provider, clock: Clock) -> None:
    await broken(breaker, provider)
    clock.now_s += OPEN_S
    await refused(breaker, provider)
    assert provider.asked == OUTAGES_MAX + 1
    await refused(breaker, provider)
    assert provider.asked == OUTAGES_MAX + 1


async def test_only_one_call_probes(breaker: Breaker, provider: Provider, clock: Clock) -> None:
    await broken(breaker, provider)
    clock.now_s += OPEN_S
    answered = asyncio.Event()

    async def slow() -> str:
        await answered.wait()
        return "back"

    probe = asyncio.create_task(breaker.call(slow))
    await asyncio.sleep(0)
    await refused(breaker, provider)
    answered.set()
    assert await probe == "back"
    provider.fault = None
    assert await breaker.call(provider) == "answer"


async def test_a_probe_that_is_cancelled_lets_another_one_pass(
    breaker: Breaker, provider: Provider, clock: Clock
) -> None:
    await broken(breaker, provider)
    clock.now_s += OPEN_S
    probe = asyncio.create_task(breaker.call(asyncio.Event().wait))
    await asyncio.sleep(0)
    probe.cancel()
    with pytest.raises(asyncio.CancelledError):
        await probe
    provider.fault = None
    assert await breaker.call(provider) == "answer"


async def test_silence_is_an_outage(provider: Provider, clock: Clock) -> None:
    breaker = Breaker("stripe", limit_s=0.01, clock=clock)
    for _ in range(OUTAGES_MAX):
        error = await refused(breaker, asyncio.Event().wait)  # pyright: ignore[reportArgumentType]
        assert "no answer" in error.detail
    await refused(breaker, provider)
    assert provider.asked == 0


async def test_a_provider_that_is_too_busy_is_left_alone_for_as_long_as_it_says(
    breaker: Breaker, provider: Provider, clock: Clock
) -> None:
    provider.fault = Busy("too many requests", 7)
    assert (await refused(breaker, provider)).fields["retry_after_s"] == 7
    provider.fault = None
    clock.now_s += 6.5
    assert (await refused(breaker, provider)).fields["retry_after_s"] == 1
    clock.now_s += 0.5
    assert await breaker.call(provider) == "answer"
    assert provider.asked == 2


async def test_no_pause_is_longer_than_a_minute(breaker: Breaker, provider: Provider, clock: Clock) -> None:
    provider.fault = Busy("too many requests", 86_400)
    await refused(breaker, provider)
    provider.fault = None
    clock.now_s += PAUSE_S_MAX
    assert await breaker.call(provider) == "answer"


async def test_being_busy_is_no_outage(breaker: Breaker, provider: Provider) -> None:
    provider.fault = Busy("the same request is still in flight")
    for _ in range(OUTAGES_MAX * 2):
        await refused(breaker, provider)
    assert provider.asked == OUTAGES_MAX * 2
