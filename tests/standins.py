"""Fixtures of the payment stand-ins, emptied before each test that asks, and of stripe-mock."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from dev.servers.standins import PortOneStandIn, StripeStandIn
from dev.servers.stripe_mock import StripeMock
from dev.toolchain import find


@pytest_asyncio.fixture(scope="session")
async def stripe_process(servers_dir: Path) -> AsyncIterator[StripeStandIn]:
    server = StripeStandIn(servers_dir, servers_dir / "logs", "")
    await server.start()
    yield server
    await server.stop()


@pytest_asyncio.fixture
async def stripe_standin(stripe_process: StripeStandIn) -> StripeStandIn:
    """Empty; webhooks go nowhere until the test says `control.post("webhooks", url=...)`."""
    await stripe_process.control.post("reset", webhook_url="")
    return stripe_process


@pytest_asyncio.fixture(scope="session")
async def portone_process(servers_dir: Path) -> AsyncIterator[PortOneStandIn]:
    server = PortOneStandIn(servers_dir, servers_dir / "logs", "")
    await server.start()
    yield server
    await server.stop()


@pytest_asyncio.fixture
async def portone_standin(portone_process: PortOneStandIn) -> PortOneStandIn:
    """Empty; webhooks go nowhere until the test says `control.post("webhooks", url=...)`."""
    await portone_process.control.post("reset", webhook_url="")
    return portone_process


@pytest_asyncio.fixture(scope="session")
async def stripe_mock(servers_dir: Path) -> AsyncIterator[StripeMock]:
    """Checks requests against Stripe's schema: `url`, with the key `dev.servers.stripe_mock.SECRET_KEY`."""
    server = StripeMock(servers_dir, servers_dir / "logs", await find.stripe_mock())
    await server.start()
    yield server
    await server.stop()
