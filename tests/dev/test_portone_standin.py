"""The PortOne stand-in answers as PortOne V2 documents it, in good cases and in bad ones."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest

from dev.servers.standins import PortOneStandIn

KEY = "key-of-this-test-0001"


async def ask(
    standin: PortOneStandIn,
    method: str,
    path: str,
    body: object = None,
    *,
    key: str | None = None,
    **query: str,
) -> httpx.Response:
    headers = {"Authorization": f"PortOne {standin.api_secret}"} | ({"Idempotency-Key": key} if key else {})
    async with httpx.AsyncClient(base_url=standin.url, headers=headers, trust_env=False) as http:
        return await http.request(method, path, json=body, params=query)


async def pay(standin: PortOneStandIn, payment_id: str = "pur_1", **more: Any) -> dict[str, Any]:
    return await standin.control.post("pay", **{"paymentId": payment_id, "amount": 10_000, **more})


async def cancel(standin: PortOneStandIn, *, key: str | None = None, **body: Any) -> httpx.Response:
    return await ask(standin, "POST", "/payments/pur_1/cancel", {"reason": "test", **body}, key=key)


def refusal(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"]


async def test_a_payment_appears_when_somebody_pays_and_not_when_it_is_registered(
    portone_standin: PortOneStandIn,
) -> None:
    registered = {"totalAmount": 10_000, "currency": "KRW"}
    assert (await ask(portone_standin, "POST", "/payments/pur_1/pre-register", registered)).json() == {}
    assert refusal(await ask(portone_standin, "GET", "/payments/pur_1")) == (404, "PAYMENT_NOT_FOUND")
    with pytest.raises(httpx.HTTPStatusError, match="registered"):
        await pay(portone_standin, amount=100)
    await pay(portone_standin, orderName="100 credits", customerId="user-1")
    payment = (await ask(portone_standin, "GET", "/payments/pur_1", storeId=portone_standin.store_id)).json()
    assert (payment["status"], payment["amount"]["total"], payment["amount"]["paid"]) == (
        "PAID",
        10_000,
        10_000,
    )
    assert payment["channel"]["key"] == portone_standin.channel_key
    with pytest.raises(httpx.HTTPStatusError, match="ALREADY_PAID"):
        await pay(portone_standin)
    again = await ask(portone_standin, "POST", "/payments/pur_1/pre-register", registered)
    assert refusal(again) == (409, "ALREADY_PAID")


async def test_an_open_window_is_a_payment_that_is_not_paid_yet(portone_standin: PortOneStandIn) -> None:
    await pay(portone_standin, card="open")
    assert (await ask(portone_standin, "GET", "/payments/pur_1")).json()["status"] == "READY"
    assert refusal(await cancel(portone_standin)) == (409, "PAYMENT_NOT_PAID")
    await pay(portone_standin)
    assert (await portone_standin.control.get("ledger"))["paid_in"] == 10_000


async def test_a_declined_card_may_be_followed_by_a_good_one_under_the_same_id(
    portone_standin: PortOneStandIn,
) -> None:
    assert "code" in await pay(portone_standin, card="declined")
    failed = (await ask(portone_standin, "GET", "/payments/pur_1")).json()
    assert (failed["status"], failed["failure"]["pgCode"]) == ("FAILED", "6000")
    assert refusal(await cancel(portone_standin)) == (409, "PAYMENT_NOT_PAID")
    assert "code" not in await pay(portone_standin)
    assert (await ask(portone_standin, "GET", "/payments/pur_1")).json()["status"] == "PAID"


@pytest.mark.parametrize(
    ("billing_key", "answer", "status"),
    [
        ("billing-key-ok", 200, "PAID"),
        ("billing-key-declined", 502, "FAILED"),
        ("billing-key-unknown", 404, None),
    ],
)
async def test_a_saved_card_is_charged_by_billing_key(
    portone_standin: PortOneStandIn, billing_key: str, answer: int, status: str | None
) -> None:
    body = {
        "billingKey": billing_key,
        "orderName": "job",
        "amount": {"total": 5_000},
        "currency": "KRW",
    }
    assert (await ask(portone_standin, "POST", "/payments/pur_1/billing-key", body)).status_code == answer
    assert (await ask(portone_standin, "GET", "/payments/pur_1")).json().get("status") == status


async def test_cancellations_add_up_to_the_payment_and_not_a_won_more(
    portone_standin: PortOneStandIn,
) -> None:
    await pay(portone_standin)
    stale = await cancel(portone_standin, amount=1_000, currentCancellableAmount=9_000)
    assert refusal(stale) == (409, "CANCELLABLE_AMOUNT_CONSISTENCY_BROKEN")
    part = await cancel(portone_standin, amount=4_000, currentCancellableAmount=10_000)
    assert part.json()["cancellation"]["status"] == "SUCCEEDED"
    assert (await ask(portone_standin, "GET", "/payments/pur_1")).json()["status"] == "PARTIAL_CANCELLED"
    too_much = await cancel(portone_standin, amount=6_001)
    assert refusal(too_much) == (409, "CANCEL_AMOUNT_EXCEEDS_CANCELLABLE_AMOUNT")
    assert (await cancel(portone_standin)).json()["cancellation"]["totalAmount"] == 6_000
    payment = (await ask(portone_standin, "GET", "/payments/pur_1")).json()
    assert (payment["status"], payment["amount"]["cancelled"]) == ("CANCELLED", 10_000)
    assert refusal(await cancel(portone_standin)) == (409, "PAYMENT_ALREADY_CANCELLED")
    books = await portone_standin.control.get("ledger")
    assert (books["paid_in"], books["refunded"], books["balance"]) == (10_000, 10_000, 0)


@pytest.mark.parametrize(("outcome", "refunded"), [("SUCCEEDED", 4_000), ("FAILED", 0)])
async def test_a_cancellation_may_wait_for_the_gateway(
    portone_standin: PortOneStandIn, outcome: str, refunded: int
) -> None:
    await pay(portone_standin)
    await portone_standin.control.post("cancellations/mode", status="REQUESTED")
    waiting = (await cancel(portone_standin, amount=4_000)).json()["cancellation"]
    assert waiting["status"] == "REQUESTED"
    assert (
        refusal(await cancel(portone_standin, amount=6_001))[1] == "CANCEL_AMOUNT_EXCEEDS_CANCELLABLE_AMOUNT"
    )
    await portone_standin.control.post(f"cancellations/{waiting['id']}/settle", outcome=outcome)
    payment = (await ask(portone_standin, "GET", "/payments/pur_1")).json()
    assert payment["cancellations"][0]["status"] == outcome
    assert payment["amount"]["cancelled"] == refunded


async def test_a_key_replays_its_answer_and_fits_no_other_request(portone_standin: PortOneStandIn) -> None:
    await pay(portone_standin)
    first = await cancel(portone_standin, key=KEY, amount=1_000)
    assert (await cancel(portone_standin, key=KEY, amount=1_000)).json() == first.json()
    assert (await cancel(portone_standin, key=f'"{KEY}"', amount=1_000)).json() == first.json()
    assert (await cancel(portone_standin, key=KEY, amount=2_000)).status_code == 422
    assert refusal(await cancel(portone_standin, key="too/short", amount=1_000)) == (400, "INVALID_REQUEST")
    assert (await portone_standin.control.get("ledger"))["refunded"] == 1_000


async def test_a_key_in_flight_is_told_so(portone_standin: PortOneStandIn) -> None:
    await pay(portone_standin)
    await portone_standin.control.post(
        "faults", match="POST /payments/*/cancel", kind="slow_after", delay_ms=1_500
    )
    first = asyncio.create_task(cancel(portone_standin, key=KEY, amount=1_000))
    while not await portone_standin.control.get("requests"):
        pass
    meanwhile = await cancel(portone_standin, key=KEY, amount=1_000)
    assert refusal(meanwhile) == (409, "IDEMPOTENCY_OUTSTANDING_REQUEST")
    assert (await first).status_code == 200


@pytest.mark.parametrize("kind", ["timeout_after", "reset_after", "500_after"])
async def test_a_lost_answer_is_found_by_the_same_key(portone_standin: PortOneStandIn, kind: str) -> None:
    await pay(portone_standin)
    await portone_standin.control.post("faults", match="POST /payments/*/cancel", kind=kind, delay_ms=50)
    if kind == "500_after":
        assert (await cancel(portone_standin, key=KEY, amount=1_000)).status_code == 500
    else:
        with pytest.raises(httpx.TransportError):
            await cancel(portone_standin, key=KEY, amount=1_000)
    await cancel(portone_standin, key=KEY, amount=1_000)
    assert (await portone_standin.control.get("ledger"))["refunded"] == 1_000


async def test_the_list_is_filtered_sorted_and_paged(portone_standin: PortOneStandIn) -> None:
    for number in range(3):
        await pay(portone_standin, f"pur_{number}")
    await pay(portone_standin, "pur_failed", card="declined")
    wanted = {"status": ["PAID"], "from": "2020-01-01T00:00:00Z", "sortOrder": "ASC"}

    async def page(number: int) -> dict[str, Any]:
        asked = json.dumps({"page": {"number": number, "size": 2}, "filter": wanted})
        return (await ask(portone_standin, "GET", "/payments", requestBody=asked)).json()

    first, second = await page(0), await page(1)
    assert [row["id"] for row in first["items"] + second["items"]] == ["pur_0", "pur_1", "pur_2"]
    assert first["page"] == {"number": 0, "size": 2, "totalCount": 3}


async def test_a_wrong_secret_store_body_or_path_is_refused(portone_standin: PortOneStandIn) -> None:
    async with httpx.AsyncClient(base_url=portone_standin.url, trust_env=False) as http:
        assert refusal(await http.get("/payments/pur_1")) == (401, "UNAUTHORIZED")
    assert refusal(await ask(portone_standin, "GET", "/payments/pur_1", storeId="store-2"))[1] == "FORBIDDEN"
    await pay(portone_standin)
    bodies: list[dict[str, Any]] = [{"amuont": 1_000}, {"amount": 0}, {"amount": "1000"}, {"amount": 10.5}]
    for body in bodies:
        assert refusal(await cancel(portone_standin, **body)) == (400, "INVALID_REQUEST")
    assert refusal(await ask(portone_standin, "POST", "/payments/pur_1/capture", {})) == (
        400,
        "INVALID_REQUEST",
    )
    assert (await portone_standin.control.get("ledger"))["refunded"] == 0


async def test_a_kill_loses_nothing_that_was_answered(portone_standin: PortOneStandIn) -> None:
    await pay(portone_standin)
    await cancel(portone_standin, key=KEY, amount=1_000)
    portone_standin.kill()
    await portone_standin.restart()
    await cancel(portone_standin, key=KEY, amount=1_000)
    assert (await portone_standin.control.get("ledger"))["refunded"] == 1_000
