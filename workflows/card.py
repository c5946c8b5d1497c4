"""The details card that support reads in the Temporal Web UI: what happened, what it cost, which button to press."""

from __future__ import annotations

from dataclasses import dataclass

from contracts.errors import sentence
from contracts.jobs import JobStatus
from contracts.payments import RefundTo
from contracts.purchases import ChargeState
from workflows.faults import Fault

STATUS_KO = {
    JobStatus.CREATED: "업로드 대기",
    JobStatus.INGESTED: "파일 확인 중",
    JobStatus.QUEUED: "작업 대기",
    JobStatus.RUNNING: "처리 중",
    JobStatus.SUCCEEDED: "완료",
    JobStatus.FAILED: "실패",
    JobStatus.CANCELED: "취소됨",
    JobStatus.EXPIRED: "기한 만료",
}


@dataclass(frozen=True)
class Card:
    """State of one job, as far as a person at a support desk needs it."""

    status: JobStatus
    credits_held: int
    credits_captured: int = 0
    credits_short: int = 0
    fault: Fault | None = None
    """Why the job waits for support, or why it ended."""
    charge: ChargeState | None = None
    """How the job was paid by card."""
    awaits_payment: bool = False
    refund_krw: int = 0
    """Won on their way back to the card."""
    free: bool = False
    """The job costs nothing: there is no hold to speak of."""

    def markdown(self) -> str:
        parts = [f"### {self._heading()}", self._money()]
        if self.charge is not None:
            parts.append(self._card_payment(self.charge))
        if self.fault is not None:
            parts.append(self._fault(self.fault))
        parts.append(self._buttons())
        return "\n\n".join(parts)

    def _heading(self) -> str:
        heading = f"{STATUS_KO[self.status]} · {self.status}"
        if self.status.settled:
            return heading
        if self.credits_short:
            return f"⚠ 고객의 크레딧을 기다립니다 · Waits for the customer's credits ({heading})"
        if self.fault is not None:
            return f"⚠ 지원을 기다립니다 · Waits for support ({heading})"
        return heading

    def _money(self) -> str:
        if self.free:
            return "**크레딧:** 무료 작업\n**Credits:** none, the job is free"
        if self.status.settled:
            if self.credits_captured:
                taken = self.credits_captured
                return f"**크레딧:** {taken} 차감됨\n**Credits:** {taken} captured"
            if self.awaits_payment:
                return (
                    "**크레딧:** 차감 없음, 결제되지 않음\n**Credits:** none taken, the card was not charged"
                )
            return "**크레딧:** 차감 없음, 보류분 반환됨\n**Credits:** none taken, the hold was released"
        if self.awaits_payment:
            return "**크레딧:** 카드 결제를 기다립니다\n**Credits:** waits for the payment by card"
        return (
            f"**크레딧:** {self.credits_held} 보류 중 (아직 차감되지 않음)\n"
            f"**Credits:** {self.credits_held} held (nothing taken yet)"
        )

    def _card_payment(self, charge: ChargeState) -> str:
        ko, en = f"**카드:** {charge.amount_krw:,}원 결제됨", f"**Card:** {charge.amount_krw:,} won paid"
        if self.refund_krw:
            ko += f", {self.refund_krw:,}원 카드로 환불"
            en += f", {self.refund_krw:,} won go back to the card"
        elif not self.status.settled and charge.refund_to is RefundTo.CARD:
            ko += " (실패하면 카드로 환불)"
            en += " (goes back to the card if the job fails)"
        elif self.status is not JobStatus.SUCCEEDED:
            ko += " (실패하면 크레딧으로 남음)"
            en += " (stays as credits if the job fails)"
        return f"{ko}\n{en}"

    def _fault(self, fault: Fault) -> str:
        return (
            f"**무엇이 잘못되었나:** {sentence(fault.code, 'ko')}\n"
            f"**What went wrong:** {sentence(fault.code, 'en')}\n"
            f"`{fault.step}` · `{fault.code}`\n\n"
            f"```\n{fault.detail}\n```"
        )

    def _buttons(self) -> str:
        if self.status.settled:
            return "**할 일:** 없음. 끝난 작업입니다.\n**To do:** nothing; the job has ended."
        if self.credits_short:
            return (
                f"**할 일:** 고객이 {self.credits_short} 크레딧을 충전하면 자동으로 이어집니다. "
                "취소하려면 *Request Cancellation*.\n"
                f"**To do:** continues by itself once the customer adds {self.credits_short} credits. "
                "To stop it: *Request Cancellation*."
            )
        if self.fault is not None and self.charge is not None:
            return (
                "**할 일:** *More Actions → Send an Update* 에서 `retry`(다시 시도, 끝난 부분은 유지), "
                "`refund`(종료하고 카드로 환불) 또는 `give_up`(종료; 고객이 정한 대로 카드나 크레딧으로 반환).\n"
                "**To do:** *More Actions → Send an Update*: `retry` (what is finished is kept), `refund` (end the "
                "job, all goes back to the card) or `give_up` (end the job, refund as the customer chose)."
            )
        if self.fault is not None:
            return (
                "**할 일:** *More Actions → Send an Update* 에서 `retry`(다시 시도, 끝난 부분은 유지) 또는 "
                "`give_up`(종료하고 크레딧 반환).\n"
                "**To do:** *More Actions → Send an Update*: `retry` (what is finished is kept) or "
                "`give_up` (end the job, release the credits)."
            )
        return (
            "**할 일:** 없음. 취소하려면 *Request Cancellation* (크레딧 반환).\n"
            "**To do:** nothing. To stop the job: *Request Cancellation* (credits are released)."
        )
