"""A platform that sells by card: its API over real HTTP, its real workflows and steps, and a payment stand-in."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import text
from temporalio.client import Client

from contracts.maintenance import SweepReport
from contracts.settings import Settings
from contracts.signing import new_key_pem
from db.engine import Database
from dev.servers.issuer import Issuer
from dev.servers.standins import StripeStandIn
from dev.standins.stripe.account import signature_headers
from tests.api.acts import Person, key
from tests.api.serving import Api, served
from tests.workflows.house import until
from tests.workflows.shop import Shop, open_shop
from workflows.maintenance import SweepWorkflow

VISA = "pm_card_visa"
DECLINED = "pm_card_chargeDeclined"
WITHOUT_MONEY = "pm_card_chargeDeclinedInsufficientFunds"
LOST = "pm_card_chargeDeclinedLostCard"
ASKS_BANK = "pm_card_threeDSecure2Required"


@dataclass
class Till:
    shop: Shop
    api: Api
    issuer: Issuer
    people: list[Person] = field(default_factory=list[Person])

    @property
    def database(self) -> Database:
        return self.shop.house.rooms.database

    @property
    def stripe(self) -> StripeStandIn:
        return self.shop.stripe

    def person(self, name: str, *roles: str, at: str | None = None) -> Person:
        """Somebody new, with a client that sends their token to this API, or to another one `at` an address."""
        return self.same(f"{name}-{uuid4().hex}", *roles, at=at)

    def same(self, subject: str, *roles: str, at: str | None = None) -> Person:
        token = self.issuer.signer.mint(subject, roles, locale="en")
        headers = {"Authorization": f"Bearer {token}"}
        person = Person(base_url=at or self.api.url, headers=headers, trust_env=False, timeout=20)
        person.subject = subject
        self.people.append(person)
        return person

    # ---- what customers do ------------------------------------------------------------------------------

    async def buys(self, person: Person, package: str = "100", **wishes: Any) -> dict[str, Any]:
        body = {"package": package, **wishes}
        answer = await person.post("/v1/payments/tokens", json=body, headers=key())
        assert answer.status_code in (201, 202), answer.text
        return answer.json()

    async def bought(self, person: Person, package: str = "100") -> dict[str, Any]:
        """A purchase that is paid."""
        purchase = (await self.buys(person, package, payment_method=VISA))["purchase"]
        return await self.becomes(person, purchase["id"], "PAID")

    async def pays(self, checkout: Mapping[str, Any], card: str = VISA) -> httpx.Response:
        """What the app's PaymentSheet does, with nothing but the checkout."""
        form = {
            "client_secret": checkout["client_secret"],
            "payment_method": card,
            "return_url": "https://app.test",
        }
        headers = {"Authorization": f"Bearer {checkout['publishable_key']}"}
        async with httpx.AsyncClient(base_url=self.stripe.url, trust_env=False) as app:
            url = f"/v1/payment_intents/{checkout['provider_ref']}/confirm"
            return await app.post(url, data=form, headers=headers)

    async def becomes(self, person: Person, purchase_id: str, status: str) -> dict[str, Any]:
        async def has() -> bool:
            found = await person.get(f"/v1/payments/{purchase_id}")
            return found.json()["purchase"]["status"] == status

        await until(has)
        return (await person.get(f"/v1/payments/{purchase_id}")).json()["purchase"]

    async def job_becomes(
        self, person: Person, job_id: str, status: str, *, seconds: float = 30
    ) -> dict[str, Any]:
        async def has() -> bool:
            return (await person.get(f"/v1/jobs/{job_id}")).json()["status"] == status

        await until(has, seconds=seconds)
        return (await person.get(f"/v1/jobs/{job_id}")).json()

    # ---- what providers and the sweeper do --------------------------------------------------------------

    async def send(
        self, body: bytes, *, secret: str | None = None, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """A webhook of Stripe, signed now unless `headers` says otherwise."""
        signed = (
            headers if headers is not None else signature_headers(secret or self.stripe.webhook_secret, body)
        )
        async with httpx.AsyncClient(base_url=self.api.url, trust_env=False) as client:
            return await client.post("/v1/webhooks/stripe", content=body, headers=dict(signed))

    async def webhooks(self, mode: str = "normal", url: str | None = None, **how: Any) -> None:
        """Where and how the stand-in reports; to this API unless told otherwise."""
        to = f"{self.api.url}/v1/webhooks/stripe" if url is None else url
        await self.stripe.control.post("webhooks", mode=mode, url=to, **how)

    async def sweep(self) -> SweepReport:
        house = self.shop.house
        queue = house.settings.queue_prefix + "core"
        return await house.client.execute_workflow(
            SweepWorkflow.run, id=f"sweep-{uuid4().hex}", task_queue=queue
        )

    # ---- what rows say ----------------------------------------------------------------------------------

    async def rows(self, query: str, **values: Any) -> list[dict[str, Any]]:
        async with self.database.read() as session:
            found = (await session.execute(text(query), values)).mappings().all()
        return [dict(row) for row in found]

    async def execute(self, statement: str, **values: Any) -> None:
        async with self.database.transaction() as session:
            await session.execute(text(statement), values)


@asynccontextmanager
async def open_till(
    settings: Settings, client: Client, stripe: StripeStandIn, issuer: Issuer
) -> AsyncIterator[Till]:
    """Without any worker yet. The sweeper has no patience, so that tests need none."""
    changes = {"sweep_grace_s": 0, "signing_key": SecretStr(new_key_pem())}
    async with (
        open_shop(settings.model_copy(update=changes), client, stripe) as shop,
        served(shop.house.settings) as api,
    ):
        till = Till(shop, api, issuer)
        await till.webhooks()
        try:
            yield till
        finally:
            await asyncio.gather(*(person.aclose() for person in till.people))


def let_api_wait(patch: pytest.MonkeyPatch) -> None:
    """Until the workers have answered: on a busy machine a customer's two seconds may not be enough."""
    patch.setattr("api.payments.checkout.WAIT_S", 15.0)
    patch.setattr("api.temporal.CALL_TIMEOUT_S", 18.0)


def signed_at(secret: str, body: bytes, *, seconds_ago: int) -> Mapping[str, str]:
    """A signature as Stripe made it a while ago."""
    at = int(time.time()) - seconds_ago
    signature = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return {"Stripe-Signature": f"t={at},v1={signature}"}
