from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from dev.servers.ports import free_port
from tests.api.acts import Person, assert_problem, key, upload_request
from tests.api.serving import served
from tests.api.till import VISA, Till
from tests.workflows.house import until


async def refunds(till: Till, staff: Person, purchase_id: str, **wish: Any) -> httpx.Response:
    body = {"reason": "requested_by_customer", **wish}
    return await staff.post(f"/v1/support/purchases/{purchase_id}/refunds", json=body, headers=key())


async def reaches_the_card(till: Till, person: Person, purchase_id: str, krw: int) -> dict[str, Any]:
    async def done() -> bool:
        found = (await person.get(f"/v1/payments/{purchase_id}")).json()["purchase"]["refunds"]
        return sum(refund["amount_krw"] for refund in found if refund["status"] == "SUCCEEDED") == krw

    await until(done)
    return (await person.get(f"/v1/payments/{purchase_id}")).json()["purchase"]


async def test_support_refunds_a_part_and_then_the_rest(till: Till) -> None:
    alice, sam = till.person("alice"), till.person("sam", "support")
    purchase = await till.bought(alice)

    first = await refunds(till, sam, purchase["id"], amount_krw=3_000, note="half of the concert was dark")
    assert first.status_code == 201, first.text
    assert (first.json()["amount_krw"], first.json()["credits"], first.json()["status"]) == (
        3_000,
        30,
        "REQUESTED",
    )
    assert (await alice.get("/v1/credits/balance")).json()["available"] == 70
    await reaches_the_card(till, alice, purchase["id"], 3_000)

    rest = await refunds(till, sam, purchase["id"])
    assert (rest.json()["amount_krw"], rest.json()["credits"]) == (7_000, 70)
    shown = await reaches_the_card(till, alice, purchase["id"], 10_000)

    assert shown["refunded_krw"] == 10_000
    assert [refund["reason"] for refund in shown["refunds"]] == ["requested_by_customer"] * 2
    receipt = (await alice.get(purchase["receipt_url"])).json()
    assert (receipt["refunded_krw"], len(receipt["refunds"])) == (10_000, 2)
    sam_id = (await sam.get("/v1/me")).json()["user_id"]
    rows = await till.rows("SELECT requested_by, note FROM refunds ORDER BY seq")
    assert {row["requested_by"] for row in rows} == {f"support:{sam_id}"}
    assert rows[0]["note"] == "half of the concert was dark"
    await till.shop.assert_agreed()


async def test_a_repeated_request_refunds_once_also_long_after(till: Till) -> None:
    alice, sam, headers = till.person("alice"), till.person("sam", "support"), key()
    purchase = await till.bought(alice)
    url, body = f"/v1/support/purchases/{purchase['id']}/refunds", {"credits": 10, "reason": "goodwill"}

    first = await sam.post(url, json=body, headers=headers)
    again = await sam.post(url, json=body, headers=headers)
    assert (again.json(), again.headers["idempotent-replayed"]) == (first.json(), "true")
    await till.execute("DELETE FROM idempotency_keys")
    late = await sam.post(url, json=body, headers=headers)
    assert late.json()["id"] == first.json()["id"]

    # The same key of a colleague is another wish.
    ann = till.person("ann", "support")
    other = await ann.post(url, json=body, headers=headers)
    assert other.json()["id"] != first.json()["id"]
    await reaches_the_card(till, alice, purchase["id"], 2_000)
    assert (await alice.get("/v1/credits/balance")).json()["available"] == 80
    await till.shop.assert_agreed()


async def test_what_is_spent_held_or_never_paid_cannot_be_refunded(till: Till) -> None:
    alice, sam = till.person("alice"), till.person("sam", "support")
    purchase = await till.bought(alice)
    held = await alice.post("/v1/jobs", json=upload_request(), headers=key())
    assert held.status_code == 201

    too_much = await refunds(till, sam, purchase["id"], amount_krw=10_001)
    body = assert_problem(too_much, 422, "refund_too_large")
    assert body["detail"] == "10,000 won were paid; 0 won of them are already refunded or disputed."
    spent = await refunds(till, sam, purchase["id"], amount_krw=10_000)
    body = assert_problem(spent, 409, "refund_credits_spent")
    assert body["detail"] == "At most 90 credits can be refunded, which is 9,000 won."
    unpaid = (await till.buys(alice))["purchase"]
    assert_problem(await refunds(till, sam, unpaid["id"]), 409, "payment_state_conflict")
    assert_problem(await refunds(till, sam, "pur_" + "0" * 32), 404, "not_found")
    both = await refunds(till, sam, purchase["id"], amount_krw=1, credits=1)
    assert_problem(both, 422, "validation_failed")
    for reason in ("job_failed", "because"):
        answer = await refunds(till, sam, purchase["id"], reason=reason)
        assert_problem(answer, 422, "validation_failed")
    card = await refunds(till, sam, purchase["id"], note="to 4242 4242 4242 4242 please")
    assert_problem(card, 422, "validation_failed")
    assert await till.rows("SELECT id FROM refunds") == []
    assert await till.rows("SELECT id FROM staff_log WHERE detail::text LIKE '%4242%'") == []


async def test_support_see_everything_but_the_card_and_are_written_down(till: Till) -> None:
    alice, sam = till.person("alice"), till.person("sam", "support")
    purchase = await till.bought(alice)
    [row] = await till.rows("SELECT provider_ref FROM purchases")

    answer = await sam.get(f"/v1/support/purchases/{purchase['id']}")

    seen = answer.json()
    user_id = (await alice.get("/v1/me")).json()["user_id"]
    assert (seen["status"], seen["amount_krw"], seen["user_id"]) == ("PAID", 10_000, user_id)
    assert seen["refundable"] == {"credits": 100, "amount_krw": 10_000}
    assert seen["workflow_url"].endswith(f"purchase%2F{purchase['id']}")
    listed = await sam.get(f"/v1/support/users/{user_id}/purchases")
    assert [line["id"] for line in listed.json()["data"]] == [purchase["id"]]
    for secret in (VISA, row["provider_ref"], "4242", "payment_method", "client_secret"):
        assert secret not in answer.text
        assert secret not in listed.text

    log = await till.rows("SELECT action, object, role FROM staff_log ORDER BY id")
    assert [(line["action"], line["object"]) for line in log] == [
        ("GET /v1/support/purchases/{purchase_id}", purchase["id"]),
        ("GET /v1/support/users/{user_id}/purchases", user_id),
    ]


async def test_a_refund_by_support_is_in_the_log_with_its_amount(till: Till) -> None:
    alice, sam = till.person("alice"), till.person("sam", "support")
    purchase = await till.bought(alice)
    answer = await refunds(till, sam, purchase["id"], credits=1)
    [line] = await till.rows("SELECT * FROM staff_log")
    assert (line["subject"], line["object"]) == (sam.subject, purchase["id"])
    assert json.loads(line["detail"]["body"])["credits"] == 1
    assert line["request_id"] == answer.headers["x-request-id"]


async def test_only_support_and_administrators_may(closed_till: Till) -> None:
    nobody = "pur_" + "0" * 32
    for person in (closed_till.person("alice"), closed_till.person("fay", "finance")):
        for path in (f"/v1/support/purchases/{nobody}", f"/v1/support/users/usr_{'0' * 32}/purchases"):
            assert_problem(await person.get(path), 403, "forbidden")
        assert_problem(await refunds(closed_till, person, nobody), 403, "forbidden")
    sam = closed_till.person("sam", "support")
    assert_problem(await sam.get(f"/v1/support/purchases/{nobody}"), 404, "not_found")
    assert_problem(await sam.get(f"/v1/support/users/usr_{'0' * 32}/purchases"), 404, "not_found")


async def test_support_export_no_books(closed_till: Till) -> None:
    sam = closed_till.person("sam", "support")
    paths = closed_till.api.server.app.openapi()["paths"]
    exports = [path for path in paths if path.startswith("/v1/finance/") and "{" not in path]
    assert len(exports) >= 5
    for path in exports:
        for method in paths[path]:
            answer = await sam.request(method, path, json={}, headers=key())
            assert_problem(answer, 403, "forbidden")


@pytest.mark.parametrize("terminated", [False, True])
async def test_a_refund_that_the_workflow_was_not_told_of_is_sent_by_the_sweeper(
    till: Till, terminated: bool
) -> None:
    alice = till.person("alice")
    purchase = await till.bought(alice)
    cut_off = till.shop.house.settings.model_copy(update={"temporal_address": f"127.0.0.1:{free_port()}"})
    async with served(cut_off) as api:
        sam = till.person("sam", "support", at=api.url)
        assert (await refunds(till, sam, purchase["id"])).status_code == 201
    if terminated:
        handle = till.shop.house.client.get_workflow_handle(f"purchase/{purchase['id']}")
        await handle.terminate("lost")

    assert (await till.sweep()).refunds_announced == 1

    await reaches_the_card(till, alice, purchase["id"], 10_000)
    await till.shop.assert_agreed()


async def test_a_refund_that_the_card_cannot_take_gives_the_credits_back_and_is_shown(till: Till) -> None:
    alice, sam = till.person("alice"), till.person("sam", "support")
    purchase = await till.bought(alice)
    await till.stripe.control.post("refunds/mode", status="failed")
    await refunds(till, sam, purchase["id"], credits=10)

    async def fails() -> bool:
        seen = (await sam.get(f"/v1/support/purchases/{purchase['id']}")).json()
        return [refund["failed"] for refund in seen["refunds"]] == [True]

    await until(fails)
    assert (await alice.get("/v1/credits/balance")).json()["available"] == 100
    assert (await alice.get(purchase["status_url"])).json()["purchase"]["refunded_krw"] == 0
    await till.shop.assert_agreed()
