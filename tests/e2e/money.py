"""Buyers, staff and the audit of stories about money: through the API; the app, the bank and the dashboard through the
payment stand-in."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import text

from db.engine import Database
from dev.platform import Platform
from dev.servers.standins import Control
from tests.e2e.driver import Customer, books_violations, customer
from tests.workflows.house import until

VISA = "pm_card_visa"
DECLINED = "pm_card_chargeDeclined"
ASKS_BANK = "pm_card_threeDSecure2Required"
PURCHASE_SETTLED = {"PAID", "FAILED", "CANCELED", "EXPIRED"}
PATIENCE_S = 100
"""A killed worker's attempt is given up after a minute."""


class Buyer(Customer):
    async def buy(self, package: str = "100", **wishes: Any) -> dict[str, Any]:
        """A purchase that the provider knows of."""
        answer = await self.post("/v1/payments/tokens", {"package": package, **wishes})
        assert answer.status_code in (201, 202), answer.text
        return await self.until_answered(answer.json()["purchase"])

    async def buy_unanswered(self, package: str = "100", **wishes: Any) -> dict[str, Any]:
        """While the provider is away."""
        answer = await self.post("/v1/payments/tokens", {"package": package, **wishes})
        assert answer.status_code == 202, answer.text
        return answer.json()

    async def bought(self, package: str = "100") -> dict[str, Any]:
        """A purchase that is paid."""
        return await self.until_purchase((await self.buy(package, payment_method=VISA))["purchase"], "PAID")

    async def pay(self, checkout: Mapping[str, Any], card: str = VISA) -> httpx.Response:
        """What the app's PaymentSheet does, with nothing but the checkout."""
        form = {
            "client_secret": checkout["client_secret"],
            "payment_method": card,
            "return_url": "https://app.test",
        }
        headers = {"Authorization": f"Bearer {checkout['publishable_key']}"}
        stripe = self.platform.environment["ECHOSHOT_STRIPE__API_BASE"]
        async with httpx.AsyncClient(base_url=stripe, trust_env=False, timeout=30) as app:
            url = f"/v1/payment_intents/{checkout['provider_ref']}/confirm"
            return await app.post(url, data=form, headers=headers)

    async def payment(self, purchase: Mapping[str, Any]) -> dict[str, Any]:
        return (await self.http.get(f"/v1/payments/{purchase['id']}")).raise_for_status().json()

    async def until_answered(self, purchase: Mapping[str, Any]) -> dict[str, Any]:
        """Until there is a checkout, or no need of one."""

        async def is_answered() -> bool:
            found = await self.payment(purchase)
            return found["checkout"] is not None or found["purchase"]["status"] in PURCHASE_SETTLED

        await until(is_answered, seconds=PATIENCE_S)
        return await self.payment(purchase)

    async def until_purchase(self, purchase: Mapping[str, Any], *statuses: str) -> dict[str, Any]:
        async def has() -> bool:
            return (await self.payment(purchase))["purchase"]["status"] in statuses

        await until(has, seconds=PATIENCE_S)
        return (await self.payment(purchase))["purchase"]

    async def until_refunds(
        self, purchase: Mapping[str, Any], *expected: tuple[int, int, str, str]
    ) -> dict[str, Any]:
        """Until its refunds are these: won, credits, reason, status."""

        async def are() -> bool:
            found = (await self.payment(purchase))["purchase"]["refunds"]
            return [(r["amount_krw"], r["credits"], r["reason"], r["status"]) for r in found] == list(
                expected
            )

        try:
            await until(are, seconds=PATIENCE_S)
        except TimeoutError:
            raise AssertionError(f"{(await self.payment(purchase))['purchase']} has not {expected}") from None
        return (await self.payment(purchase))["purchase"]

    async def until_balance(self, **expected: int) -> None:
        async def is_there() -> bool:
            found = (await self.http.get("/v1/credits/balance")).raise_for_status().json()
            return {name: found[name] for name in expected} == expected

        await until(is_there, seconds=PATIENCE_S)

    async def start_charged(self, file: Path, card: str = VISA, refund_to: str = "card") -> dict[str, Any]:
        """Open a job that a saved card pays, and upload its file."""
        job = await self.open_job(file, funding=charge(card, refund_to))
        await self.upload(job, file)
        return job

    @property
    def stripe(self) -> Control:
        return stripe_of(self.platform)


def charge(card: str = VISA, refund_to: str = "card") -> dict[str, str]:
    """The `funding` of a job that a saved card pays."""
    return {"type": "charge", "payment_method": card, "refund_to": refund_to}


def stripe_of(platform: Platform) -> Control:
    stripe = platform.stack.stripe
    assert stripe is not None
    return stripe.control


@asynccontextmanager
async def buyer(platform: Platform, *, url: str | None = None) -> AsyncIterator[Buyer]:
    """A new customer without credits."""
    async with customer(platform, credits=0, url=url) as someone:
        yield Buyer(someone.platform, someone.http, someone.name)


async def refund(
    platform: Platform, purchase: Mapping[str, Any], *, key: str | None = None, **wish: Any
) -> httpx.Response:
    """By one of support."""
    async with customer(platform, credits=0, name="sam", roles=["support"]) as sam:
        headers = {"Idempotency-Key": key} if key else {}
        body = {"reason": "requested_by_customer", **wish}
        return await sam.post(f"/v1/support/purchases/{purchase['id']}/refunds", body, **headers)


async def payment_ref(platform: Platform, purchase: Mapping[str, Any]) -> str:
    """What Stripe calls the payment."""
    for payment in (await stripe_of(platform).get("ledger"))["payments"]:
        if payment["metadata"].get("purchase_id") == purchase["id"]:
            return payment["id"]
    raise AssertionError(f"no payment of {purchase['id']}")


async def reconciled(platform: Platform) -> list[tuple[str, str]]:
    """Kind and subject of every difference that finance finds now."""
    async with customer(platform, credits=0, name="fay", roles=["finance"]) as fay:
        started = await fay.post("/v1/finance/reconciliations", {})
        assert started.status_code == 202, started.text
        url = started.json()["status_url"]

        async def is_written() -> bool:
            return (await fay.http.get(url)).status_code != 404

        await until(is_written, seconds=PATIENCE_S)
        report = (await fay.http.get(url)).raise_for_status().json()
    found = [each["difference"] for each in report["differences"]]
    return [(each["kind"], each["subject"]) for each in found]


async def assert_agreed(platform: Platform, *differences: tuple[str, str]) -> None:
    """Books, reconciliation (but for these differences) and the providers' own ledgers tell one story, to the won."""
    assert await books_violations(platform) == []
    assert await reconciled(platform) == list(differences)
    portone = platform.stack.portone
    assert portone is not None
    ledgers = {
        "stripe": await stripe_of(platform).get("ledger"),
        "portone": await portone.control.get("ledger"),
    }
    paid, refunded = Counter[str](), Counter[str]()
    for payment in ledgers["stripe"]["payments"]:
        name = payment["metadata"]["purchase_id"]
        paid[name] += payment["amount"] if payment["status"] == "succeeded" else 0
        refunded[name] += payment["refunded"]
    ours = await rows(
        platform,
        "SELECT id, CASE status WHEN 'PAID' THEN amount_krw ELSE 0 END AS krw, (SELECT coalesce(sum(r.amount_krw), 0)"
        " FROM refunds r WHERE r.purchase_id = p.id AND r.status IN ('PENDING', 'SUCCEEDED'))::bigint AS refunded"
        " FROM purchases p WHERE provider = 'stripe'",
    )
    theirs = {row["id"]: (paid[row["id"]], refunded[row["id"]]) for row in ours}
    assert {row["id"]: (row["krw"], row["refunded"]) for row in ours} == theirs
    assert paid.keys() <= theirs.keys()
    for cash in await rows(
        platform,
        "SELECT a.provider, sum(p.amount)::bigint AS krw FROM postings p JOIN accounts a ON a.id = p.account_id"
        " WHERE a.kind = 'cash' GROUP BY 1",
    ):
        told = ledgers[cash["provider"]]
        assert cash["krw"] == told["paid_in"] - told["refunded"] - told.get("disputed", 0), cash["provider"]


async def rows(platform: Platform, query: str, **values: Any) -> Sequence[Mapping[str, Any]]:
    database = Database(platform.environment["ECHOSHOT_DATABASE_URL"], pool_size=1)
    try:
        async with database.read() as session:
            return [dict(row) for row in (await session.execute(text(query), values)).mappings()]
    finally:
        await database.aclose()
