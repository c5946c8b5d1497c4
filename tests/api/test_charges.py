"""Jobs that a card pays for."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from contracts.pricing import CHARGE_KRW_PER_CREDIT
from dev.servers.ports import free_port
from tests.api.acts import Person, assert_problem, key, upload_request
from tests.api.serving import served
from tests.api.till import ASKS_BANK, VISA, WITHOUT_MONEY, Till
from tests.workflows.house import until


def charged(card: str = VISA, refund_to: str = "card", **upload: Any) -> dict[str, Any]:
    funding = {"type": "charge", "payment_method": card, "refund_to": refund_to}
    return {**upload_request(**upload), "funding": funding}


async def start(person: Person, body: dict[str, Any]) -> dict[str, Any]:
    answer = await person.post("/v1/jobs", json=body, headers=key())
    assert answer.status_code == 201, answer.text
    return answer.json()


async def held(person: Person, job: dict[str, Any]) -> dict[str, Any]:
    """Until the card has paid and the credits are held for the job."""

    async def has() -> bool:
        return (await person.get(job["status_url"])).json()["credits_held"] > 0

    await until(has)
    return (await person.get(job["status_url"])).json()


async def refunded(till: Till, person: Person, job: dict[str, Any]) -> dict[str, Any]:
    async def has() -> bool:
        found = (await person.get(job["status_url"])).json()["charge"]["refunds"]
        return [refund["status"] for refund in found] == ["SUCCEEDED"]

    await until(has)
    return (await person.get(job["status_url"])).json()


async def test_a_card_pays_for_a_job_without_any_balance(till: Till) -> None:
    alice = till.person("alice")
    job = await start(alice, charged(duration_ms=61_000))

    assert job["upload"]["url"]
    assert job["charge"]["amount_krw"] == 20 * CHARGE_KRW_PER_CREDIT == 2_000
    now = await held(alice, job)

    assert (now["credits_held"], now["credit_effect"]) == (20, "held")
    assert (now["charge"]["status"], now["charge"]["refunds"]) == ("PAID", [])
    balance = (await alice.get("/v1/credits/balance")).json()
    assert (balance["available"], balance["held_paid"]) == (0, 20)
    effects = await till.rows(
        "SELECT credit_effect FROM job_events WHERE job_id = :id ORDER BY seq", id=job["id"]
    )
    assert [row["credit_effect"] for row in effects if row["credit_effect"] != "none"][:2] == [
        "charged",
        "held",
    ]
    listed = (await alice.get("/v1/payments")).json()["data"]
    assert [(purchase["job_id"], purchase["price_id"]) for purchase in listed] == [(job["id"], None)]
    await till.shop.assert_agreed()


async def test_a_canceled_job_gives_the_money_back_to_the_card(till: Till) -> None:
    alice = till.person("alice")
    job = await start(alice, charged())
    await held(alice, job)

    assert (await alice.post(job["cancel_url"])).status_code == 202

    await till.job_becomes(alice, job["id"], "CANCELED")
    ended = await refunded(till, alice, job)
    assert (ended["credit_effect"], ended["credits_held"]) == ("refunded", 0)
    [refund] = ended["charge"]["refunds"]
    assert (refund["amount_krw"], refund["reason"]) == (1_000, "job_canceled")
    assert (await alice.get("/v1/credits/balance")).json()["available"] == 0
    await till.shop.assert_agreed()


async def test_or_keeps_it_as_credits_when_the_customer_wished_so(till: Till) -> None:
    alice = till.person("alice")
    job = await start(alice, charged(refund_to="credits"))
    await held(alice, job)
    await alice.post(job["cancel_url"])

    ended = await till.job_becomes(alice, job["id"], "CANCELED")

    assert (ended["credit_effect"], ended["charge"]["refunds"]) == ("released", [])
    assert (await alice.get("/v1/credits/balance")).json()["available_paid"] == 10
    await till.shop.assert_agreed()


async def test_a_declined_card_fails_the_job_and_takes_nothing(till: Till) -> None:
    alice = till.person("alice")
    job = await start(alice, charged(WITHOUT_MONEY))

    ended = await till.job_becomes(alice, job["id"], "FAILED", seconds=90)

    assert ended["failure"]["code"] == "payment_declined"
    assert "not enough money" in ended["failure"]["message"]
    assert ended["charge"]["declined"]["reason"] == "not_enough_money"
    assert (ended["credit_effect"], ended["charge"]["status"]) == ("none", "FAILED")
    assert (await alice.get("/v1/credits/balance")).json()["held"] == 0
    await till.shop.assert_agreed()


async def test_a_card_that_asks_the_bank_is_completed_in_the_app(till: Till) -> None:
    alice = till.person("alice")
    job = await start(alice, charged(ASKS_BANK))
    assert job["charge"]["action_required"] is True
    checkout = job["charge"]["checkout"]
    assert checkout["client_secret"]
    assert job["credit_effect"] == "none"

    await till.stripe.control.post(f"3ds/{checkout['provider_ref']}", outcome="succeed")

    await held(alice, job)
    await till.shop.assert_agreed()


async def test_a_repeat_never_charges_twice_and_tells_how_it_stands(till: Till) -> None:
    alice, headers, body = till.person("alice"), key(), charged()
    first = await alice.post("/v1/jobs", json=body, headers=headers)
    await held(alice, first.json())

    again = await alice.post("/v1/jobs", json=body, headers=headers)
    assert (again.status_code, again.headers["idempotent-replayed"]) == (201, "true")
    assert (again.json()["id"], again.json()["charge"]["status"]) == (first.json()["id"], "PAID")
    assert again.json()["credits_held"] == 10

    await till.execute("DELETE FROM idempotency_keys")
    late = await alice.post("/v1/jobs", json=body, headers=headers)
    assert late.json()["id"] == first.json()["id"]
    await till.execute("DELETE FROM idempotency_keys")
    other = {**body, "params": {"fps": "source"}}
    assert_problem(await alice.post("/v1/jobs", json=other, headers=headers), 422, "idempotency_key_reused")
    await till.execute("DELETE FROM idempotency_keys")
    funding = body["funding"]
    for asked in (
        {**body, "funding": {**funding, "payment_method": "pm_card_mastercard"}},
        {**body, "funding": {**funding, "refund_to": "credits"}},
        {**body, "funding": {**funding, "provider": "portone"}},
        {**body, "funding": {"type": "balance"}},
        charged(filename="another.mp4"),
        charged(bytes=body["source"]["upload"]["bytes"] + 1),
        {**body, "source": {"video_id": "vid_" + "0" * 32}},
    ):
        answer = await alice.post("/v1/jobs", json=asked, headers=headers)
        assert_problem(answer, 422, "idempotency_key_reused")
    same_provider = {**body, "funding": {**funding, "provider": "stripe"}}
    again = await alice.post("/v1/jobs", json=same_provider, headers=headers)
    assert again.json()["id"] == first.json()["id"]
    await till.execute("DELETE FROM idempotency_keys")
    bought = await alice.post("/v1/payments/tokens", json={"package": "100"}, headers=headers)
    assert_problem(bought, 422, "idempotency_key_reused")
    assert len(await till.shop.payments()) == 1
    assert len(await till.rows("SELECT id FROM jobs")) == 1
    await till.shop.assert_agreed()


async def test_twins_at_once_make_one_job_and_one_charge(till: Till) -> None:
    alice, headers = till.person("alice"), key()
    answers = await asyncio.gather(
        *(alice.post("/v1/jobs", json=charged(), headers=headers) for _ in range(6))
    )
    made = [answer for answer in answers if answer.status_code == 201]
    assert len({answer.json()["id"] for answer in made}) == 1
    await held(alice, made[0].json())
    assert len(await till.shop.payments()) == 1


async def test_a_death_between_commit_and_start_leaves_both_workflows_to_the_sweeper(till: Till) -> None:
    cut_off = till.shop.house.settings.model_copy(update={"temporal_address": f"127.0.0.1:{free_port()}"})
    async with served(cut_off) as dying:
        alice = till.person("alice", at=dying.url)
        job = await start(alice, charged())
    assert (job["charge"]["status"], job["charge"]["checkout"], job["credit_effect"]) == (
        "CREATED",
        None,
        "none",
    )

    report = await till.sweep()

    assert (report.started, report.purchases_started) == (1, 1)
    survivor = till.same(alice.subject)
    await held(survivor, {"status_url": f"/v1/jobs/{job['id']}"})
    await till.shop.assert_agreed()


async def test_support_see_the_charge_of_a_job_but_nothing_of_the_card(till: Till) -> None:
    alice, sam = till.person("alice"), till.person("sam", "support")
    job = await start(alice, charged())
    await held(alice, job)
    [row] = await till.rows("SELECT provider_ref FROM purchases")

    for path in ("", "/saga"):
        seen = await sam.get(f"/v1/jobs/{job['id']}{path}")
        assert seen.status_code == 200
        for secret in (VISA, row["provider_ref"], "client_secret"):
            assert secret not in seen.text
    seen = (await sam.get(f"/v1/jobs/{job['id']}")).json()
    assert seen["charge"]["purchase_id"] == job["charge"]["purchase_id"]
    assert (await sam.get(seen["charge"]["payment_url"])).status_code == 404


@pytest.mark.parametrize(
    ("funding", "code"),
    [
        ({"type": "charge"}, "validation_failed"),
        ({"type": "charge", "payment_method": ""}, "validation_failed"),
        ({"type": "charge", "payment_method": VISA, "refund_to": "cash"}, "validation_failed"),
        ({"type": "balance", "payment_method": VISA}, "validation_failed"),
        ({"type": "gift"}, "validation_failed"),
        ({"type": "charge", "payment_method": VISA, "provider": "portone"}, "provider_not_offered"),
    ],
)
async def test_a_wrong_way_of_paying_is_refused(funding: dict[str, str], code: str, alice: Person) -> None:
    answer = await alice.post("/v1/jobs", json={**upload_request(), "funding": funding}, headers=key())
    assert_problem(answer, 422, code)
    assert (await alice.get("/v1/videos/jobs")).json()["data"] == []


async def test_saying_that_the_balance_pays_is_the_same_as_saying_nothing(alice: Person) -> None:
    body = {**upload_request(), "funding": {"type": "balance"}}
    job = (await alice.post("/v1/jobs", json=body, headers=key())).json()
    assert (job["charge"], job["credits_held"], job["credit_effect"]) == (None, 10, "held")
