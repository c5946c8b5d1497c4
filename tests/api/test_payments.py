from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from contracts.signing import signer
from dev.servers.ports import free_port
from tests.api.acts import assert_problem, key
from tests.api.serving import served
from tests.api.till import ASKS_BANK, DECLINED, LOST, VISA, WITHOUT_MONEY, Till
from tests.workflows.house import until, workers


async def test_a_customer_buys_a_package_in_the_app(till: Till) -> None:
    alice = till.person("alice")

    answer = await alice.post("/v1/payments/tokens", json={"package": "100"}, headers=key())

    assert answer.status_code == 201, answer.text
    purchase, checkout = answer.json()["purchase"], answer.json()["checkout"]
    assert answer.headers["location"] == purchase["status_url"]
    assert (purchase["status"], purchase["credits"], purchase["amount_krw"]) == (
        "AWAITING_PAYMENT",
        100,
        10_000,
    )
    assert checkout["client_secret"]
    assert checkout["customer_session_client_secret"]
    assert checkout["publishable_key"] == till.stripe.publishable_key
    assert (await alice.get("/v1/credits/balance")).json()["available"] == 0

    assert (await till.pays(checkout)).is_success
    paid = await till.becomes(alice, purchase["id"], "PAID")

    assert paid["paid_at"]
    assert (await alice.get("/v1/credits/balance")).json()["available_paid"] == 100
    after = (await alice.get(purchase["status_url"])).json()
    assert (after["checkout"], after["action_required"]) == (None, False)
    await till.shop.assert_agreed()


async def test_a_saved_card_is_charged_without_another_word(till: Till) -> None:
    alice = till.person("alice")
    purchase = await till.bought(alice, "500")
    assert (purchase["amount_krw"], purchase["payment_method"]) == (40_000, VISA)
    assert (await alice.get("/v1/credits/balance")).json()["available_paid"] == 500
    await till.shop.assert_agreed()


async def test_a_card_that_asks_the_bank_waits_for_its_owner(till: Till) -> None:
    alice = till.person("alice")
    answer = await till.buys(alice, payment_method=ASKS_BANK)
    assert answer["action_required"] is True
    assert answer["purchase"]["status"] == "AWAITING_PAYMENT"

    intent = answer["checkout"]["provider_ref"]
    await till.stripe.control.post(f"3ds/{intent}", outcome="succeed")

    await till.becomes(alice, answer["purchase"]["id"], "PAID")
    await till.shop.assert_agreed()


async def test_a_declined_saved_card_ends_the_purchase_and_says_so(till: Till) -> None:
    alice = till.person("alice")
    purchase = (await till.buys(alice, payment_method=DECLINED))["purchase"]
    failed = await till.becomes(alice, purchase["id"], "FAILED")
    assert failed["failure"]["code"] == "payment_declined"
    assert failed["failure"]["message"].startswith("The card was declined")
    assert (await alice.get("/v1/credits/balance")).json()["available"] == 0
    answer = await alice.get(failed["receipt_url"])
    assert_problem(answer, 409, "payment_state_conflict")
    await till.shop.assert_agreed()


async def test_a_customer_reads_what_to_do_about_a_declined_card_and_support_its_code(till: Till) -> None:
    alice = till.person("alice")
    purchase = (await till.buys(alice, payment_method=WITHOUT_MONEY))["purchase"]
    await till.becomes(alice, purchase["id"], "FAILED")

    for language, words in (("en", "not enough money"), ("ko", "잔액이나 한도가 부족합니다")):
        answer = await alice.get(f"/v1/payments/{purchase['id']}", headers={"Accept-Language": language})
        found = answer.json()
        assert words in found["purchase"]["failure"]["message"]
        assert found["declined"] == {
            "reason": "not_enough_money",
            "message": found["purchase"]["failure"]["message"],
        }
        assert "insufficient_funds" not in answer.text

    desk = till.person("desk", "support")
    seen = (await desk.get(f"/v1/support/purchases/{purchase['id']}")).json()
    assert seen["declined"] == "insufficient_funds"
    assert "not enough money" in seen["failure"]["message"]


async def test_a_card_that_was_lost_reads_like_any_other_that_is_refused(till: Till) -> None:
    alice = till.person("alice")
    texts: list[str] = []
    for card in (LOST, DECLINED):
        purchase = (await till.buys(alice, payment_method=card))["purchase"]
        await till.becomes(alice, purchase["id"], "FAILED")
        answer = await alice.get(f"/v1/payments/{purchase['id']}")
        assert "lost_card" not in answer.text
        texts.append(answer.json()["declined"])
    assert texts[0] == texts[1]


async def test_a_card_declined_in_the_app_is_explained_until_another_pays(till: Till) -> None:
    alice = till.person("alice")
    answer = await till.buys(alice)
    assert answer["declined"] is None
    assert (await till.pays(answer["checkout"], WITHOUT_MONEY)).status_code == 402

    async def told() -> bool:
        return (await alice.get(answer["purchase"]["status_url"])).json()["declined"] is not None

    await until(told)
    waiting = (await alice.get(answer["purchase"]["status_url"])).json()
    assert (waiting["purchase"]["status"], waiting["purchase"]["failure"]) == ("AWAITING_PAYMENT", None)
    assert waiting["declined"]["reason"] == "not_enough_money"

    assert (await till.pays(waiting["checkout"])).is_success
    await till.becomes(alice, answer["purchase"]["id"], "PAID")
    assert (await alice.get(answer["purchase"]["status_url"])).json()["declined"] is None
    await till.shop.assert_agreed()


async def test_a_repeat_is_answered_with_the_purchase_as_it_is_and_pays_nothing_twice(till: Till) -> None:
    alice, headers = till.person("alice"), key()
    first = await alice.post("/v1/payments/tokens", json={"package": "100"}, headers=headers)

    again = await alice.post("/v1/payments/tokens", json={"package": "100"}, headers=headers)
    assert again.status_code == 201
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    assert again.json()["checkout"]["client_secret"] == first.json()["checkout"]["client_secret"]

    await till.pays(first.json()["checkout"])
    await till.becomes(alice, first.json()["purchase"]["id"], "PAID")
    late = await alice.post("/v1/payments/tokens", json={"package": "100"}, headers=headers)
    assert (late.json()["purchase"]["status"], late.json()["checkout"]) == ("PAID", None)
    assert len((await alice.get("/v1/payments")).json()["data"]) == 1
    assert len(await till.shop.payments()) == 1
    await till.shop.assert_agreed()


async def test_secrets_of_a_checkout_are_nowhere_in_the_database(till: Till) -> None:
    alice = till.person("alice")
    answer = await till.buys(alice)
    secrets = (answer["checkout"]["client_secret"], answer["checkout"]["customer_session_client_secret"])

    tables = await till.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    assert {"idempotency_keys", "purchases", "webhook_inbox"} <= {row["tablename"] for row in tables}
    for table in tables:
        rows = await till.rows(f"SELECT to_jsonb(t)::text AS line FROM {table['tablename']} t")
        for row in rows:
            assert not any(secret in row["line"] for secret in secrets), table


async def test_twins_at_once_make_one_purchase_and_one_payment(till: Till) -> None:
    alice, headers = till.person("alice"), key()
    body = {"package": "100", "payment_method": VISA}

    answers = await asyncio.gather(
        *(alice.post("/v1/payments/tokens", json=body, headers=headers) for _ in range(6))
    )

    made = [answer for answer in answers if answer.status_code == 201]
    assert len({answer.json()["purchase"]["id"] for answer in made}) == 1
    for answer in answers:
        if answer not in made:
            assert_problem(answer, 409, "idempotency_in_flight")
    await till.becomes(alice, made[0].json()["purchase"]["id"], "PAID")
    assert len(await till.shop.payments()) == 1
    await till.shop.assert_agreed()


async def test_a_repeat_long_after_its_answer_was_forgotten_finds_the_purchase(till: Till) -> None:
    alice, headers = till.person("alice"), key()
    body = {"package": "100", "payment_method": VISA}
    first = await alice.post("/v1/payments/tokens", json=body, headers=headers)
    await till.becomes(alice, first.json()["purchase"]["id"], "PAID")
    await till.execute("DELETE FROM idempotency_keys")

    again = await alice.post("/v1/payments/tokens", json=body, headers=headers)
    assert (again.status_code, again.json()["purchase"]["id"]) == (201, first.json()["purchase"]["id"])

    await till.execute("DELETE FROM idempotency_keys")
    other = await alice.post("/v1/payments/tokens", json={**body, "package": "500"}, headers=headers)
    assert_problem(other, 422, "idempotency_key_reused")
    assert len(await till.shop.payments()) == 1


async def test_an_api_that_dies_after_its_commit_leaves_the_purchase_to_the_sweeper(till: Till) -> None:
    """Seen from the rows, an API that cannot reach Temporal is one that died before it could."""
    cut_off = till.shop.house.settings.model_copy(update={"temporal_address": f"127.0.0.1:{free_port()}"})
    async with served(cut_off) as dying:
        alice = till.person("alice", at=dying.url)
        body = {"package": "100", "payment_method": VISA}
        answer = await alice.post("/v1/payments/tokens", json=body, headers=key())
    assert answer.status_code == 202
    assert (answer.json()["purchase"]["status"], answer.json()["checkout"]) == ("CREATED", None)
    assert await till.shop.payments() == []

    report = await till.sweep()

    assert report.purchases_started == 1
    survivor = till.same(alice.subject)
    await till.becomes(survivor, answer.json()["purchase"]["id"], "PAID")
    await till.shop.assert_agreed()


async def test_a_repeat_after_such_a_death_starts_the_purchase_at_once(till: Till) -> None:
    cut_off = till.shop.house.settings.model_copy(update={"temporal_address": f"127.0.0.1:{free_port()}"})
    headers, body = key(), {"package": "100"}
    async with served(cut_off) as dying:
        alice = till.person("alice", at=dying.url)
        assert (await alice.post("/v1/payments/tokens", json=body, headers=headers)).status_code == 202

    again = await till.same(alice.subject).post("/v1/payments/tokens", json=body, headers=headers)

    assert (again.status_code, again.headers["idempotent-replayed"]) == (201, "true")
    assert again.json()["checkout"]["client_secret"]


async def test_while_no_worker_answers_the_purchase_is_written_down_and_goes_on_later(
    closed_till: Till,
) -> None:
    alice = closed_till.person("alice")
    answer = await closed_till.buys(alice, payment_method=VISA)
    assert answer["checkout"] is None
    assert answer["purchase"]["status"] == "CREATED"
    async with workers(closed_till.shop.house):
        await closed_till.becomes(alice, answer["purchase"]["id"], "PAID")
    await closed_till.shop.assert_agreed()


async def test_while_the_provider_is_away_the_checkout_is_asked_for_again(till: Till) -> None:
    await till.stripe.control.post("faults", match="POST /v1/payment_intents", kind="500", times=2)
    alice = till.person("alice")

    answer = await till.buys(alice)

    async def comes() -> bool:
        found = (await alice.get(answer["purchase"]["status_url"])).json()
        return found["checkout"] is not None

    await until(comes)
    assert len(await till.shop.payments()) == 1


async def test_prices_are_those_of_the_day_and_old_purchases_keep_theirs(till: Till) -> None:
    alice, headers = till.person("alice"), key()
    old = await alice.post("/v1/payments/tokens", json={"package": "100"}, headers=headers)
    ends, begins = datetime.now(UTC), datetime.now(UTC) + timedelta(days=1)
    await till.execute("UPDATE price_list SET valid_to = :now WHERE package = '100'", now=ends)
    await till.execute(
        "INSERT INTO price_list (id, package, credits, krw, valid_from) VALUES ('later', '100', 100, 12000, :at)",
        at=begins,
    )
    gone = await alice.post("/v1/payments/tokens", json={"package": "100"}, headers=key())
    assert_problem(gone, 422, "package_unknown")

    await till.execute(
        "INSERT INTO price_list (id, package, credits, krw, valid_from, valid_to)"
        " VALUES ('now', '100', 100, 11000, :at, :until)",
        at=ends,
        until=begins,
    )
    new = await till.buys(alice)
    assert (new["purchase"]["amount_krw"], new["purchase"]["price_id"]) == (11_000, "now")
    repeated = await alice.post("/v1/payments/tokens", json={"package": "100"}, headers=headers)
    assert repeated.json()["purchase"]["amount_krw"] == old.json()["purchase"]["amount_krw"] == 10_000

    packages = {p["package"]: p for p in (await alice.get("/v1/pricing")).json()["packages"]}
    assert (packages["100"]["krw"], packages["100"]["price_id"]) == (11_000, "now")


async def test_what_is_too_cheap_for_a_card_is_refused_before_anything_is_written(till: Till) -> None:
    await till.execute(
        "INSERT INTO price_list (id, package, credits, krw, valid_from) VALUES ('tiny', '9', 9, 900, now())"
    )
    answer = await till.person("alice").post("/v1/payments/tokens", json={"package": "9"}, headers=key())
    problem = assert_problem(answer, 422, "amount_too_small")
    assert (problem["amount_krw"], problem["amount_krw_min"]) == (900, 1_000)
    assert await till.rows("SELECT id FROM purchases") == []


WRONG_WISHES = [
    ({"package": "7"}, "package_unknown"),
    ({"package": "100", "provider": "portone"}, "provider_not_offered"),
    ({"package": "100", "provider": "paypal"}, "validation_failed"),
    ({"package": 100}, "validation_failed"),
    ({"package": "100", "payment_method": "4242 4242 4242 4242"}, "validation_failed"),
    ({"package": "100", "payment_method": "4242424242424242"}, "validation_failed"),
    ({"package": "100", "payment_method": "pm-4000-0025-0000-3155"}, "validation_failed"),
    ({"package": "100", "krw": 1}, "validation_failed"),
    ({}, "validation_failed"),
]


async def test_a_wrong_wish_is_refused_and_its_key_stays_free(closed_till: Till) -> None:
    alice, headers = closed_till.person("alice"), key()
    for body, code in WRONG_WISHES:
        answer = await alice.post("/v1/payments/tokens", json=body, headers=headers)
        assert_problem(answer, 422, code)
    assert await closed_till.rows("SELECT id FROM purchases") == []
    assert await closed_till.rows("SELECT key FROM idempotency_keys") == []


async def test_buying_needs_a_key_a_token_and_a_customer(closed_till: Till) -> None:
    alice, fay = closed_till.person("alice"), closed_till.person("fay", "finance")
    body = {"package": "100"}
    assert_problem(await alice.post("/v1/payments/tokens", json=body), 400, "idempotency_key_missing")
    assert_problem(await fay.post("/v1/payments/tokens", json=body, headers=key()), 403, "forbidden")
    alice.headers.pop("Authorization")
    assert_problem(await alice.post("/v1/payments/tokens", json=body, headers=key()), 401, "unauthenticated")


async def test_an_unpaid_purchase_is_canceled_at_the_provider_too(till: Till) -> None:
    alice = till.person("alice")
    purchase = (await till.buys(alice))["purchase"]

    assert (await alice.post(purchase["cancel_url"])).status_code == 202

    canceled = await till.becomes(alice, purchase["id"], "CANCELED")
    assert canceled["failure"]["code"] == "payment_canceled"
    [payment] = await till.shop.payments()
    assert payment["status"] == "canceled"
    assert (await alice.post(purchase["cancel_url"])).status_code == 202


async def test_a_paid_purchase_cannot_be_canceled(till: Till) -> None:
    alice = till.person("alice")
    purchase = await till.bought(alice)
    assert_problem(await alice.post(purchase["cancel_url"]), 409, "payment_state_conflict")


async def test_a_list_of_purchases_is_walked_by_pages_and_shows_only_ones_own(closed_till: Till) -> None:
    alice, bob = closed_till.person("alice"), closed_till.person("bob")
    made = [(await closed_till.buys(alice, package))["purchase"]["id"] for package in ("100", "500", "1000")]

    first = (await alice.get("/v1/payments", params={"limit": 2})).json()
    assert [purchase["id"] for purchase in first["data"]] == [made[2], made[1]]
    assert first["has_more"] is True
    rest = (await alice.get("/v1/payments", params={"starting_after": made[1]})).json()
    assert ([purchase["id"] for purchase in rest["data"]], rest["has_more"]) == ([made[0]], False)

    assert (await bob.get("/v1/payments")).json() == {"data": [], "has_more": False}
    foreign = await bob.get("/v1/payments", params={"starting_after": made[0]})
    assert_problem(foreign, 400, "cursor_invalid")


async def test_a_receipt_says_what_was_paid_and_is_signed(till: Till) -> None:
    alice = till.person("alice")
    purchase = await till.bought(alice)

    receipt = (await alice.get(purchase["receipt_url"])).json()

    assert (receipt["purchase_id"], receipt["amount_krw"], receipt["credits"]) == (
        purchase["id"],
        10_000,
        100,
    )
    [transfer] = await till.rows("SELECT id::text FROM transfers WHERE kind = 'purchase'")
    assert receipt["transfer_id"] == transfer["id"]
    assert receipt["disputes"] == []
    assert signer(receipt)
    assert signer({**receipt, "amount_krw": 1}) is None


async def test_a_dispute_is_shown_to_its_customer_and_on_the_receipt(till: Till) -> None:
    alice = till.person("alice")
    purchase = await till.bought(alice)
    assert purchase["disputes"] == []
    [row] = await till.rows("SELECT provider_ref FROM purchases WHERE id = :id", id=purchase["id"])
    made = await till.stripe.control.post("disputes", payment_intent=row["provider_ref"])

    async def shown(status: str) -> bool:
        disputes = (await alice.get(purchase["status_url"])).json()["purchase"]["disputes"]
        return [dispute["status"] for dispute in disputes] == [status]

    await until(lambda: shown("OPEN"))
    await till.stripe.control.post(f"disputes/{made['id']}/close", outcome="lost")
    await until(lambda: shown("LOST"))
    [dispute] = (await alice.get(purchase["status_url"])).json()["purchase"]["disputes"]
    assert dispute["closed_at"] > dispute["opened_at"]
    assert (dispute["amount_krw"], dispute["credits_frozen"], dispute["credits_owed"]) == (10_000, 100, 0)
    receipt = (await alice.get(purchase["receipt_url"])).json()
    assert receipt["disputes"] == [dispute]
    assert signer({**receipt, "disputes": []}) is None
    assert (await alice.get("/v1/payments")).json()["data"][0]["disputes"] == [dispute]
