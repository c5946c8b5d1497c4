"""Money goes back: what support refunds, what a provider's dashboard refunds, what a bank takes. Every won and credit
is accounted for, and no button gives more back than was paid and is not spent."""

from __future__ import annotations

import pytest
from temporalio.client import WorkflowExecutionStatus, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from contracts.errors import Code
from contracts.finance import CorrectionLeg
from contracts.ledger import AccountKind, Bucket
from contracts.payments import PurchaseStatus, RefundReason
from contracts.purchases import PurchaseInput, RefundRequest
from contracts.timing import PurchaseDeadlines
from db import corrections
from tests.workflows.house import card_of, until
from tests.workflows.shop import Shop
from workflows import search


async def paid(shop: Shop, credits: int = 100, **how: object) -> PurchaseInput:
    purchase = await shop.buy(credits, payment_method="pm_card_visa", **how)  # pyright: ignore[reportArgumentType]
    assert (await shop.checkout(purchase)).status is PurchaseStatus.PAID
    return purchase


async def refuses(shop: Shop, purchase: PurchaseInput, code: Code, *arguments: RefundRequest) -> None:
    with pytest.raises(WorkflowUpdateFailedError) as refusal:
        await shop.handle(purchase).execute_update("refund", args=arguments)
    assert isinstance(refusal.value.cause, ApplicationError)
    assert refusal.value.cause.type == code


async def test_support_refunds_all_that_is_unspent_by_pressing_the_button_bare(shop: Shop) -> None:
    purchase = await paid(shop)
    said = await shop.handle(purchase).execute_update("refund", result_type=str)
    assert "Refunding 10000 won for 100 credits" in said
    await shop.refunded(purchase, ("SUCCEEDED", 10_000, 100))
    assert (await shop.balance(purchase.user_id)).available == 0
    await refuses(shop, purchase, Code.REFUND_TOO_LARGE)
    await shop.assert_agreed()


async def test_parts_are_refunded_until_nothing_is_left_and_never_more(shop: Shop) -> None:
    purchase = await paid(shop, 500)
    handle = shop.handle(purchase)
    await refuses(shop, purchase, Code.REFUND_TOO_LARGE, RefundRequest(amount_krw=40_001))
    await handle.execute_update("refund", RefundRequest(amount_krw=16_000, reason=RefundReason.GOODWILL))
    await handle.execute_update("refund", RefundRequest(credits=200))
    await refuses(shop, purchase, Code.REFUND_CREDITS_SPENT, RefundRequest(credits=101))
    await handle.execute_update("refund")
    await shop.refunded(
        purchase, ("SUCCEEDED", 16_000, 200), ("SUCCEEDED", 16_000, 200), ("SUCCEEDED", 8_000, 100)
    )
    await refuses(shop, purchase, Code.PAYMENT_STATE_CONFLICT, RefundRequest(amount_krw=1, credits=1))
    await shop.assert_agreed()


async def test_the_same_request_refunds_once_and_an_unpaid_purchase_nothing(shop: Shop) -> None:
    purchase, unpaid = await paid(shop), await shop.buy()
    again = RefundRequest(amount_krw=3_000, request_id="ticket-7")
    for _ in range(3):
        await shop.handle(purchase).execute_update("refund", again)
    await shop.refunded(purchase, ("SUCCEEDED", 3_000, 30))
    await shop.checkout(unpaid)
    await refuses(shop, unpaid, Code.PAYMENT_STATE_CONFLICT)
    await shop.assert_agreed()


async def test_a_provider_that_is_away_delays_a_refund_and_pays_it_once(shop: Shop) -> None:
    purchase = await paid(shop)
    for kind in ("reset_before", "reset_after"):
        await shop.stripe.control.post("faults", match="POST /v1/refunds", kind=kind)
    await shop.handle(purchase).execute_update("refund")
    await shop.refunded(purchase, ("SUCCEEDED", 10_000, 100))
    await shop.assert_agreed()


async def test_the_card_shows_a_refund_on_its_way_while_the_provider_is_away(shop: Shop) -> None:
    purchase = await paid(shop)
    await shop.stripe.control.post("faults", match="POST /v1/refunds", kind="500", times=1000)
    handle = shop.handle(purchase)
    for _ in range(2):
        await handle.execute_update("refund", RefundRequest(amount_krw=3_000, request_id="ticket-8"))
    assert "1 refund(s) of 3,000 won on the way" in await card_of(handle)
    await handle.execute_update("refund", RefundRequest(amount_krw=2_000))
    card = await card_of(handle)
    assert "2 refund(s) of 5,000 won on the way" in card
    assert "환불 2건 5,000원 진행 중" in card
    await handle.signal("refund_requested")
    assert "just asked for" in await card_of(handle)

    await shop.mend_provider()
    await shop.refunded(purchase, ("SUCCEEDED", 3_000, 30), ("SUCCEEDED", 2_000, 20))
    await until(lambda: says(shop, purchase, "5,000 won refunded"))
    await until(lambda: says(shop, purchase, "just asked for", there=False))
    assert "on the way" not in await card_of(handle)
    await shop.assert_agreed()


async def test_a_refund_that_the_bank_cannot_pay_gives_the_credits_back_and_calls_support(shop: Shop) -> None:
    purchase = await paid(shop)
    handle = shop.handle(purchase)
    await shop.stripe.control.post("refunds/mode", status="pending")
    await handle.execute_update("refund")
    await shop.refunded(purchase, ("PENDING", 10_000, 100))
    await shop.stripe.control.post("refunds/settle", outcome="failed")
    await shop.hear(purchase)
    await shop.refunded(purchase, ("FAILED", 10_000, 100))
    assert (await shop.balance(purchase.user_id)).available_paid == 100

    async def calls(expected: bool) -> bool:
        found = (await handle.describe()).typed_search_attributes
        return found[search.NEEDS_ATTENTION] is expected

    await until(lambda: calls(True))
    card = await card_of(handle)
    for line in ("Waits for support", "1 refund(s) failed", "`refund`", "`dismiss`"):
        assert line in card
    await shop.assert_agreed()

    await handle.execute_update("dismiss")
    await until(lambda: calls(False))
    await shop.stripe.control.post("refunds/mode", status="succeeded")
    await handle.execute_update("refund")
    await shop.refunded(purchase, ("FAILED", 10_000, 100), ("SUCCEEDED", 10_000, 100))
    with pytest.raises(WorkflowUpdateFailedError):
        await handle.execute_update("dismiss")
    await shop.assert_agreed()


async def test_a_refund_from_the_providers_dashboard_is_booked(shop: Shop) -> None:
    purchase = await paid(shop)
    ref = await shop.payment_ref(purchase)
    await shop.stripe.control.post("refund", payment_intent=ref, amount=4_000)
    await shop.hear(purchase)
    await shop.refunded(purchase, ("SUCCEEDED", 4_000, 40))
    assert (await shop.balance(purchase.user_id)).available_paid == 60
    await shop.assert_agreed()


async def test_a_refund_that_comes_back_after_its_debt_was_written_off_is_shown_until_finance_corrects_that(
    shop: Shop,
) -> None:
    purchase = await paid(shop)
    await correct(shop, purchase, AccountKind.AVAILABLE, -100)
    ref = await shop.payment_ref(purchase)
    made = await shop.stripe.control.post("refund", payment_intent=ref)
    await shop.hear(purchase)
    await shop.refunded(purchase, ("SUCCEEDED", 10_000, 100))
    assert (await shop.balance(purchase.user_id)).debt == 100
    await correct(shop, purchase, AccountKind.DEBT, -100)

    await shop.stripe.control.post(f"refunds/{made['id']}/settle", outcome="failed")
    await shop.hear(purchase)
    await until(lambda: says(shop, purchase, "correct that first"))
    assert await says(shop, purchase, "tell finance")

    await correct(shop, purchase, AccountKind.DEBT, 100)
    await shop.nudge(purchase)
    await shop.refunded(purchase, ("FAILED", 10_000, 100))
    await until(lambda: says(shop, purchase, "correct that first", there=False))
    assert (await shop.balance(purchase.user_id)).debt == 0
    await shop.assert_agreed()


async def correct(shop: Shop, purchase: PurchaseInput, account: AccountKind, credits: int) -> None:
    """Two people of finance move the customer's credits from or to the losses."""
    legs = (
        CorrectionLeg(account=account, bucket=Bucket.PAID, user_id=purchase.user_id, amount=credits),
        CorrectionLeg(account=AccountKind.LOSSES, bucket=Bucket.PAID, amount=-credits),
    )
    async with shop.house.rooms.database.transaction() as session:
        asked = await corrections.propose(session, legs=legs, reason="a test", actor="finance:kim")
        await corrections.approve(session, asked.id, "finance:lee")


@pytest.mark.parametrize("outcome", ["won", "lost"])
async def test_a_dispute_freezes_the_credits_until_the_bank_has_decided(shop: Shop, outcome: str) -> None:
    purchase = await paid(shop)
    ref = await shop.payment_ref(purchase)
    dispute = await shop.stripe.control.post("disputes", payment_intent=ref)
    await shop.hear(purchase)

    async def available(credits: int) -> bool:
        return (await shop.balance(purchase.user_id)).available == credits

    await until(lambda: available(0))
    await until(lambda: says(shop, purchase, "the bank decides about 10,000 won; 100 credits are frozen"))
    await shop.assert_agreed()

    await shop.stripe.control.post(f"disputes/{dispute['id']}/close", outcome=outcome)
    await shop.hear(purchase)
    await until(lambda: says(shop, purchase, "the bank decides", there=False))
    assert (await shop.balance(purchase.user_id)).available == (100 if outcome == "won" else 0)
    lost = "took 10,000 won back, and 100 credits with it; 0 credits, already spent"
    assert await says(shop, purchase, lost, there=outcome == "lost")
    await shop.assert_agreed()


async def says(shop: Shop, purchase: PurchaseInput, text: str, *, there: bool = True) -> bool:
    return (text in await card_of(shop.handle(purchase))) is there


async def test_after_its_time_of_care_the_purchase_ends_and_a_late_event_opens_it_again(shop: Shop) -> None:
    purchase = await paid(shop, deadlines=PurchaseDeadlines(care_s=1))
    outcome = await shop.handle(purchase).result()
    assert (outcome.status, outcome.credits, outcome.refunded_krw) == (PurchaseStatus.PAID, 100, 0)

    await shop.stripe.control.post("refund", payment_intent=await shop.payment_ref(purchase))
    await shop.hear(purchase)
    await shop.refunded(purchase, ("SUCCEEDED", 10_000, 100))
    assert (await shop.handle(purchase).result()).refunded_krw == 10_000
    assert (await shop.handle(purchase).describe()).status is WorkflowExecutionStatus.COMPLETED
    assert await shop.transfers(purchase) == [("purchase", 100), ("refund", 100), ("refund", 100)]
    await shop.assert_agreed()
