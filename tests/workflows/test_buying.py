"""A customer buys credits: whatever cards, banks and webhooks do, paid once means granted once, and unpaid nothing."""

from __future__ import annotations

from datetime import timedelta

import pytest
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError
from temporalio.exceptions import ApplicationError

from contracts.errors import Code
from contracts.ledger import TransferOrigin
from contracts.payments import PurchaseStatus
from contracts.purchases import ClosePurchase
from contracts.timing import PurchaseDeadlines
from db import purchases
from tests.workflows.house import card_of, until
from tests.workflows.shop import Shop
from workflows import search
from workflows.token_purchase import TokenPurchaseWorkflow


async def test_the_app_pays_and_the_webhook_settles_the_purchase_at_once(shop: Shop) -> None:
    purchase = await shop.buy()
    answer = await shop.checkout(purchase)
    assert answer.status is PurchaseStatus.AWAITING_PAYMENT
    assert answer.checkout is not None
    assert answer.checkout.client_secret
    assert answer.checkout.customer_session_client_secret

    assert (await shop.pay(purchase)).is_success
    await shop.hear(purchase)
    await shop.becomes(purchase, PurchaseStatus.PAID)

    assert await shop.transfers(purchase) == [("purchase", 100)]
    assert (await shop.balance(purchase.user_id)).available_paid == 100
    handle = shop.handle(purchase)

    async def receipt() -> bool:
        return shop.house.stand_ins.notices[purchase.purchase_id] == ["paid"]

    await until(receipt)
    found = await handle.describe()
    assert found.status is WorkflowExecutionStatus.RUNNING  # it cares for refunds from here on
    assert found.typed_search_attributes[search.PURCHASE_STATUS] == "PAID"
    assert "10,000 won, 100 credits granted" in await card_of(handle)
    assert await shop.checkout(purchase) == answer.model_copy(update={"status": "PAID", "checkout": None})
    await shop.assert_agreed()


async def test_without_any_webhook_the_purchase_looks_for_itself(shop: Shop) -> None:
    purchase = await shop.buy()
    await shop.start(purchase, skip_time=True)
    await shop.pay(purchase)
    await shop.becomes(purchase, PurchaseStatus.PAID)
    await shop.assert_agreed()


async def test_events_that_come_twice_and_in_the_wrong_order_grant_once(shop: Shop) -> None:
    purchase = await shop.buy()
    await shop.pay(purchase)
    events = await shop.events(purchase)
    assert len(events) >= 3
    for event in [*reversed(events), *events]:
        await shop.deliver(purchase, event)
    await shop.becomes(purchase, PurchaseStatus.PAID)
    assert await shop.transfers(purchase) == [("purchase", 100)]
    assert not await shop.deliver(purchase, events[0])
    await shop.assert_agreed()


async def test_a_webhook_that_comes_before_the_providers_own_answer_is_no_trouble(shop: Shop) -> None:
    await shop.stripe.control.post(
        "faults", match="POST /v1/payment_intents", kind="slow_after", delay_ms=1500
    )
    purchase = await shop.buy(payment_method="pm_card_visa")
    await shop.start(purchase)

    async def charged() -> bool:
        return any(each["status"] == "succeeded" for each in await shop.payments())

    await until(charged)
    await shop.hear(purchase)
    await shop.becomes(purchase, PurchaseStatus.PAID)
    assert await shop.transfers(purchase) == [("purchase", 100)]
    await shop.assert_agreed()


@pytest.mark.parametrize("key_forgotten", [False, True], ids=["at once", "a day later"])
async def test_a_payment_whose_booking_was_lost_is_found_and_not_made_again(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, key_forgotten: bool
) -> None:
    """Its worker died behind the provider's answer. Young, it is found by its key; later it is looked for."""
    purchase = await shop.buy()
    rooms = shop.house.rooms
    async with rooms.database.read() as session:
        row = await purchases.get(session, purchase.purchase_id)
        assert row is not None
        order = await purchases.order(session, row)
    made, _ = await rooms.payments[row.provider].create(order)
    if key_forgotten:
        await shop.stripe.control.post("forget_keys")
        monkeypatch.setattr("db.purchases.KEY_TRUSTED", timedelta())  # of rows as young as this one

    answer = await shop.checkout(purchase)
    assert answer.checkout is not None
    assert answer.checkout.provider_ref == made.provider_ref
    assert [each["id"] for each in await shop.payments()] == [made.provider_ref]
    looks = [each for each in await shop.stripe.control.get("requests") if "search" in each["path"]]
    assert bool(looks) is key_forgotten
    await shop.assert_agreed()


async def test_an_error_that_came_after_the_effect_is_looked_behind(shop: Shop) -> None:
    """The key answers that error for a day: the second attempt must not ask it alone."""
    await shop.stripe.control.post("faults", match="POST /v1/payment_intents", kind="500_after", times=1)
    purchase = await shop.buy()
    await shop.start(purchase)
    await shop.becomes(purchase, PurchaseStatus.AWAITING_PAYMENT)
    assert len(await shop.payments()) == 1
    await shop.assert_agreed()


async def test_a_saved_card_pays_without_the_app(shop: Shop) -> None:
    purchase = await shop.buy(500, payment_method="pm_card_visa")
    answer = await shop.checkout(purchase)
    assert (answer.status, answer.checkout) == (PurchaseStatus.PAID, None)
    assert await shop.transfers(purchase) == [("purchase", 500)]
    await shop.assert_agreed()


async def test_a_declined_card_leaves_the_customer_to_try_another(shop: Shop) -> None:
    purchase = await shop.buy()
    assert (await shop.pay(purchase, "pm_card_chargeDeclinedInsufficientFunds")).status_code == 402
    await shop.hear(purchase)

    async def told() -> bool:
        return (await shop.checkout(purchase)).declined == "insufficient_funds"

    await until(told)
    card = await card_of(shop.handle(purchase))
    for line in (
        "not enough money",
        "잔액이나 한도가 부족합니다",
        "`payment_declined` · `insufficient_funds`",
    ):
        assert line in card
    assert (await shop.checkout(purchase)).checkout is not None
    assert (await shop.pay(purchase)).is_success
    await shop.hear(purchase)
    await shop.becomes(purchase, PurchaseStatus.PAID)

    async def says_no_more_of_it() -> bool:
        return "insufficient_funds" not in await card_of(shop.handle(purchase))

    await until(says_no_more_of_it)
    await shop.assert_agreed()


@pytest.mark.parametrize(("outcome", "ends"), [("succeed", "PAID"), ("fail", "FAILED")])
async def test_a_bank_that_asks_for_authentication_is_waited_for(shop: Shop, outcome: str, ends: str) -> None:
    purchase = await shop.buy(payment_method="pm_card_threeDSecure2Required")
    answer = await shop.checkout(purchase)
    assert (answer.status, answer.action_required) == (PurchaseStatus.AWAITING_PAYMENT, True)
    assert answer.checkout is not None

    await shop.stripe.control.post(f"3ds/{answer.checkout.provider_ref}", outcome=outcome)
    await shop.hear(purchase)
    await shop.becomes(purchase, PurchaseStatus(ends))
    await shop.assert_agreed()


async def test_a_payment_that_the_bank_works_on_is_neither_granted_nor_closed(shop: Shop) -> None:
    purchase = await shop.buy(payment_method="pm_standin_processing")
    await shop.checkout(purchase)
    ref = await shop.payment_ref(purchase)
    await shop.cancel(purchase)

    async def looked() -> bool:
        asked = [(each["method"], each["path"]) for each in await shop.stripe.control.get("requests")]
        return ("GET", f"/v1/payment_intents/{ref}") in asked

    await until(looked)
    assert await shop.status(purchase) is PurchaseStatus.AWAITING_PAYMENT
    await shop.stripe.control.post(f"payment_intents/{ref}/settle", outcome="succeed")
    await shop.hear(purchase)
    await shop.becomes(purchase, PurchaseStatus.PAID)  # the money came: cancelling was too late
    await shop.assert_agreed()


async def test_an_unpaid_purchase_ends_by_its_deadline_and_can_no_longer_be_paid(shop: Shop) -> None:
    purchase = await shop.buy(deadlines=PurchaseDeadlines(payment_s=30))
    outcome = await (await shop.start(purchase, skip_time=True)).result()

    assert (outcome.status, outcome.failure_code) == (PurchaseStatus.EXPIRED, Code.PAYMENT_EXPIRED)
    assert [each["status"] for each in await shop.payments()] == ["canceled"]
    assert await shop.transfers(purchase) == []
    await shop.assert_agreed()


async def test_a_customer_who_cancels_is_not_charged(shop: Shop) -> None:
    purchase = await shop.buy()
    await shop.checkout(purchase)
    await shop.cancel(purchase)
    assert (await shop.handle(purchase).result()).status is PurchaseStatus.CANCELED
    assert [each["status"] for each in await shop.payments()] == ["canceled"]
    await shop.assert_agreed()


async def test_temporals_own_cancel_button_cancels_an_unpaid_purchase_and_leaves_a_paid_one(
    shop: Shop,
) -> None:
    unpaid, paid = await shop.buy(), await shop.buy(payment_method="pm_card_visa")
    for purchase in (unpaid, paid):
        await shop.checkout(purchase)
        await shop.handle(purchase).cancel()
    assert (await shop.handle(unpaid).result()).status is PurchaseStatus.CANCELED
    await shop.handle(paid).execute_update("refund")
    await shop.refunded(paid, ("SUCCEEDED", 10_000, 100))
    await shop.assert_agreed()


async def test_paying_and_cancelling_at_once_ends_paid_or_unpaid_and_never_in_between(shop: Shop) -> None:
    bought = [await shop.buy() for _ in range(6)]
    for number, purchase in enumerate(bought):
        paying = (await shop.checkout(purchase)).checkout
        assert paying is not None
        if number % 2:
            await shop.confirm(paying)
            await shop.cancel(purchase)
        else:
            await shop.cancel(purchase)
            await shop.confirm(paying)
        await shop.hear(purchase)

    async def settled() -> bool:
        return all([(await shop.status(purchase)).settled for purchase in bought])

    await until(settled)
    await shop.assert_agreed()


async def test_a_payment_that_arrives_after_the_purchase_was_closed_is_granted_all_the_same(
    shop: Shop,
) -> None:
    """Its window was still open when the purchase was closed, at a provider that cannot close it."""
    purchase = await shop.buy()
    paying = (await shop.checkout(purchase)).checkout
    assert paying is not None
    await shop.handle(purchase).terminate()
    closing = ClosePurchase(
        purchase_id=purchase.purchase_id, status=PurchaseStatus.EXPIRED, failure_code=Code.PAYMENT_EXPIRED
    )
    async with shop.house.rooms.database.transaction() as session:
        await purchases.close(session, closing, TransferOrigin(actor="system:test", step="test"))
    assert (await shop.confirm(paying)).is_success
    await shop.hear(purchase)  # opens the purchase again
    await shop.becomes(purchase, PurchaseStatus.PAID)
    await shop.assert_agreed()


async def test_a_provider_that_is_away_delays_the_purchase_and_nothing_else(shop: Shop) -> None:
    for kind in ("reset_before", "reset_after"):
        await shop.stripe.control.post("faults", match="POST /v1/payment_intents", kind=kind)
    purchase = await shop.buy(payment_method="pm_card_visa")
    await shop.start(purchase)
    await shop.becomes(purchase, PurchaseStatus.PAID, seconds=60)
    assert [each["status"] for each in await shop.payments()] == ["succeeded"]
    await shop.assert_agreed()


async def test_a_customer_who_cancels_while_the_provider_is_away_is_not_charged_when_it_is_back(
    shop: Shop,
) -> None:
    """The request may have reached it; the purchase waits until that would show, and looks again."""
    await shop.stripe.control.post("faults", match="POST /v1/customers", kind="500", times=1000)
    purchase = await shop.buy(payment_method="pm_card_visa")
    handle = await shop.start(purchase, skip_time=True)
    assert (await shop.checkout(purchase, timeout_s=0.5)).checkout is None
    await shop.cancel(purchase)
    await shop.becomes(purchase, PurchaseStatus.CANCELED)
    await shop.mend_provider()
    assert (await handle.result()).status is PurchaseStatus.CANCELED
    assert await shop.payments() == []
    await shop.assert_agreed()


async def test_a_started_copy_of_a_purchase_is_refused(shop: Shop) -> None:
    purchase = await shop.buy(payment_method="pm_card_visa")
    copy = await shop.house.client.start_workflow(
        TokenPurchaseWorkflow.run,
        purchase,
        id=f"copy-{purchase.purchase_id}",
        task_queue=shop.house.settings.queue_prefix + "core",
    )
    with pytest.raises(WorkflowFailureError) as failed:
        await copy.result()
    assert isinstance(failed.value.cause, ApplicationError)
    assert failed.value.cause.type == Code.WORKFLOW_ID_MISMATCH
    assert await shop.payments() == []
