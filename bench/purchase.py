"""How soon a customer who buys credits can pay, when the payment service takes its time.

    python -m bench.purchase [--purchases 100] [--at-once 4] [--latency-ms 50]

`POST /v1/payments/tokens` through the whole platform: the rows, the workflow, the provider's answers (each later by the
latency), and the checkout back to the client. With customers who were never seen before, for whom the provider also
makes a customer, and again with the same ones; `--at-once` at a time, then with others one at a time.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from dev.platform import running_platform
from dev.servers.standins import StripeStandIn
from tests.e2e.driver import Customer, customer

WARM_UP = 4
"""Purchases before the clock starts: connections are opened, workflow code is loaded."""


@dataclass(frozen=True)
class Bought:
    ms: float
    """Until the answer."""
    complete: bool
    """The client has what it needs to pay; else it must ask again."""


async def buy(person: Customer) -> Bought:
    started = time.perf_counter()
    answer = await person.post("/v1/payments/tokens", {"package": "100"})
    took_ms = (time.perf_counter() - started) * 1000
    assert answer.status_code in (201, 202), answer.text
    return Bought(took_ms, complete=answer.json()["checkout"] is not None)


async def buy_all(people: list[Customer], at_once: int) -> list[Bought]:
    limit = asyncio.Semaphore(at_once)

    async def one(person: Customer) -> Bought:
        async with limit:
            return await buy(person)

    return await asyncio.gather(*map(one, people))


def row(name: str, bought: list[Bought], calls: float) -> str:
    ordered, late = sorted(each.ms for each in bought), sum(not each.complete for each in bought)
    p50, p99 = ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.99)]
    cells = (statistics.fmean(ordered), p50, p99, ordered[-1])
    return (
        f"| {name} | {len(ordered)} | {calls:.1f} | "
        + " | ".join(f"{cell:.0f}" for cell in cells)
        + f" | {late} |"
    )


async def measure(purchases: int, at_once: int, latency_ms: int) -> list[str]:
    with tempfile.TemporaryDirectory(prefix="echoshot-bench-") as name:
        async with running_platform(Path(name)) as platform, AsyncExitStack() as open_:
            stripe = platform.stack.stripe
            assert stripe, "the bench needs the stand-in: unset ECHOSHOT_STRIPE__SECRET_KEY"

            async def newcomers(count: int) -> list[Customer]:
                people = [
                    await open_.enter_async_context(customer(platform, credits=0)) for _ in range(count)
                ]
                for person in people:
                    await person.http.get("/v1/me")  # signing in is not part of it
                return people

            await stripe.control.post("latency", ms=latency_ms)
            await buy_all(await newcomers(WARM_UP), at_once)
            rows: list[str] = []
            for limit in (at_once, 1):
                people = await newcomers(purchases)
                for kind in ("new customers", "the same again"):
                    before = await requests(stripe)
                    took = await buy_all(people, limit)
                    calls = (await requests(stripe) - before) / purchases
                    rows.append(row(f"{kind}, {limit} at once", took, calls))
            return rows


async def requests(stripe: StripeStandIn) -> int:
    return len(await stripe.control.get("requests"))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.purchase", description=__doc__)
    parser.add_argument("--purchases", type=int, default=100)
    parser.add_argument("--at-once", type=int, default=4)
    parser.add_argument("--latency-ms", type=int, default=50)
    options = parser.parse_args()
    rows = asyncio.run(measure(options.purchases, options.at_once, options.latency_ms))
    print(
        "| | purchases | calls to the provider, each | mean ms | P50 ms | P99 ms | max ms | without checkout |"
    )
    print("|---|---|---|---|---|---|---|---|")
    print("\n".join(rows))
    print(f"target: P99 < 300 ms; load of the machine now: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
