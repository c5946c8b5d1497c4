"""Refunds by support, failed ones, those of the provider's dashboard, and disputes, on the running platform."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio

from contracts.ids import PurchaseId, purchase_workflow_id
from dev.clips.writer import steady, write
from dev.platform import Platform
from tests.e2e.driver import customer, temporal_of
from tests.e2e.money import Buyer, assert_agreed, buyer, payment_ref, refund
from tests.workflows.house import until
from workflows import search

pytestmark = pytest.mark.slow


@pytest_asyncio.fixture
async def fan(platform: Platform) -> AsyncIterator[Buyer]:
    async with buyer(platform) as fan:
        yield fan


async def spends_ten(fan: Buyer, folder: Path) -> None:
    """On a job paid from the balance."""
    tiny = write(folder / "tiny.mp4", steady(6, 30, (64, 48)))
    job = await fan.start(tiny, upscaler="lanczos", fps="source")
    assert (await fan.wait(job["id"]))["status"] == "SUCCEEDED"


async def seen_by_support(platform: Platform, purchase: Mapping[str, Any]) -> dict[str, Any]:
    async with customer(platform, credits=0, name="sam", roles=["support"]) as sam:
        return (await sam.http.get(f"/v1/support/purchases/{purchase['id']}")).raise_for_status().json()


# ---- by support -----------------------------------------------------------------------------------------


async def test_support_refunds_a_part_then_all_that_is_left(platform: Platform, fan: Buyer) -> None:
    purchase = await fan.bought()
    assert (await refund(platform, purchase, amount_krw=3_000)).status_code == 201
    assert await fan.balance() == (70, 0)
    part = (3_000, 30, "requested_by_customer", "SUCCEEDED")
    await fan.until_refunds(purchase, part)

    assert (await refund(platform, purchase)).json()["amount_krw"] == 7_000

    shown = await fan.until_refunds(purchase, part, (7_000, 70, "requested_by_customer", "SUCCEEDED"))
    assert shown["refunded_krw"] == 10_000
    assert await fan.balance() == (0, 0)
    more = await refund(platform, purchase, amount_krw=1)
    assert (more.status_code, more.json()["code"]) == (422, "refund_too_large")
    await assert_agreed(platform)


async def test_a_refund_asked_for_twice_is_made_once(platform: Platform, fan: Buyer) -> None:
    purchase, key = await fan.bought(), uuid4().hex
    first = await refund(platform, purchase, key=key, credits=10)
    again = await refund(platform, purchase, key=key, credits=10)
    assert first.json()["id"] == again.json()["id"]
    await fan.until_refunds(purchase, (1_000, 10, "requested_by_customer", "SUCCEEDED"))
    assert await fan.balance() == (90, 0)
    await assert_agreed(platform)


async def test_what_is_spent_is_not_refunded(platform: Platform, fan: Buyer, tmp_path: Path) -> None:
    purchase = await fan.bought()
    await spends_ten(fan, tmp_path)

    all_of_it = await refund(platform, purchase, amount_krw=10_000)
    assert (all_of_it.status_code, all_of_it.json()["code"]) == (409, "refund_credits_spent")
    too_much = await refund(platform, purchase, amount_krw=10_001)
    assert (too_much.status_code, too_much.json()["code"]) == (422, "refund_too_large")
    assert await fan.balance() == (90, 0)

    assert (await refund(platform, purchase)).json()["amount_krw"] == 9_000
    await fan.until_refunds(purchase, (9_000, 90, "requested_by_customer", "SUCCEEDED"))
    assert await fan.balance() == (0, 0)
    await assert_agreed(platform)


async def test_a_refund_that_the_card_cannot_take_is_shown_until_somebody_sees_to_it(
    platform: Platform, fan: Buyer
) -> None:
    purchase = await fan.bought()
    await fan.stripe.post("refunds/mode", status="failed")
    try:
        wanted = (await refund(platform, purchase, amount_krw=5_000)).json()
        await fan.until_refunds(purchase, (5_000, 50, "requested_by_customer", "FAILED"))
    finally:
        await fan.stripe.post("refunds/mode", status="succeeded")
    assert await fan.balance() == (100, 0)
    assert [each["failed"] for each in (await seen_by_support(platform, purchase))["refunds"]] == [True]
    workflow = (await temporal_of(platform)).get_workflow_handle(
        purchase_workflow_id(PurchaseId(purchase["id"]))
    )

    async def attention() -> bool:
        return (await workflow.describe()).typed_search_attributes[search.NEEDS_ATTENTION]

    await until(attention)
    await assert_agreed(platform, ("refund_failed", wanted["id"]))

    await workflow.execute_update("dismiss")

    assert not await attention()
    await assert_agreed(platform)


# ---- by the provider ------------------------------------------------------------------------------------


async def test_a_refund_in_the_dashboard_takes_the_credits_back(platform: Platform, fan: Buyer) -> None:
    purchase = await fan.bought()
    ref = await payment_ref(platform, purchase)
    await fan.stripe.post("refund", payment_intent=ref, amount=2_500)
    await fan.until_refunds(purchase, (2_500, 25, "provider_dashboard", "SUCCEEDED"))
    assert await fan.balance() == (75, 0)
    await assert_agreed(platform)


async def test_a_refund_in_the_dashboard_of_spent_credits_is_owed(
    platform: Platform, fan: Buyer, tmp_path: Path
) -> None:
    purchase = await fan.bought()
    await spends_ten(fan, tmp_path)
    await fan.stripe.post("refund", payment_intent=await payment_ref(platform, purchase))
    await fan.until_refunds(purchase, (10_000, 100, "provider_dashboard", "SUCCEEDED"))
    await fan.until_balance(available=0, debt=10)
    await assert_agreed(platform)


async def test_a_dispute_freezes_the_credits_until_it_is_won(platform: Platform, fan: Buyer) -> None:
    purchase = await fan.bought()
    ref = await payment_ref(platform, purchase)
    dispute = await fan.stripe.post("disputes", payment_intent=ref)
    await fan.until_balance(available=0, debt=0)
    [shown] = (await seen_by_support(platform, purchase))["disputes"]
    assert (shown["status"], shown["amount_krw"], shown["credits_frozen"]) == ("OPEN", 10_000, 100)
    refused = await refund(platform, purchase)
    assert refused.status_code in (409, 422), refused.text
    await assert_agreed(platform)

    await fan.stripe.post(f"disputes/{dispute['id']}/close", outcome="won")

    await fan.until_balance(available=100, debt=0)
    await assert_agreed(platform)


async def test_a_dispute_that_is_lost_takes_the_frozen_credits_and_leaves_the_spent_ones_as_a_debt(
    platform: Platform, fan: Buyer, tmp_path: Path
) -> None:
    purchase = await fan.bought()
    await spends_ten(fan, tmp_path)
    ref = await payment_ref(platform, purchase)
    dispute = await fan.stripe.post("disputes", payment_intent=ref)
    await fan.until_balance(available=0, debt=0)
    await assert_agreed(platform)

    await fan.stripe.post(f"disputes/{dispute['id']}/close", outcome="lost")

    await fan.until_balance(available=0, debt=10)
    [shown] = (await seen_by_support(platform, purchase))["disputes"]
    assert (shown["status"], shown["credits_frozen"], shown["credits_owed"]) == ("LOST", 90, 10)
    await assert_agreed(platform)
