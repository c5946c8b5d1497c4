"""The life of one job, and of the credits that pay for it. One workflow per job, whatever its kind.

    (charge →) hold → await upload → ingest (fit the hold to the measured price) → pipeline → capture

Whatever goes wrong on the way, the hold is released: bad input, a fault that support gives up, a deadline that
passes, a cancellation. Capture and publication of the result are one database transaction, and so are release
and the job's final status, so that money and state cannot disagree even if the process dies between two lines
of this file. A job that has ended never runs again: a reset or a restarted copy finds that out at its first
step, or before it waits for anybody, and touches nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, CancelledError, is_cancelled_exception

from contracts.errors import Code, sentence
from contracts.jobs import Attention, JobStatus
from contracts.ledger import CreditEffect
from contracts.payments import PurchaseStatus
from contracts.purchases import WEB_UI, ChargeState, RefundRequest
from contracts.timing import CHARGE_LOOK, FUNDS_LOOK
from contracts.video_job import (
    AdjustHold,
    Complete,
    GiveUpRequest,
    HoldOutcome,
    Ingested,
    JobInput,
    JobOutcome,
    JobRef,
    Notice,
    PipelineResult,
    Release,
    RetryRequest,
    Settled,
    StatusChange,
)
from workflows import search, steps
from workflows.card import Card
from workflows.faults import Fault, JobEnds, refuse_started_copy
from workflows.pipelines import PIPELINES
from workflows.saga import Saga, ignoring_failure, to_the_end

T = TypeVar("T")


@workflow.defn(name="VideoJob")
class VideoJobWorkflow:
    @workflow.init
    def __init__(self, job: JobInput) -> None:
        self._job = job
        self._status = JobStatus.CREATED
        self._held_credits = job.quote_credits if job.purchase_id is None else 0
        self._short_credits = 0
        self._charge: ChargeState | None = None
        self._charge_announced = 0
        self._uploaded = job.uploaded
        self._funds_announced = 0
        self._fault: Fault | None = None
        self._waits_for_support = False
        self._decision: RetryRequest | GiveUpRequest | RefundRequest | None = None
        self._settled: Settled | None = None
        self._seed = workflow.random_seed()

    @workflow.run
    async def run(self, job: JobInput) -> JobOutcome:
        refuse_started_copy(job.workflow_id)
        saga = Saga()
        result: PipelineResult | None = None
        try:
            saga.on_failure(self._release_hold)
            if job.purchase_id is not None:
                await self._await_charge()
            await self._hold_quoted_credits()
            await self._await_upload()
            ingested = await self._with_support(self._ingest)
            await self._fit_hold_to(ingested.credits)
            result = await self._with_support(lambda: self._run_pipeline(ingested))
            await self._capture(ingested.credits if result.credits is None else result.credits, result)
        except (Exception, asyncio.CancelledError) as failure:
            if self._settled is None:
                await saga.compensate(JobEnds.because_of(failure))
        return await self._farewell(result)

    # ---- what the API, support and the user may say -----------------------------------------------------

    @workflow.signal(description="The upload is complete. 업로드가 끝났습니다.")
    def ingested(self) -> None:
        self._uploaded = True

    @workflow.signal(description="The customer has added credits. 고객이 크레딧을 충전했습니다.")
    def funds_added(self) -> None:
        self._funds_announced += 1

    @workflow.signal(description="The purchase is settled. 결제 결과가 나왔습니다.")
    def charge_settled(self) -> None:
        self._charge_announced += 1

    @workflow.update(
        description="다시 시도: 끝난 부분은 유지됩니다. Try the failed step again; what is finished is kept."
    )
    async def retry(self, request: RetryRequest | None = None) -> str:
        self._decision = request or RetryRequest()
        return "다시 시도합니다. Trying again."

    @workflow.update(description="종료하고 크레딧 반환. End the job as failed and release its credits.")
    async def give_up(self, request: GiveUpRequest | None = None) -> str:
        self._decision = request or GiveUpRequest()
        return "작업을 종료하고 크레딧을 돌려드립니다. Ending the job; its credits are released."

    @workflow.update(
        description="종료하고 카드로 환불. End the job; its charge (or amount_krw, or credits) goes back to the card."
    )
    async def refund(self, request: RefundRequest | None = None) -> str:
        decision = request or RefundRequest()
        self._decision = decision.model_copy(update={"actor": WEB_UI})
        return "작업을 종료하고 카드로 환불합니다. Ending the job; its charge goes back to the card."

    @retry.validator
    def _retry_is_due(self, request: RetryRequest | None = None) -> None:
        self._refuse_unless_waiting_for_support()

    @give_up.validator
    def _give_up_is_due(self, request: GiveUpRequest | None = None) -> None:
        self._refuse_unless_waiting_for_support()

    @refund.validator
    def _refund_is_due(self, request: RefundRequest | None = None) -> None:
        self._refuse_unless_waiting_for_support()
        if self._charge is None:
            raise _conflict(
                "카드로 결제한 작업이 아닙니다. `give_up`을 누르세요. Not paid by card: press `give_up`."
            )
        if request is not None and not request.fit_for_support:
            raise _conflict(
                "amount_krw 또는 credits 중 하나만 1 이상, 사유는 안내에 있는 것, 메모에 카드 번호 없이. "
                "Give amount_krw or credits, not both, at least 1; a reason of the guide; no card number in the note."
            )

    def _refuse_unless_waiting_for_support(self) -> None:
        if not self._waits_for_support or self._decision is not None:
            raise _conflict(
                f"이 작업은 지원을 기다리고 있지 않습니다. The job is {self._status} and does not wait for support."
            )

    @workflow.query(description="상태. State of the job as its workflow sees it.")
    def status(self) -> JobStatus:
        return self._status

    # ---- the steps, in order ----------------------------------------------------------------------------

    async def _await_charge(self) -> None:
        """The purchase says when it is settled; should that word be lost, a look now and then finds out."""
        deadline = workflow.now() + timedelta(seconds=self._job.deadlines.payment_s)
        while True:
            announced = self._charge_announced
            charge = await steps.charge_state(JobRef(job_id=self._job.job_id))
            if charge.status is PurchaseStatus.PAID:
                self._charge = charge
                return
            if charge.status in (PurchaseStatus.FAILED, PurchaseStatus.CANCELED):
                raise JobEnds(JobStatus.FAILED, charge.failure_code or Code.PAYMENT_DECLINED)
            left = deadline - workflow.now()
            if charge.status is PurchaseStatus.EXPIRED or left <= timedelta():
                raise JobEnds(JobStatus.EXPIRED, Code.PAYMENT_EXPIRED)
            self._show()
            with contextlib.suppress(TimeoutError):
                await workflow.wait_condition(
                    lambda: self._charge_announced > announced,  # noqa: B023 - waited for in this very pass
                    timeout=min(left, CHARGE_LOOK),
                    timeout_summary="next look at the payment, or its deadline",
                )

    async def _hold_quoted_credits(self) -> None:
        """The API, or the payment, held the credits; the same transfer id finds that hold again."""
        self._show()
        self._note(await steps.hold(JobRef(job_id=self._job.job_id)))

    async def _await_upload(self) -> None:
        if not self._uploaded:
            await self._look_before_waiting()
        try:
            await workflow.wait_condition(
                lambda: self._uploaded,
                timeout=timedelta(seconds=self._job.deadlines.upload_s),
                timeout_summary="upload deadline",
            )
        except TimeoutError as expired:
            raise JobEnds(JobStatus.EXPIRED, Code.UPLOAD_EXPIRED) from expired
        self._become(JobStatus.INGESTED)

    async def _ingest(self) -> Ingested:
        return await steps.ingest(self._job)

    async def _fit_hold_to(self, credits: int) -> None:
        """The measured price replaces the quote. If it no longer fits, the job waits for the user's credits."""
        deadline, told = workflow.now() + timedelta(seconds=self._job.deadlines.funds_s), False
        while True:
            announced = self._funds_announced
            outcome = await steps.adjust_hold(AdjustHold(job_id=self._job.job_id, credits=credits))
            self._note(outcome)
            if not outcome.short_credits:
                break
            left = deadline - workflow.now()
            if left <= timedelta():
                raise JobEnds(JobStatus.EXPIRED, Code.FUNDS_EXPIRED)
            await self._record_attention(
                Attention.FUNDS, Code.CREDITS_SHORT, f"{outcome.short_credits} short"
            )
            if not told:
                told = True
                await self._tell("funds_short")
            await self._look_before_waiting()
            # Whoever adds credits says so; should that word be lost, a look now and then finds them.
            with contextlib.suppress(TimeoutError):
                await workflow.wait_condition(
                    lambda: self._funds_announced > announced,  # noqa: B023 - waited for in this very pass
                    timeout=min(left, FUNDS_LOOK),
                    timeout_summary="next look at the balance, or deadline for missing credits",
                )
        self._become(JobStatus.QUEUED)

    async def _run_pipeline(self, ingested: Ingested) -> PipelineResult:
        self._become(JobStatus.RUNNING)
        return await PIPELINES[self._job.kind](self._job, ingested)

    async def _capture(self, credits: int, result: PipelineResult) -> None:
        """From here on the job can no longer be cancelled: the answer to this step is awaited to its end."""
        done = Complete(job_id=self._job.job_id, credits=credits, outcome=result)
        self._settle(await to_the_end(steps.complete(done)))

    async def _look_before_waiting(self) -> None:
        """A run after a reset may stand right before a wait, with all its steps done by the run before it, which has
        gone on since: to the job's end, perhaps, after which nobody speaks to it any more."""
        # A reset changes the seed, at the very place of the history from which on the code runs anew.
        if workflow.random_seed() != self._seed and workflow.patched("look-before-waiting"):
            outcome = await steps.hold(JobRef(job_id=self._job.job_id))
            self._note(outcome.model_copy(update={"short_credits": self._short_credits}))

    # ---- when it cannot be finished ---------------------------------------------------------------------

    async def _release_hold(self, ending: JobEnds) -> None:
        release = Release(
            job_id=self._job.job_id,
            status=ending.status,
            failure_code=ending.code,
            detail=ending.detail,
            refund=ending.refund,
            product=ending.product,
        )
        self._settle(await steps.release(release), ending.detail)

    async def _with_support(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Runs `attempt`; on a fault of ours waits for support to press `retry` or `give_up`."""
        while True:
            try:
                return await attempt()
            except ActivityError as error:
                fault = Fault.of(error)
                if fault.final or is_cancelled_exception(error):
                    raise
                await self._await_support(fault)

    async def _await_support(self, fault: Fault) -> None:
        self._call_support(fault)
        try:
            await self._record_attention(Attention.FAULT, fault.code, f"{fault.step}: {fault.detail}")
            await self._tell("attention")
            await self._look_before_waiting()
            await workflow.wait_condition(
                lambda: self._decision is not None,
                timeout=timedelta(seconds=self._job.deadlines.attention_s),
                timeout_summary="deadline for support",
            )
        except TimeoutError as expired:
            raise JobEnds(JobStatus.FAILED, Code.ATTENTION_EXPIRED, fault.detail) from expired
        finally:
            # Whoever presses a button from here on is told that it comes too late.
            self._waits_for_support = False
        match self._decision:
            case GiveUpRequest(reason=reason):
                raise JobEnds(JobStatus.FAILED, Code.GIVEN_UP_BY_SUPPORT, reason or fault.detail)
            case RefundRequest(note=note) as refund:
                detail = note or fault.detail
                raise JobEnds(JobStatus.FAILED, Code.GIVEN_UP_BY_SUPPORT, detail, refund)
            case _:
                pass
        self._fault = None
        await steps.record_status(StatusChange(job_id=self._job.job_id, status=self._status))
        self._show()

    def _call_support(self, fault: Fault) -> None:
        self._fault, self._decision, self._waits_for_support = fault, None, True

    # ---- after settlement -------------------------------------------------------------------------------

    async def _farewell(self, result: PipelineResult | None) -> JobOutcome:
        """Notice and clean-up are best effort; then the workflow closes the way the job ended."""
        assert self._settled is not None, "every path above settles the job"
        settled, job_id = self._settled, self._job.job_id
        if self._job.purchase_id is not None:
            # To cancel what is not paid, or to send a refund. Its own looks and the sweep find it otherwise.
            await to_the_end(ignoring_failure(steps.tell_purchase(JobRef(job_id=job_id))))
        await to_the_end(self._tell(_notice_of(settled.status)))
        await to_the_end(ignoring_failure(steps.clean_up(JobRef(job_id=job_id))))
        await workflow.wait_condition(workflow.all_handlers_finished)
        outcome = JobOutcome(
            job_id=job_id,
            status=settled.status,
            credit_effect=settled.credit_effect,
            credits=settled.credits,
            result_key=result.result.key if result and settled.status is JobStatus.SUCCEEDED else None,
            failure_code=settled.failure_code,
        )
        if settled.status is JobStatus.CANCELED:
            raise CancelledError(sentence(Code.CANCELED_BY_USER, "en"), outcome)
        if settled.status is JobStatus.FAILED:
            code = settled.failure_code or Code.INTERNAL
            raise ApplicationError(sentence(code, "en"), outcome, type=code, non_retryable=True)
        return outcome

    # ---- what people see --------------------------------------------------------------------------------

    async def _record_attention(self, attention: Attention, code: str, detail: str) -> None:
        self._show()
        change = StatusChange(
            job_id=self._job.job_id,
            status=self._status,
            attention=attention,
            failure_code=code,
            detail=detail,
        )
        await steps.record_status(change)

    async def _tell(self, event: str) -> None:
        notice = Notice.model_validate(
            {"job_id": self._job.job_id, "user_id": self._job.user_id, "event": event}
        )
        await ignoring_failure(steps.notify(notice))

    def _note(self, outcome: HoldOutcome) -> None:
        if outcome.status.settled:
            raise JobEnds(JobStatus.FAILED, Code.JOB_SETTLED, "the job had ended before this run")
        if not self._uploaded and outcome.status is not JobStatus.CREATED:
            # A reset may have left out the signal that said so.
            self._uploaded = workflow.patched("upload-known-by-status")
        self._held_credits, self._short_credits = outcome.held_credits, outcome.short_credits
        self._show()

    def _become(self, status: JobStatus) -> None:
        self._status = status
        self._show()

    def _settle(self, settled: Settled, detail: str = "") -> None:
        """As the books say, which after a reset is how the job had ended before this run."""
        code = settled.failure_code
        self._fault = Fault("job", code, detail) if code and code != Code.CANCELED_BY_USER else None
        self._settled, self._status, self._held_credits, self._short_credits = settled, settled.status, 0, 0
        self._show()

    def _show(self) -> None:
        """Card and search attributes always speak of the same moment."""
        captured = self._settled and self._settled.credit_effect is CreditEffect.CAPTURED
        card = Card(
            status=self._status,
            credits_held=self._held_credits,
            credits_captured=self._settled.credits if self._settled and captured else 0,
            credits_short=self._short_credits,
            fault=self._fault,
            charge=self._charge,
            awaits_payment=self._job.purchase_id is not None and self._charge is None,
            refund_krw=self._settled.refund_krw if self._settled else 0,
            free=not self._job.quote_credits,
        )
        workflow.set_current_details(card.markdown())
        waits = not self._status.settled and (self._fault is not None or self._short_credits > 0)
        workflow.upsert_search_attributes(  # pyright: ignore[reportUnknownMemberType] - their overload is untyped
            [
                search.JOB_STATUS.value_set(self._status.value),
                search.NEEDS_ATTENTION.value_set(waits),
                search.CREDITS_HELD.value_set(self._held_credits),
            ]
        )


def _conflict(text: str) -> ApplicationError:
    return ApplicationError(text, type=Code.JOB_STATE_CONFLICT, non_retryable=True)


def _notice_of(status: JobStatus) -> str:
    return status.value.lower()
