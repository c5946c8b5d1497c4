"""Outages, unruly webhooks and kill -9 around money, on the running platform: everything ends once, and only once."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio

from contracts.queues import Queue
from dev.platform import Api, Platform
from dev.servers.ports import free_port
from tests.e2e.money import PATIENCE_S, VISA, Buyer, assert_agreed, buyer, payment_ref, refund, rows
from tests.workflows.house import until

pytestmark = pytest.mark.slow


@pytest_asyncio.fixture
async def fan(platform: Platform) -> AsyncIterator[Buyer]:
    async with buyer(platform) as fan:
        yield fan


async def test_a_purchase_made_while_the_provider_is_down_goes_on_by_itself(
    platform: Platform, fan: Buyer
) -> None:
    stripe = platform.stack.stripe
    assert stripe is not None
    stripe.kill()
    try:
        answer = await fan.buy_unanswered()
        assert (answer["purchase"]["status"], answer["checkout"]) == ("CREATED", None)
        saved = await fan.buy_unanswered(payment_method=VISA)
    finally:
        await stripe.restart()

    async def can_be_paid() -> bool:
        return (await fan.payment(answer["purchase"]))["checkout"] is not None

    await until(can_be_paid, seconds=PATIENCE_S)
    await fan.pay((await fan.payment(answer["purchase"]))["checkout"])
    await fan.until_purchase(answer["purchase"], "PAID")
    await fan.until_purchase(saved["purchase"], "PAID")
    assert await fan.balance() == (200, 0)
    await assert_agreed(platform)


@pytest.mark.parametrize("mode", ["duplicated", "reordered", "delayed"])
async def test_unruly_webhooks_change_nothing(platform: Platform, fan: Buyer, mode: str) -> None:
    await fan.stripe.post("webhooks", mode=mode, delay_ms=700)
    try:
        answer = await fan.buy()
        await fan.pay(answer["checkout"])
        purchase = await fan.until_purchase(answer["purchase"], "PAID")
        await refund(platform, purchase, amount_krw=1_000)
        await fan.stripe.post("refund", payment_intent=await payment_ref(platform, purchase), amount=2_000)
        await until_refunded(fan, purchase, {"requested_by_customer": 1_000, "provider_dashboard": 2_000})
    finally:
        await fan.stripe.post("webhooks", mode="normal")
        await fan.stripe.post("webhooks/flush", order="newest_first")

    assert await fan.balance() == (70, 0)
    assert await transfers(platform, purchase) == {"purchase": 1, "refund": 4}
    await assert_agreed(platform)


class DyingApi(Api):
    """Its Temporal answers nothing, so that it gets no further than the purchase's row."""

    name = "api-dying"

    async def probe(self) -> None:
        async with httpx.AsyncClient(trust_env=False) as client:
            (await client.get(f"{self.url}/healthz")).raise_for_status()


async def test_an_api_killed_after_the_row_is_committed_leaves_the_purchase_to_the_sweeper(
    platform: Platform, fan: Buyer
) -> None:
    key, port = uuid4().hex, free_port()
    body = {"package": "100", "payment_method": VISA}
    headers = {"Idempotency-Key": key, "Authorization": fan.http.headers["Authorization"]}
    with socket.create_server(("127.0.0.1", 0)) as silent:
        cut_off = {
            "ECHOSHOT_API_PORT": str(port),
            "TEMPORAL_ADDRESS": f"127.0.0.1:{silent.getsockname()[1]}",
        }
        api = DyingApi(platform.api.log_path.parent, port, {**platform.environment, **cut_off})
        await api.start()
        async with httpx.AsyncClient(base_url=api.url, trust_env=False, timeout=30) as http:
            asking = asyncio.create_task(http.post("/v1/payments/tokens", json=body, headers=headers))
            await until(lambda: has_purchase(platform, fan))
            api.kill()
            with pytest.raises(httpx.TransportError):
                await asking

    [bought] = (await fan.http.get("/v1/payments")).json()["data"]
    await fan.until_purchase(bought, "PAID")
    # The app asks again, as apps do when they get no answer.
    again = await fan.post("/v1/payments/tokens", body, **{"Idempotency-Key": key})
    assert again.json()["purchase"]["id"] == bought["id"]
    assert await fan.balance() == (100, 0)
    await assert_agreed(platform)


async def test_the_platforms_own_api_is_killed_between_payment_and_webhook(
    platform: Platform, fan: Buyer
) -> None:
    answer = await fan.buy()
    platform.api.kill()
    try:
        await fan.pay(answer["checkout"])
    finally:
        await platform.api.restart()
    await fan.until_purchase(answer["purchase"], "PAID")
    assert await fan.balance() == (100, 0)
    await assert_agreed(platform)


async def test_a_worker_killed_in_the_middle_of_buying_and_refunding_does_both_once(
    platform: Platform, fan: Buyer
) -> None:
    purchase = await fan.bought()
    for match in ("POST /v1/payment_intents", "POST /v1/refunds"):
        # Done at the provider; the worker dies before it hears of it.
        await fan.stripe.post("faults", match=match, kind="timeout_after", delay_ms=30_000)
    second = (await fan.buy_unanswered(payment_method=VISA))["purchase"]
    await refund(platform, purchase, amount_krw=4_000)
    await until(lambda: are_under_way(fan))

    worker = platform.workers[Queue.PROVIDERS]
    worker.kill()
    await worker.restart()

    await fan.until_refunds(purchase, (4_000, 40, "requested_by_customer", "SUCCEEDED"))
    await fan.until_purchase(second, "PAID")
    assert await fan.balance() == (160, 0)
    assert await transfers(platform, purchase) == {"purchase": 1, "refund": 2}
    assert await transfers(platform, second) == {"purchase": 1}
    await assert_agreed(platform)


async def are_under_way(fan: Buyer) -> bool:
    """Both faults have been met: the requests are there and will not be answered."""
    async with httpx.AsyncClient(trust_env=False) as client:
        stripe = fan.platform.environment["ECHOSHOT_STRIPE__API_BASE"]
        return (await client.get(f"{stripe}/standin/faults")).raise_for_status().json() == []


async def has_purchase(platform: Platform, fan: Buyer) -> bool:
    query = (
        "SELECT count(*) AS number FROM purchases p JOIN users u ON u.id = p.user_id WHERE u.subject = :name"
    )
    return (await rows(platform, query, name=fan.name))[0]["number"] == 1


async def until_refunded(fan: Buyer, purchase: dict[str, Any], expected: dict[str, int]) -> None:
    """Which of the two came first does not matter."""

    async def are() -> bool:
        found = (await fan.payment(purchase))["purchase"]["refunds"]
        done = {each["reason"]: each["amount_krw"] for each in found if each["status"] == "SUCCEEDED"}
        return (done, len(found)) == (expected, len(expected))

    await until(are, seconds=PATIENCE_S)


async def transfers(platform: Platform, purchase: dict[str, Any]) -> dict[str, int]:
    query = "SELECT kind, count(*) AS number FROM transfers WHERE purchase_id = :id GROUP BY 1"
    return {row["kind"]: row["number"] for row in await rows(platform, query, id=purchase["id"])}
