"""What the tests of the payment stand-ins share: the official library, plain requests, and a receiver of webhooks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import stripe

from dev.servers.standins import StripeStandIn

ON_SITE: Any = {"enabled": True, "allow_redirects": "never"}


@asynccontextmanager
async def client_of(standin: StripeStandIn, *, timeout_s: float = 5) -> AsyncIterator[stripe.StripeClient]:
    """The official library without retries of its own."""
    http = stripe.HTTPXClient(timeout=timeout_s)
    yield stripe.StripeClient(
        standin.secret_key, base_addresses={"api": standin.url}, http_client=http, max_network_retries=0
    )
    await http.close_async()


async def create(
    client: stripe.StripeClient, amount: int = 10_000, *, key: str | None = None, **more: Any
) -> stripe.PaymentIntent:
    """An intent; with `payment_method` and `confirm`, a payment."""
    params: Any = {"amount": amount, "currency": "krw", "automatic_payment_methods": ON_SITE, **more}
    return await client.v1.payment_intents.create_async(params, {"idempotency_key": key} if key else {})


async def pay(
    client: stripe.StripeClient, amount: int = 10_000, card: str = "pm_card_visa", **more: Any
) -> stripe.PaymentIntent:
    return await create(client, amount, payment_method=card, confirm=True, **more)


async def send(
    standin: StripeStandIn,
    method: str,
    path: str,
    form: Mapping[str, str] | None = None,
    *,
    key: str | None = None,
    as_client: bool = False,
    read_timeout_s: float = 5,
    headers: Mapping[str, str] | None = None,
) -> httpx.Response:
    """A request as bare as HTTP allows; `as_client` with the publishable key."""
    secret = standin.publishable_key if as_client else standin.secret_key
    given = {"Authorization": f"Bearer {secret}", **(headers or {})} | (
        {"Idempotency-Key": key} if key else {}
    )
    async with httpx.AsyncClient(
        base_url=standin.url, trust_env=False, timeout=httpx.Timeout(5, read=read_timeout_s)
    ) as http:
        if method == "GET":
            return await http.get(path, params=form, headers=given)
        return await http.request(method, path, data=form, headers=given)


@dataclass(frozen=True)
class Delivery:
    headers: Mapping[str, str]
    body: bytes


class Receiver:
    """An HTTP server that keeps what it is sent. `failures`: how many deliveries it refuses first."""

    def __init__(self) -> None:
        self.got: list[Delivery] = []
        self.failures = 0
        self.url = ""
        self._arrived = asyncio.Condition()

    @classmethod
    @asynccontextmanager
    async def listening(cls) -> AsyncIterator[Receiver]:
        receiver = cls()
        server = await asyncio.start_server(receiver._serve, "127.0.0.1", 0)
        receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        async with server:
            yield receiver

    async def until(self, count: int) -> list[Delivery]:
        """The deliveries, as soon as there are `count`."""
        async with asyncio.timeout(30), self._arrived:
            await self._arrived.wait_for(lambda: len(self.got) >= count)
        return self.got

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[1:-2]
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head)}
        body = await reader.readexactly(int(headers["content-length"]))
        refused = self.failures > 0
        self.failures -= refused
        status = b"503 Service Unavailable" if refused else b"200 OK"
        writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        async with self._arrived:
            self.got.append(Delivery(headers, body))
            self._arrived.notify_all()
