"""stripe-mock runs beside the stand-in: it refuses what Stripe's own schema does not know."""

from __future__ import annotations

import httpx

from dev.servers.stripe_mock import SECRET_KEY, StripeMock


async def test_a_request_of_the_schema_is_answered_and_any_other_is_refused(stripe_mock: StripeMock) -> None:
    headers = {"Authorization": f"Bearer {SECRET_KEY}"}
    async with httpx.AsyncClient(base_url=stripe_mock.url, headers=headers, trust_env=False) as client:
        form = {"amount": "10000", "currency": "krw"}
        good = await client.post("/v1/payment_intents", data=form)
        assert (good.status_code, good.json()["object"]) == (200, "payment_intent")
        bad = await client.post("/v1/payment_intents", data=form | {"amout": "10000"})
        assert bad.status_code == 400
        assert "additional properties" in bad.json()["error"]["message"]
