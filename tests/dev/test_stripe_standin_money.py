"""What leaves the Stripe stand-in again: refunds, disputes, payouts; and the lists that reconciliation reads."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
import stripe

from dev.servers.standins import StripeStandIn
from tests.dev.standin_clients import client_of, create, pay

# The library hands httpx its form bytes as `data`.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


@pytest_asyncio.fixture
async def client(stripe_standin: StripeStandIn) -> AsyncIterator[stripe.StripeClient]:
    async with client_of(stripe_standin) as opened:
        yield opened


async def refund(client: stripe.StripeClient, intent: stripe.PaymentIntent, **more: Any) -> stripe.Refund:
    params: Any = {"payment_intent": intent.id, **more}
    return await client.v1.refunds.create_async(params)


# Refunds


async def test_partial_refunds_add_up_to_the_charge_and_not_a_won_more(
    stripe_standin: StripeStandIn, client: stripe.StripeClient
) -> None:
    intent = await pay(client)
    first = await refund(client, intent, amount=4_000, metadata={"refund_id": "ref_1"})
    assert (first.status, first.amount, (first.metadata or {})["refund_id"]) == ("succeeded", 4_000, "ref_1")
    with pytest.raises(stripe.InvalidRequestError, match="greater than unrefunded"):
        await refund(client, intent, amount=6_001)
    assert (await refund(client, intent)).amount == 6_000
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await refund(client, intent, amount=1)
    assert refused.value.code == "charge_already_refunded"
    (charge,) = (await client.v1.charges.list_async({"payment_intent": intent.id})).data
    assert (charge.amount_refunded, charge.refunded) == (10_000, True)
    books = await stripe_standin.control.get("ledger")
    assert (books["paid_in"], books["refunded"], books["balance"]) == (10_000, 10_000, -590)


async def test_an_unpaid_intent_cannot_be_refunded(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="successful charge"):
        await refund(client, await create(client))


@pytest.mark.parametrize("outcome", ["succeeded", "failed"])
async def test_a_pending_refund_ends_as_the_bank_says(
    stripe_standin: StripeStandIn, client: stripe.StripeClient, outcome: str
) -> None:
    intent = await pay(client, card="pm_card_pendingRefund")
    waiting = await refund(client, intent, amount=4_000)
    assert waiting.status == "pending"
    settled = await stripe_standin.control.post("refunds/settle", outcome=outcome)
    assert settled == {"settled": [waiting.id]}
    assert (await client.v1.refunds.retrieve_async(waiting.id)).status == outcome
    left = {"succeeded": 6_000, "failed": 10_000}[outcome]
    assert (await refund(client, intent)).amount == left
    books = await stripe_standin.control.get("ledger")
    assert books["refunded"] == 10_000
    assert books["payments"][0]["refunded"] == 10_000


async def test_a_refund_may_fail_after_it_succeeded_and_the_money_is_back(
    stripe_standin: StripeStandIn, client: stripe.StripeClient
) -> None:
    intent = await pay(client)
    done = await refund(client, intent)
    await stripe_standin.control.post(f"refunds/{done.id}/settle", outcome="failed")
    failed = await client.v1.refunds.retrieve_async(done.id)
    assert (failed.status, failed.failure_reason) == ("failed", "expired_or_canceled_card")
    entries = await client.v1.balance_transactions.list_async({"source": done.id})
    assert [(entry.type, entry.amount) for entry in entries.data] == [
        ("refund_failure", 10_000),
        ("refund", -10_000),
    ]


async def test_refunds_of_the_api_begin_as_ordered(
    stripe_standin: StripeStandIn, client: stripe.StripeClient
) -> None:
    intent = await pay(client)
    await stripe_standin.control.post("refunds/mode", status="failed")
    refused = await refund(client, intent, amount=1_000)
    assert refused.status == "pending"
    assert (await client.v1.refunds.retrieve_async(refused.id)).status == "failed"
    await stripe_standin.control.post("refunds/mode", status="pending")
    assert (await refund(client, intent, amount=1_000)).status == "pending"


async def test_a_refund_in_the_dashboard_is_listed_without_metadata(
    stripe_standin: StripeStandIn, client: stripe.StripeClient
) -> None:
    intent = await pay(client)
    made = await stripe_standin.control.post("refund", payment_intent=intent.id, amount=2_000)
    (listed,) = (await client.v1.refunds.list_async({"payment_intent": intent.id})).data
    assert listed.metadata is not None
    assert (listed.id, listed.amount, listed.metadata.to_dict()) == (made["id"], 2_000, {})


# Disputes


@pytest.mark.parametrize(("outcome", "kept"), [("won", 10_000), ("lost", 0)])
async def test_a_dispute_takes_the_money_and_gives_it_back_only_when_won(
    stripe_standin: StripeStandIn, client: stripe.StripeClient, outcome: str, kept: int
) -> None:
    intent = await pay(client, card="pm_card_createDispute")
    (dispute,) = (await client.v1.disputes.list_async({"payment_intent": intent.id})).data
    assert (dispute.status, dispute.amount) == ("needs_response", 10_000)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await refund(client, intent)
    assert refused.value.code == "charge_disputed"
    await stripe_standin.control.post(f"disputes/{dispute.id}/close", outcome=outcome)
    assert (await client.v1.disputes.retrieve_async(dispute.id)).status == outcome
    books = await stripe_standin.control.get("ledger")
    assert books["paid_in"] - books["disputed"] == kept
    assert books["payments"][0]["disputed"] == 10_000 - kept
    with pytest.raises(stripe.InvalidRequestError, match="already closed"):
        await client.v1.disputes.close_async(dispute.id)


async def test_a_dispute_covers_at_most_what_was_not_refunded(
    stripe_standin: StripeStandIn, client: stripe.StripeClient
) -> None:
    intent = await pay(client)
    await refund(client, intent, amount=9_000)
    answer = await stripe_standin.control.post("disputes", payment_intent=intent.id)
    assert answer["amount"] == 1_000


# Balance and lists


async def test_a_payout_carries_every_transaction_since_the_last_one(
    stripe_standin: StripeStandIn, client: stripe.StripeClient
) -> None:
    intent = await pay(client)
    await refund(client, intent, amount=1_000)
    payout = await stripe_standin.control.post("payouts")
    assert payout["amount"] == 10_000 - 590 - 1_000
    carried = await client.v1.balance_transactions.list_async({"payout": payout["id"], "limit": 100})
    assert {entry.type for entry in carried.data} == {"charge", "refund", "payout"}
    assert sum(entry.net for entry in carried.data) == 0
    assert (await client.v1.payouts.retrieve_async(payout["id"])).status == "paid"
    await pay(client)
    second = await stripe_standin.control.post("payouts")
    assert second["amount"] == 9_410
    assert (await stripe_standin.control.get("ledger"))["balance"] == 0


async def test_an_empty_balance_is_not_paid_out(stripe_standin: StripeStandIn) -> None:
    with pytest.raises(httpx.HTTPStatusError, match="Nothing to pay out"):
        await stripe_standin.control.post("payouts")


async def test_pages_meet_without_gap_or_overlap_in_both_directions(client: stripe.StripeClient) -> None:
    made = [(await create(client)).id for _ in range(5)]
    newest_first = made[::-1]
    first = await client.v1.payment_intents.list_async({"limit": 2})
    assert ([row.id for row in first.data], first.has_more) == (newest_first[:2], True)
    second = await client.v1.payment_intents.list_async({"limit": 2, "starting_after": first.data[-1].id})
    assert [row.id for row in second.data] == newest_first[2:4]
    back = await client.v1.payment_intents.list_async({"limit": 2, "ending_before": second.data[-1].id})
    assert ([row.id for row in back.data], back.has_more) == (newest_first[1:3], True)
    last = await client.v1.payment_intents.list_async({"limit": 2, "starting_after": newest_first[3]})
    assert ([row.id for row in last.data], last.has_more) == (newest_first[4:], False)
    assert [row.id async for row in first.auto_paging_iter()] == newest_first
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.payment_intents.list_async({"starting_after": "pi_none"})
    assert refused.value.param == "starting_after"


async def test_lists_filter_by_customer_type_and_time(client: stripe.StripeClient) -> None:
    customer = await client.v1.customers.create_async()
    intent = await pay(client, customer=customer.id)
    await pay(client)
    of_customer = await client.v1.payment_intents.list_async({"customer": customer.id})
    assert [row.id for row in of_customer.data] == [intent.id]
    now = intent.created
    for created, found in (
        ({"gte": now}, 2),
        ({"lt": now}, 0),
        ({"gt": now + 3600}, 0),
        ({"lte": now + 60}, 2),
    ):
        params: Any = {"created": created, "type": "charge"}
        assert len((await client.v1.balance_transactions.list_async(params)).data) == found


async def test_ids_expand_into_objects_and_nothing_else_does(client: stripe.StripeClient) -> None:
    await pay(client)
    params: Any = {"expand": ["data.latest_charge.balance_transaction"]}
    (row,) = (await client.v1.payment_intents.list_async(params)).data
    charge: Any = row.latest_charge
    assert charge.balance_transaction.type == "charge"
    with pytest.raises(stripe.InvalidRequestError, match="cannot be expanded"):
        await client.v1.payment_intents.retrieve_async(row.id, {"expand": ["latest_refund"]})


async def test_search_finds_by_metadata_but_not_what_is_too_fresh(
    stripe_standin: StripeStandIn, client: stripe.StripeClient
) -> None:
    intent = await create(client, metadata={"purchase_id": "pur_1"})
    await create(client, metadata={"purchase_id": "pur_2"})
    query: Any = {"query": "metadata['purchase_id']:'pur_1'"}
    assert [row.id for row in (await client.v1.payment_intents.search_async(query)).data] == [intent.id]
    await stripe_standin.control.post("search", lag_ms=60_000)
    assert (await client.v1.payment_intents.search_async(query)).data == []
