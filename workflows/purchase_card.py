"""The details card of a purchase: what was paid, what goes back, which button support presses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from contracts.base import Words
from contracts.declines import failure_sentence
from contracts.errors import ERRORS, Code
from contracts.ids import RefundId
from contracts.payments import PurchaseStatus
from contracts.purchases import PurchaseInput, PurchaseState
from workflows.faults import Fault

STATUS_KO = {
    PurchaseStatus.CREATED: "결제 준비 중",
    PurchaseStatus.AWAITING_PAYMENT: "결제 대기",
    PurchaseStatus.PAID: "결제 완료",
    PurchaseStatus.FAILED: "결제 실패",
    PurchaseStatus.CANCELED: "취소됨",
    PurchaseStatus.EXPIRED: "기한 만료",
}

FAULTS = {
    Code.INTERNAL: Words(en="A fault of ours stopped this step.", ko="우리 쪽 오류로 이 단계가 멈췄습니다."),
    Code.PROVIDER_REFUSED: Words(
        en="The provider refused this request.", ko="결제사가 이 요청을 거절했습니다."
    ),
    Code.ENGINE_STALLED: Words(
        en="The payment step did not finish in time.", ko="결제 단계가 제시간에 끝나지 않았습니다."
    ),
    Code.CREDITS_SHORT: Words(
        en="The customer has fewer credits than this step needs.",
        ko="고객의 크레딧이 이 단계에 필요한 만큼 없습니다.",
    ),
}
"""Where the catalogue's sentence speaks of a job, or promises that nothing was charged: the purchase may be paid."""

BOOKS_REFUSE = (
    Code.PAYMENT_STATE_CONFLICT,
    Code.TRANSFER_CONFLICT,
    Code.REFUND_TOO_LARGE,
    Code.CREDITS_SHORT,
)


@dataclass(frozen=True)
class PurchaseCard:
    """State of one purchase, as far as a person at a support desk needs it."""

    purchase: PurchaseInput
    state: PurchaseState
    fault: Fault | None = None
    """What the provider has refused, or what is our own fault."""
    asked: Mapping[RefundId, int] = field(default_factory=dict[RefundId, int])
    """Won of refunds that were pressed here since the state was read."""
    more_asked: bool = False
    """Others were asked for since; the state that is read next knows of how much."""

    @property
    def needs_attention(self) -> bool:
        return self.fault is not None or self.state.refunds_failed > 0

    def markdown(self) -> str:
        parts = [f"### {self._heading()}", self._money()]
        if self.purchase.job_id is not None:
            job_id = self.purchase.job_id
            parts.append(f"**작업:** 이 결제로 진행되는 작업 `job/{job_id}`\n**Pays for:** `job/{job_id}`")
        if self.state.failure_code is not None:
            parts.append(_no_payment(self.state.failure_code, self.state.detail))
        elif self.state.status is PurchaseStatus.AWAITING_PAYMENT and self.state.detail:
            # In the app the customer may try another card.
            parts.append(_no_payment(Code.PAYMENT_DECLINED, self.state.detail))
        if self.fault is not None:
            why = _words_of(self.fault.code)
            parts.append(_why(why, self.fault.code, f"{self.fault.step}: {self.fault.detail}"))
        parts.extend(self._disputes())
        if self.state.refunds_failed:
            parts.append(self._failed_refunds())
        if self.fault is not None or not self.state.refunds_failed:
            parts.append(self._buttons())
        return "\n\n".join(parts)

    def _heading(self) -> str:
        heading = f"{STATUS_KO[self.state.status]} · {self.state.status}"
        if self.needs_attention:
            return f"⚠ 지원을 기다립니다 · Waits for support ({heading})"
        return heading

    def _money(self) -> str:
        won, credits, provider = self.purchase.amount_krw, self.purchase.credits, self.purchase.provider
        if self.state.status is not PurchaseStatus.PAID:
            return (
                f"**금액:** {won:,}원, {credits} 크레딧 ({provider}), 결제되지 않음\n"
                f"**Amount:** {won:,} won for {credits} credits ({provider}), not paid"
            )
        ko = f"**결제:** {won:,}원, {credits} 크레딧 지급 ({provider})"
        en = f"**Paid:** {won:,} won, {credits} credits granted ({provider})"
        if self.state.refunded_krw:
            ko += f", {self.state.refunded_krw:,}원 환불됨"
            en += f", {self.state.refunded_krw:,} won refunded"
        open_ = {**self.asked, **self.state.refunding}
        # A state that an older worker read counts refunds, but does not say of how much.
        count = max(len(open_), self.state.refunds_open)
        if count:
            on_way = f"{sum(open_.values()):,}" if open_ else None
            ko += f", 환불 {count}건{f' {on_way}원' if on_way else ''} 진행 중"
            en += f", {count} refund(s){f' of {on_way} won' if on_way else ''} on the way to the card"
        if self.more_asked:
            ko += ", 새 환불 요청을 보내는 중"
            en += ", a refund that was just asked for is being sent"
        return f"{ko}\n{en}"

    def _disputes(self) -> Iterator[str]:
        state = self.state
        if state.disputes_open:
            won, frozen = state.disputed_krw, state.credits_frozen
            yield (
                f"**분쟁:** {won:,}원을 카드사가 심사 중이며 {frozen} 크레딧이 동결되어 있습니다.\n"
                f"**Dispute:** the bank decides about {won:,} won; {frozen} credits are frozen."
            )
        if state.lost_krw:
            won, lost, owed = state.lost_krw, state.credits_lost, state.credits_owed
            yield (
                f"**진 분쟁:** 카드사가 {won:,}원을 가져갔습니다. {lost} 크레딧이 회수되었고, "
                f"이미 쓴 {owed} 크레딧은 고객의 빚이 되었습니다.\n"
                f"**Lost dispute:** the bank took {won:,} won back, and {lost} credits with it; "
                f"{owed} credits, already spent, became the customer's debt."
            )

    def _failed_refunds(self) -> str:
        failed, reason = self.state.refunds_failed, self.state.detail
        return (
            f"**환불 {failed}건 실패:** 크레딧은 고객에게 되돌려졌습니다.\n"
            f"**{failed} refund(s) failed:** the credits are back with the customer.\n"
            + (f"`{reason}` (고객에게 알리지 마세요 · not for the customer)\n" if reason else "")
            + "\n**할 일:** *More Actions → Send an Update* 에서 `refund`(다시 환불) 또는 "
            "`dismiss`(다른 방법으로 해결함).\n"
            "**To do:** *More Actions → Send an Update*: `refund` (try again) or "
            "`dismiss` (it was solved in another way)."
        )

    def _buttons(self) -> str:
        if self.fault is not None and self.fault.code in BOOKS_REFUSE:
            return (
                "**할 일:** 결제사의 내용이 장부와 맞지 않습니다. 재무팀에 알리세요. 저절로 다시 시도합니다.\n"
                "**To do:** what the provider says does not fit the books: tell finance; it is tried again by itself."
            )
        if self.fault is not None and self.fault.code == Code.INTERNAL:
            return (
                "**할 일:** 우리 쪽 오류입니다. 이 카드를 개발자에게 전달하세요. 저절로 다시 시도합니다.\n"
                "**To do:** a fault of ours: give this card to an engineer; it is tried again by itself."
            )
        if self.fault is not None:
            return (
                "**할 일:** 결제사 설정(키, 계정)을 확인하세요. 저절로 다시 시도합니다.\n"
                "**To do:** check the provider's settings (key, account); it is asked again by itself."
            )
        if self.state.status is PurchaseStatus.PAID:
            return (
                "**할 일:** 없음. 환불하려면 *More Actions → Send an Update* 에서 `refund` "
                '(예: `{}` 전액, `{"amount_krw": 3000}` 일부).\n'
                "**To do:** nothing. To refund: *More Actions → Send an Update*: `refund` "
                '(`{}` all that is unspent, `{"amount_krw": 3000}` a part).'
            )
        if self.state.status.settled:
            return "**할 일:** 없음. 결제된 금액은 없습니다.\n**To do:** nothing; nothing was charged."
        return (
            "**할 일:** 없음. 고객이 결제하면 이어집니다. 취소하려면 *Request Cancellation*.\n"
            "**To do:** nothing; continues once the customer pays. To stop it: *Request Cancellation*."
        )


def _no_payment(code: str, declined: str) -> str:
    ko, en = (failure_sentence(code, declined, locale) for locale in ("ko", "en"))
    return _why(Words(en=en, ko=ko), code, declined)


def _words_of(fault: str) -> Words:
    known = Code(fault) if fault in set(Code) else Code.INTERNAL
    return FAULTS.get(known) or Words(en=ERRORS[known].en, ko=ERRORS[known].ko)


def _why(words: Words, code: str, detail: str) -> str:
    return (
        f"**무엇이 잘못되었나:** {words.ko}\n"
        f"**What went wrong:** {words.en}\n"
        f"`{code}`{f' · `{detail}`' if detail else ''}"
    )
