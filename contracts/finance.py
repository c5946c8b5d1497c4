"""What finance works with: differences between providers, books and sagas, and the corrections that two people sign."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from contracts.base import Contract, Words
from contracts.ledger import AccountKind, Bucket
from contracts.payments import Provider
from contracts.text import Said, WholeNumber


class DifferenceKind(StrEnum):
    PAYMENT_UNKNOWN = "payment_unknown"
    """The provider took money that belongs to no purchase."""
    PAYMENT_NOT_BOOKED = "payment_not_booked"
    """The provider took the money of a purchase that the books do not call paid."""
    PAYMENT_MISSING = "payment_missing"
    """The books call a purchase paid, the provider knows of no payment."""
    AMOUNT_DIFFERS = "amount_differs"
    REFUND_NOT_BOOKED = "refund_not_booked"
    """The provider gave money back that the books do not know of."""
    REFUND_MISSING = "refund_missing"
    """The books call a refund done, the provider knows of none."""
    REFUND_STUCK = "refund_stuck"
    """Requested or pending for more than a day."""
    REFUND_FAILED = "refund_failed"
    """The provider could not pay it and nobody has seen to it."""
    DISPUTE_NOT_BOOKED = "dispute_not_booked"
    DISPUTE_MISSING = "dispute_missing"
    CASH_DIFFERS = "cash_differs"
    """The account `cash` is not the sum of the provider's charges, refunds and disputes."""
    PAYOUT_DIFFERS = "payout_differs"
    """A payout is not the sum of its entries."""
    EVENT_NOT_DELIVERED = "event_not_delivered"
    """A webhook that no saga has taken for more than an hour."""
    JOB_WITHOUT_WORKFLOW = "job_without_workflow"
    """Temporal knows of no running workflow for an active job."""
    JOB_NOT_CLOSED = "job_not_closed"
    """The job has ended in the books, its workflow is still running an hour later."""
    JOB_DISAGREES = "job_disagrees"
    """The workflow ended in another way than the books say."""
    PURCHASE_WITHOUT_WORKFLOW = "purchase_without_workflow"
    BOOKS_VIOLATION = "books_violation"
    """An audit query found what must not exist."""


WHAT_TO_DO: dict[DifferenceKind, Words] = {
    DifferenceKind.PAYMENT_UNKNOWN: Words(
        en="Look the payment up at the provider; refund it there unless it belongs to another system.",
        ko="결제사에서 결제를 확인하고, 다른 시스템의 것이 아니면 그곳에서 환불하세요.",
    ),
    DifferenceKind.PAYMENT_NOT_BOOKED: Words(
        en="The purchase was told to look again and books it; if it does not, its card in the Web UI says why.",
        ko="구매에 다시 확인하도록 알렸고 스스로 기록합니다. 그렇지 않으면 Web UI의 카드에 이유가 있습니다.",
    ),
    DifferenceKind.PAYMENT_MISSING: Words(
        en="Ask the provider. If no money came, propose a correction that takes the credits back.",
        ko="결제사에 문의하세요. 입금이 없었다면 크레딧을 회수하는 정정을 제안하세요.",
    ),
    DifferenceKind.AMOUNT_DIFFERS: Words(
        en="Compare currency and partial captures at the provider; propose a correction for the difference.",
        ko="결제사의 통화와 부분 매입을 비교하고, 차액의 정정을 제안하세요.",
    ),
    DifferenceKind.REFUND_NOT_BOOKED: Words(
        en="The purchase was told to look again and books it; if it does not, its card in the Web UI says why.",
        ko="구매에 다시 확인하도록 알렸고 스스로 기록합니다. 그렇지 않으면 Web UI의 카드에 이유가 있습니다.",
    ),
    DifferenceKind.REFUND_MISSING: Words(
        en="Ask the provider for the refund by its id. If it was never made, refund the customer there.",
        ko="결제사에 환불 ID로 문의하세요. 실행되지 않았다면 그곳에서 환불하세요.",
    ),
    DifferenceKind.REFUND_STUCK: Words(
        en="The bank is slow, or the provider is down; the workflow goes on by itself.",
        ko="은행이 늦거나 결제사가 멈췄습니다. 워크플로가 스스로 계속합니다.",
    ),
    DifferenceKind.REFUND_FAILED: Words(
        en="The card cannot take the money. Support presses `refund` again, or `dismiss` once it is paid otherwise.",
        ko="카드로 환불할 수 없습니다. 지원팀이 `refund`를 다시, 또는 달리 환불한 뒤 `dismiss`를 누릅니다.",
    ),
    DifferenceKind.DISPUTE_NOT_BOOKED: Words(
        en="The purchase was told to look again and books it; a dispute won after it was lost needs a correction.",
        ko="구매에 다시 확인하도록 알렸고 스스로 기록합니다. 패소 후 뒤집힌 분쟁은 정정이 필요합니다.",
    ),
    DifferenceKind.DISPUTE_MISSING: Words(
        en="Look the dispute up at the provider; propose a correction if it was withdrawn.",
        ko="결제사에서 분쟁을 확인하고, 철회되었다면 정정을 제안하세요.",
    ),
    DifferenceKind.CASH_DIFFERS: Words(
        en="The other differences of this report explain it; what is left needs a correction.",
        ko="이 보고서의 다른 차이가 설명합니다. 남는 금액은 정정이 필요합니다.",
    ),
    DifferenceKind.PAYOUT_DIFFERS: Words(
        en="Ask the provider for the payout's statement.", ko="결제사에 정산 내역을 요청하세요."
    ),
    DifferenceKind.EVENT_NOT_DELIVERED: Words(
        en="Check that core workers and Temporal run; the sweep delivers it every minute.",
        ko="코어 워커와 Temporal이 실행 중인지 확인하세요. 정리 작업이 1분마다 전달합니다.",
    ),
    DifferenceKind.JOB_WITHOUT_WORKFLOW: Words(
        en="The sweep settles it within two minutes; check that the schedule `sweep` runs.",
        ko="정리 작업이 2분 안에 정산합니다. `sweep` 일정이 실행 중인지 확인하세요.",
    ),
    DifferenceKind.JOB_NOT_CLOSED: Words(
        en="Only notices and clean-up are left; look at its pending activities.",
        ko="알림과 정리만 남았습니다. 대기 중인 활동을 확인하세요.",
    ),
    DifferenceKind.JOB_DISAGREES: Words(
        en="The books are right; read the saga of the job for the step that decided.",
        ko="장부가 맞습니다. 작업의 사가에서 결정한 단계를 확인하세요.",
    ),
    DifferenceKind.PURCHASE_WITHOUT_WORKFLOW: Words(
        en="The sweep starts it within two minutes; check that the schedule `sweep` runs.",
        ko="정리 작업이 2분 안에 시작합니다. `sweep` 일정이 실행 중인지 확인하세요.",
    ),
    DifferenceKind.BOOKS_VIOLATION: Words(
        en="Stop corrections and call an engineer: somebody wrote behind the database's rules.",
        ko="정정을 멈추고 개발자에게 알리세요. 데이터베이스 규칙 밖에서 기록되었습니다.",
    ),
}
"""The suggested correction of each kind."""

assert set(WHAT_TO_DO) == set(DifferenceKind)


class Difference(Contract):
    """One thing that two sources of truth tell differently."""

    kind: DifferenceKind
    subject: str
    """What differs, by its own name; the same difference has the same subject in every reconciliation."""
    since: datetime
    """When it came about; its age is counted from here."""
    amount_krw: int = 0
    credits: int = 0
    provider: Provider | None = None
    purchase_id: str | None = None
    job_id: str | None = None
    detail: str = ""


class ReconcileRequest(Contract):
    """Input of `ReconcileWorkflow`."""

    reconciliation_id: str | None = None
    """None: made by the schedule, from the workflow's own id and run."""
    days: int = 30
    """How far back the providers' entries are fetched anew; older ones are compared as fetched before."""
    requested_by: str = "system:Reconcile"


class ProviderTotals(Contract):
    """One provider's money in the period, in won."""

    provider: Provider
    received_krw: int
    refunded_krw: int
    disputed_krw: int
    fees_krw: int
    paid_out_krw: int
    cash_krw: int
    """The account `cash`, of all time."""


UnderWayStage = Literal["not_paid", "not_booked", "not_in_statement"]


class UnderWayPayment(Contract):
    """Money that is neither agreed upon nor a difference, yet."""

    subject: str
    """The purchase; the provider's entry when it belongs to none."""
    provider: Provider
    amount_krw: int
    since: datetime
    stage: UnderWayStage
    """`not_paid`: the customer or the bank has not paid; `not_booked`: the provider has it, our books a moment later;
    `not_in_statement`: paid after the provider's statement was fetched."""


class UnderWayTotal(Contract):
    stage: UnderWayStage
    payments: int
    amount_krw: int


class UnderWay(Contract):
    """Payments on their way at the time of a reconciliation."""

    stages: tuple[UnderWayTotal, ...]
    oldest: tuple[UnderWayPayment, ...]

    @property
    def payments(self) -> int:
        return sum(stage.payments for stage in self.stages)

    @property
    def amount_krw(self) -> int:
        return sum(stage.amount_krw for stage in self.stages)


class Reconciled(Contract):
    """What one reconciliation found."""

    reconciliation_id: str
    period_from: datetime
    period_to: datetime
    providers: tuple[ProviderTotals, ...]
    jobs_compared: int
    differences: tuple[Difference, ...]
    under_way: UnderWay | None = None
    """None in reports from before they were counted."""


class ReconcileReport(Contract):
    """Result of the workflow: small; the report itself is in the database."""

    reconciliation_id: str
    differences: int
    by_kind: dict[str, int]


class CorrectionLeg(Contract):
    """One posting of a correction. Credits name their bucket; won have none."""

    account: AccountKind
    amount: WholeNumber
    bucket: Bucket | None = None
    user_id: Said | None = None
    provider: Provider | None = None


CASH_SIGN: dict[DifferenceKind, int] = {
    DifferenceKind.PAYMENT_UNKNOWN: 1,
    DifferenceKind.PAYMENT_MISSING: -1,
    DifferenceKind.AMOUNT_DIFFERS: 1,
    DifferenceKind.REFUND_MISSING: 1,
    DifferenceKind.DISPUTE_MISSING: 1,
    DifferenceKind.CASH_DIFFERS: -1,
}
"""Whether the books have too little cash (1) or too much (-1). Other kinds need no money moved."""


def suggested_legs(difference: Difference) -> tuple[CorrectionLeg, ...]:
    """The correction that makes `cash` what the provider says, against `losses`; empty when none is due. Whether a
    customer's credits should change, too, is for a person to say."""
    amount = CASH_SIGN.get(difference.kind, 0) * difference.amount_krw
    if difference.kind is DifferenceKind.AMOUNT_DIFFERS and difference.subject.startswith("ref_"):
        amount = -amount  # the provider gave back more than the books say
    if amount == 0 or difference.provider is None:
        return ()
    return (
        CorrectionLeg(account=AccountKind.CASH, provider=difference.provider, amount=amount),
        CorrectionLeg(account=AccountKind.LOSSES, amount=-amount),
    )


class CorrectionStatus(StrEnum):
    PROPOSED = "PROPOSED"
    APPROVED = "APPROVED"
    REJECTED = "REJECTED"


class Correction(Contract):
    """Proposed by one person of finance, approved by another; then it is a transfer."""

    id: str
    reason: str
    legs: tuple[CorrectionLeg, ...]
    kind: DifferenceKind | None = None
    subject: str | None = None
    status: CorrectionStatus
    proposed_by: str
    proposed_at: datetime
    decided_by: str | None = None
    decided_at: datetime | None = None
    decision_note: str = ""
    transfer_id: str | None = None


class AuditEntry(Contract):
    """A line of a saga's audit history, whatever wrote it."""

    at: datetime
    source: str
    """`saga`, `ledger`, `provider`, `webhook`, `staff`, `workflow`."""
    what: str
    actor: str = ""
    workflow_id: str = ""
    run_id: str = ""
    credits: int = 0
    amount_krw: int = 0
    refers_to: str = ""
    """Transfer, provider object or event."""
    detail: str = ""


class SagaAudit(Contract):
    """Everything that is known of one job and its money, oldest first."""

    job_id: str
    user_id: str
    kind: str
    status: str
    quote_credits: int
    captured_credits: int
    paid_krw: int
    refunded_krw: int
    workflow_ids: tuple[str, ...]
    entries: tuple[AuditEntry, ...]
    generated_at: datetime

    def document(self) -> dict[str, Any]:
        """As signed in a receipt."""
        return self.model_dump(mode="json")
