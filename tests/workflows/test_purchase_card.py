"""What support reads on a purchase's card: true of paid money, and plain about what is not for the customer."""

from __future__ import annotations

import pytest

from contracts.errors import Code
from contracts.ids import PurchaseId, UserId
from contracts.payments import Provider, PurchaseStatus
from contracts.purchases import PurchaseInput, PurchaseState
from workflows.faults import Fault
from workflows.purchase_card import PurchaseCard

PURCHASE = PurchaseInput(
    purchase_id=PurchaseId("pur_1"),
    user_id=UserId("usr_1"),
    provider=Provider.STRIPE,
    credits=100,
    amount_krw=10_000,
)
INTERNAL = Fault("send_refunds", Code.INTERNAL, "KeyError")


def card(fault: Fault | None = None, **state: object) -> str:
    paid = PurchaseState(status=PurchaseStatus.PAID).model_copy(update=state)
    return PurchaseCard(PURCHASE, paid, fault).markdown()


@pytest.mark.parametrize(
    ("code", "ko", "en"),
    [
        (Code.INTERNAL, "우리 쪽 오류로 이 단계가 멈췄습니다.", "A fault of ours stopped this step."),
        ("KeyError", "우리 쪽 오류로 이 단계가 멈췄습니다.", "A fault of ours stopped this step."),
        (Code.PROVIDER_REFUSED, "결제사가 이 요청을 거절했습니다.", "The provider refused this request."),
        (
            Code.ENGINE_STALLED,
            "결제 단계가 제시간에 끝나지 않았습니다.",
            "The payment step did not finish in time.",
        ),
        (
            Code.CREDITS_SHORT,
            "고객의 크레딧이 이 단계에 필요한 만큼 없습니다.",
            "The customer has fewer credits than this step needs.",
        ),
        (
            Code.REFUND_TOO_LARGE,
            "결제하고 아직 환불되지 않은 금액보다 큽니다.",
            "More than was paid and not yet refunded.",
        ),
    ],
)
def test_a_fault_of_a_paid_purchase_does_not_say_that_nothing_was_charged(
    code: str, ko: str, en: str
) -> None:
    text = card(Fault("send_refunds", code, "why"))
    assert f"**무엇이 잘못되었나:** {ko}\n**What went wrong:** {en}\n`{code}` · `send_refunds: why`" in text
    for untrue in ("charged", "결제되지", "No credits", "engine made", "this job"):
        assert untrue not in text


def test_a_purchase_that_was_declined_still_says_that_nothing_was_charged() -> None:
    text = card(status=PurchaseStatus.FAILED, failure_code=Code.PAYMENT_DECLINED, detail="expired_card")
    assert "The card has expired. Nothing was charged." in text


def test_the_reason_of_a_failed_refund_stands_alone_and_is_not_for_the_customer() -> None:
    lines = card(refunds_failed=1, detail="lost_or_stolen_card").splitlines()
    assert [line for line in lines if "lost_or_stolen_card" in line] == [
        "`lost_or_stolen_card` (고객에게 알리지 마세요 · not for the customer)"
    ]
    assert "not for the customer" not in card(refunds_failed=1)


def test_a_failed_refund_does_not_hide_what_to_do_about_a_fault() -> None:
    both = card(INTERNAL, refunds_failed=1, detail="lost_or_stolen_card")
    for advice in ("1 refund(s) failed", "`dismiss`", "give this card to an engineer"):
        assert advice in both
    assert "To refund:" not in both
    assert "give this card to an engineer" not in card(refunds_failed=1)
    assert "1 refund(s) failed" not in card(INTERNAL)
    assert "To refund:" in card()
