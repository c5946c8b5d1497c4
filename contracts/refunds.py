"""The refund matrix: what a user gets back, by the state that something was in and the reason why it ended.

One table. `GET /v1/pricing` and docs/refunds.md are made from it, and the tests end jobs in every state that it names.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from contracts.base import Contract, Words
from contracts.jobs import ACTIVE, JobStatus
from contracts.payments import DisputeStatus, PurchaseStatus, RefundReason, RefundTo


class Ending(StrEnum):
    """Reasons that are not reasons of a refund, because no money moves, or because a bank decides."""

    PAYMENT_DECLINED = "payment_declined"
    PAYMENT_CANCELED = "payment_canceled"
    PAYMENT_EXPIRED = "payment_expired"
    DISPUTE = "dispute"
    PROMO_EXPIRED = "promo_expired"


class CreditsBack(StrEnum):
    NONE = "none"
    RELEASED = "released"
    DIFFERENCE = "difference"
    TO_CARD = "to_card"
    DIFFERENCE_TO_CARD = "difference_to_card"
    TAKEN_BACK = "taken_back"
    FROZEN = "frozen"
    UNFROZEN = "unfrozen"
    LOST = "lost"
    EXPIRED = "expired"


class CardBack(StrEnum):
    NONE = "none"
    NOT_CHARGED = "not_charged"
    FULL = "full"
    DIFFERENCE = "difference"
    UNSPENT = "unspent"
    AS_AT_PROVIDER = "as_at_provider"
    BY_BANK = "by_bank"


class Arrives(StrEnum):
    NEVER = "never"
    AT_ONCE = "at_once"
    CARD_DAYS = "card_days"
    """3 to 10 working days are what card issuers say; nothing here waits for them."""
    BANK_DECIDES = "bank_decides"


class RefundRule(Contract):
    """One row. `credits` and `card` say what comes back, `arrives` when."""

    subject: Literal["job", "purchase", "dispute", "promotional_credits"]
    paid_by: Literal["balance", "card"]
    states: tuple[str, ...]
    """Any of these, in the words of the job, the purchase or the dispute."""
    reason: str
    refund_to: RefundTo | None = None
    """The customer's choice, where there is one."""
    credits: CreditsBack
    card: CardBack
    arrives: Arrives

    @property
    def words(self) -> Words:
        """The row as a sentence or three."""
        parts = (CREDITS_WORDS[self.credits], CARD_WORDS[self.card], ARRIVES_WORDS[self.arrives])
        return Words(
            en=" ".join(part.en for part in parts if part.en),
            ko=" ".join(part.ko for part in parts if part.ko),
        )


CREDITS_WORDS = {
    CreditsBack.NONE: Words(
        en="No credits move unless money arrives.", ko="결제되지 않는 한 크레딧 변동은 없습니다."
    ),
    CreditsBack.RELEASED: Words(
        en="All held credits can be spent again.", ko="보류된 크레딧을 모두 다시 쓸 수 있습니다."
    ),
    CreditsBack.DIFFERENCE: Words(
        en="Credits held above the price can be spent again.",
        ko="가격보다 더 보류된 크레딧을 다시 쓸 수 있습니다.",
    ),
    CreditsBack.TO_CARD: Words(
        en="The held credits go back as money.", ko="보류된 크레딧은 돈으로 환불됩니다."
    ),
    CreditsBack.DIFFERENCE_TO_CARD: Words(
        en="Credits charged above the price go back as money.",
        ko="가격보다 더 결제된 크레딧은 돈으로 환불됩니다.",
    ),
    CreditsBack.TAKEN_BACK: Words(
        en="The refunded credits leave the balance; spent ones cannot be refunded.",
        ko="환불된 크레딧은 잔액에서 빠지며, 이미 쓴 크레딧은 환불되지 않습니다.",
    ),
    CreditsBack.FROZEN: Words(
        en="Unspent credits of the payment are frozen.", ko="해당 결제의 남은 크레딧이 동결됩니다."
    ),
    CreditsBack.UNFROZEN: Words(
        en="The frozen credits can be spent again.", ko="동결된 크레딧을 다시 쓸 수 있습니다."
    ),
    CreditsBack.LOST: Words(
        en="The frozen credits are gone; those spent before are owed.",
        ko="동결된 크레딧은 사라지고, 이미 쓴 만큼은 갚아야 할 크레딧으로 남습니다.",
    ),
    CreditsBack.EXPIRED: Words(
        en="Promotional credits end on their date; paid ones never expire.",
        ko="프로모션 크레딧은 기한이 되면 사라지고, 구매한 크레딧은 만료되지 않습니다.",
    ),
}

CARD_WORDS = {
    CardBack.NONE: Words(en="", ko=""),
    CardBack.NOT_CHARGED: Words(
        en="The card is not charged. Should money arrive all the same, a package's credits are granted, "
        "and a job's charge is refunded once the job has ended.",
        ko="카드는 결제되지 않습니다. 그래도 결제되었다면 상품은 크레딧으로 지급되고, "
        "이미 끝난 작업의 결제는 환불됩니다.",
    ),
    CardBack.FULL: Words(
        en="The whole charge is refunded to the card.", ko="결제 금액 전액이 카드로 환불됩니다."
    ),
    CardBack.DIFFERENCE: Words(en="The difference is refunded to the card.", ko="차액이 카드로 환불됩니다."),
    CardBack.UNSPENT: Words(
        en="Support refunds what is not spent, all or a part, to the card.",
        ko="고객지원이 쓰지 않은 만큼 전부 또는 일부를 카드로 환불합니다.",
    ),
    CardBack.AS_AT_PROVIDER: Words(
        en="What was refunded at the payment service is booked here; spent credits are owed.",
        ko="결제사에서 환불된 금액이 그대로 반영되며, 이미 쓴 만큼은 갚아야 할 크레딧으로 남습니다.",
    ),
    CardBack.BY_BANK: Words(en="The bank keeps or returns the money.", ko="돈의 반환은 은행이 결정합니다."),
}

ARRIVES_WORDS = {
    Arrives.NEVER: Words(en="", ko=""),
    Arrives.AT_ONCE: Words(en="At once.", ko="즉시 처리됩니다."),
    Arrives.CARD_DAYS: Words(
        en="Sent at once; banks take 3 to 10 working days.",
        ko="즉시 요청되며, 은행에 따라 영업일 3~10일이 걸립니다.",
    ),
    Arrives.BANK_DECIDES: Words(en="When the bank has decided.", ko="은행의 결정에 따릅니다."),
}

_ACTIVE = tuple(status.value for status in JobStatus if status in ACTIVE)
_WAITING = (JobStatus.CREATED.value, JobStatus.INGESTED.value)
"""States in which a job waits for its owner, who may let the time pass."""
_ENDINGS = (
    (RefundReason.JOB_FAILED, _ACTIVE),
    (RefundReason.JOB_CANCELED, _ACTIVE),
    (RefundReason.JOB_EXPIRED, _WAITING),
)
_BY_SUPPORT = (
    RefundReason.REQUESTED_BY_CUSTOMER,
    RefundReason.DUPLICATE,
    RefundReason.FRAUDULENT,
    RefundReason.SERVICE_FAULT,
    RefundReason.GOODWILL,
)
_UNPAID = (PurchaseStatus.CREATED.value, PurchaseStatus.AWAITING_PAYMENT.value)
_DONE = (JobStatus.SUCCEEDED.value,)


def _job(
    paid_by: Literal["balance", "card"],
    states: tuple[str, ...],
    reason: RefundReason,
    refund_to: RefundTo | None,
    *,
    credits: CreditsBack,
    card: CardBack = CardBack.NONE,
) -> RefundRule:
    return RefundRule(
        subject="job", paid_by=paid_by, states=states, reason=reason, refund_to=refund_to, credits=credits, card=card,
        arrives=Arrives.AT_ONCE if card is CardBack.NONE else Arrives.CARD_DAYS,
    )  # fmt: skip


def _purchase(states: tuple[str, ...], reason: str, credits: CreditsBack, card: CardBack) -> RefundRule:
    return RefundRule(
        subject="purchase", paid_by="card", states=states, reason=reason, credits=credits, card=card,
        arrives=Arrives.NEVER if card is CardBack.NOT_CHARGED else Arrives.CARD_DAYS,
    )  # fmt: skip


def _dispute(status: DisputeStatus, credits: CreditsBack, arrives: Arrives) -> RefundRule:
    return RefundRule(
        subject="dispute", paid_by="card", states=(status.value,), reason=Ending.DISPUTE, credits=credits,
        card=CardBack.BY_BANK, arrives=arrives,
    )  # fmt: skip


REFUND_MATRIX: tuple[RefundRule, ...] = (
    *(_job("balance", states, reason, None, credits=CreditsBack.RELEASED) for reason, states in _ENDINGS),
    _job("balance", _DONE, RefundReason.JOB_CHEAPER, None, credits=CreditsBack.DIFFERENCE),
    *(
        _job("card", states, reason, RefundTo.CARD, credits=CreditsBack.TO_CARD, card=CardBack.FULL)
        for reason, states in _ENDINGS
    ),
    _job(
        "card", _DONE, RefundReason.JOB_CHEAPER, RefundTo.CARD,
        credits=CreditsBack.DIFFERENCE_TO_CARD, card=CardBack.DIFFERENCE,
    ),
    *(
        _job("card", states, reason, RefundTo.CREDITS, credits=CreditsBack.RELEASED)
        for reason, states in _ENDINGS
    ),
    _job("card", _DONE, RefundReason.JOB_CHEAPER, RefundTo.CREDITS, credits=CreditsBack.DIFFERENCE),
    *(
        _purchase(_UNPAID, reason, CreditsBack.NONE, CardBack.NOT_CHARGED)
        for reason in (Ending.PAYMENT_DECLINED, Ending.PAYMENT_CANCELED, Ending.PAYMENT_EXPIRED)
    ),
    *(
        _purchase((PurchaseStatus.PAID.value,), reason, CreditsBack.TAKEN_BACK, CardBack.UNSPENT)
        for reason in _BY_SUPPORT
    ),
    _purchase(
        (PurchaseStatus.PAID.value,), RefundReason.PROVIDER_DASHBOARD, CreditsBack.TAKEN_BACK, CardBack.AS_AT_PROVIDER
    ),
    _dispute(DisputeStatus.OPEN, CreditsBack.FROZEN, Arrives.BANK_DECIDES),
    _dispute(DisputeStatus.WON, CreditsBack.UNFROZEN, Arrives.AT_ONCE),
    _dispute(DisputeStatus.LOST, CreditsBack.LOST, Arrives.NEVER),
    RefundRule(
        subject="promotional_credits", paid_by="balance", states=("available",), reason=Ending.PROMO_EXPIRED,
        credits=CreditsBack.EXPIRED, card=CardBack.NONE, arrives=Arrives.NEVER,
    ),
)  # fmt: skip

assert {rule.reason for rule in REFUND_MATRIX} == {*RefundReason, *Ending}, "every reason needs its rows"
