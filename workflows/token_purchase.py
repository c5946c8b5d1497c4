"""The life of one purchase, for as long as its money may move: payment, receipt, refunds, disputes.

    create payment → verified outcome → settle (grant) → receipt → care (refunds, disputes) → end

A webhook is only a hint, and so is the customer's word: every outcome is looked up at the provider and booked by
the step that looked. Each step finds what an earlier one did, so a retry, a reset or a second run of this workflow
charges, grants and refunds nothing twice. A purchase that was not paid ends here; a paid one stays open for its
time of care, so that support can press `refund` on it, and is opened again by whatever its provider reports later.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import astuple
from datetime import datetime, timedelta
from typing import TypeVar

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

from contracts import timing
from contracts.errors import Code, sentence
from contracts.ids import RefundId
from contracts.payments import ProviderEvent, PurchaseStatus, RefundStatus
from contracts.purchases import (
    WEB_UI,
    CheckoutAnswer,
    ClosePurchase,
    PurchaseInput,
    PurchaseMemory,
    PurchaseNotice,
    PurchaseOutcome,
    PurchaseRef,
    PurchaseState,
    RefundRequest,
    RequestRefund,
)
from workflows import search, steps
from workflows.faults import Fault, refuse_started_copy
from workflows.purchase_card import PurchaseCard
from workflows.saga import ignoring_failure, to_the_end

I = TypeVar("I")  # noqa: E741 - input
Looks = tuple[timedelta, ...]

MONEY_BACK = ("refund", "dispute", "Cancel")
"""In the names of Stripe's and PortOne's events."""


@workflow.defn(name="TokenPurchase")
class TokenPurchaseWorkflow:
    @workflow.init
    def __init__(self, purchase: PurchaseInput) -> None:
        self._purchase = purchase
        self._ref = PurchaseRef(purchase_id=purchase.purchase_id)
        self._state = PurchaseState(status=PurchaseStatus.CREATED)
        self._created: CheckoutAnswer | None = None
        """The provider's first answer."""
        self._creation_interrupted = False
        self._cancel_requested = False
        self._refused: str | None = None
        """Code of the provider's final refusal to create the payment."""
        self._events_due = False
        self._money_back = False
        """A refund or dispute was reported, perhaps before the payment itself was known."""
        self._refunds_due = False
        self._asked: dict[RefundId, int] = {}
        """Won of refunds that were pressed here and that no look has seen yet."""
        self._more_asked = 0
        """Such refunds that the API has announced, of unknown won."""
        self._fault: Fault | None = None
        self._looks = 0
        """Looks at the provider since the latest news."""
        self._told = False
        self._shown: tuple[str, bool] | None = None
        if purchase.memory is not None:
            self._recall(purchase.memory)

    @workflow.run
    async def run(self, purchase: PurchaseInput) -> PurchaseOutcome:
        refuse_started_copy(purchase.workflow_id)
        # Temporal's own cancellation is the customer's: what is paid stays paid and cared for.
        return await to_the_end(self._live(), on_cancel=self.cancel_purchase)

    async def _live(self) -> PurchaseOutcome:
        self._show()
        if self._purchase.memory is None:
            await self._create_payment()
        await self._until_settled()
        while True:
            if self._state.status is PurchaseStatus.PAID:
                # The look that found it paid has asked for the payment alone.
                self._events_due |= self._money_back
                await self._tell_of_payment()
                await self._care()
            else:
                await self._tell_job_of_no_payment()
            await workflow.wait_condition(workflow.all_handlers_finished)
            if not self._is_called():
                return self._outcome()
            if self._state.status is not PurchaseStatus.PAID:
                # Something was said of it in the last moment: it may have been paid after all.
                self._events_due = self._refunds_due = False
                await self._look(steps.verify_payment, self._ref)

    # ---- what the API, the provider and support may say -------------------------------------------------

    @workflow.signal(description="The provider reports something. 결제사에서 알림이 왔습니다.")
    def provider_event(self, event: ProviderEvent) -> None:
        self._events_due = True
        self._money_back |= any(word in event.type for word in MONEY_BACK)

    @workflow.signal(description="A refund is written down; send it. 환불 요청을 결제사로 보냅니다.")
    def refund_requested(self) -> None:
        self._refunds_due = True
        self._more_asked += 1
        self._draw()

    @workflow.signal(
        description="Cancel, unless it is paid already. 결제 전이면 구매를 취소합니다.",
    )
    def cancel_purchase(self) -> None:
        self._cancel_requested = True

    @workflow.update(description="결제 정보. What the app needs to pay.")
    async def checkout(self) -> CheckoutAnswer:
        """Waits a moment for the provider's first answer; without one, `checkout` is None: ask again."""
        if self._created is None and not self._state.status.settled:
            with contextlib.suppress(TimeoutError):
                await workflow.wait_condition(
                    lambda: self._created is not None or self._state.status.settled,
                    timeout=timing.CHECKOUT_WAIT,
                    timeout_summary="patience of the one who asks",
                )
        state, created = self._state, self._created
        return CheckoutAnswer(
            status=state.status,
            checkout=created.checkout if created is not None and not state.status.settled else None,
            action_required=state.provider_status == "action_required",
            failure_code=state.failure_code,
            declined=state.detail or None,
        )

    @workflow.update(
        description="환불: 쓰지 않은 만큼 카드로. Refund to the card: all that is unspent, or amount_krw, or credits."
    )
    async def refund(self, request: RefundRequest | None = None) -> str:
        wanted = request or RefundRequest()
        asked = workflow.current_update_info()
        key = wanted.request_id or (asked.id if asked is not None else "")
        try:
            refunded = await steps.request_refund(
                RequestRefund(
                    purchase_id=self._purchase.purchase_id,
                    key=key,
                    request=wanted.model_copy(update={"actor": WEB_UI}),
                )
            )
        except ActivityError as error:
            raise _refusal(Fault.of(error)) from error
        self._refunds_due = True
        if refunded.status in (RefundStatus.REQUESTED, RefundStatus.PENDING):
            self._asked[refunded.refund_id] = refunded.amount_krw
        self._draw()
        won, credits = refunded.amount_krw, refunded.credits
        return f"{won}원 환불 ({credits} 크레딧). Refunding {won} won for {credits} credits."

    @refund.validator
    def _refund_is_possible(self, request: RefundRequest | None = None) -> None:
        if self._state.status is not PurchaseStatus.PAID:
            raise _conflict(
                f"결제되지 않은 구매입니다. The purchase is {self._state.status}: nothing to refund."
            )
        if request is not None and not request.fit_for_support:
            raise _conflict(
                "amount_krw 또는 credits 중 하나만 1 이상, 사유는 안내에 있는 것, 메모에 카드 번호 없이. "
                "Give amount_krw or credits, not both, at least 1; a reason of the guide; no card number in the note."
            )

    @workflow.update(
        description="실패한 환불을 다른 방법으로 해결함. A failed refund was seen to in another way; clear it."
    )
    async def dismiss(self) -> str:
        try:
            self._note(await steps.dismiss_refund_failures(self._ref))
        except ActivityError as error:
            raise _refusal(Fault.of(error)) from error
        return "확인했습니다. Noted."

    @dismiss.validator
    def _dismissal_is_due(self) -> None:
        if not self._state.refunds_failed:
            raise _conflict("실패한 환불이 없습니다. No refund has failed.")

    @workflow.query(description="상태. State of the purchase as its workflow sees it.")
    def status(self) -> PurchaseStatus:
        return self._state.status

    # ---- until it is settled ----------------------------------------------------------------------------

    async def _create_payment(self) -> None:
        """Waits for a provider that is away, but no longer than the customer does."""
        creating = asyncio.create_task(steps.create_payment(self._ref))
        with contextlib.suppress(TimeoutError):
            await workflow.wait_condition(
                lambda: creating.done() or self._cancel_requested,
                timeout=self._deadline() - workflow.now(),
                timeout_summary="deadline of the payment",
            )
        if not creating.done():
            self._creation_interrupted = True
            creating.cancel()
            await asyncio.gather(creating, return_exceptions=True)
            return
        try:
            created = creating.result()
        except ActivityError as error:
            fault = Fault.of(error)
            if fault.final:
                self._refused = fault.code
            else:
                self._fault = fault
                self._show()
            return
        self._fault = None
        if created.status.settled:
            await self._look(steps.verify_payment, self._ref)
        else:
            asks_bank = created.action_required
            self._note(
                PurchaseState(
                    status=created.status,
                    provider_status="action_required" if asks_bank else "open",
                    detail=created.declined or "",
                )
            )
        self._created = created

    async def _until_settled(self) -> None:
        while not self._state.status.settled:
            ending = self._ending()
            if ending is not None:
                self._events_due = False
                await self._look(steps.close_payment, ending)
            elif self._events_due or self._looks:
                self._events_due = False
                if self._created is None:
                    await self._create_payment()
                else:
                    await self._look(steps.verify_payment, self._ref)
            if not self._state.status.settled:
                left = timedelta.max if ending else self._deadline() - workflow.now()
                await self._wait(
                    lambda: self._events_due or (ending is None and self._cancel_requested),  # noqa: B023
                    min(left, self._next_look(timing.PAYMENT_LOOKS)),
                )
        if self._creation_interrupted and self._state.status is not PurchaseStatus.PAID:
            await self._tell_job_of_no_payment()
            # A request that nobody waited for may have reached the provider after the look that closed this.
            await workflow.sleep(timing.LATE_PAYMENT, summary="a payment may still turn up")
            await self._look(steps.verify_payment, self._ref)

    async def _tell_job_of_no_payment(self) -> None:
        """Else the job that it was to pay for would learn of it at its next look only."""
        if self._purchase.job_id is not None:
            await ignoring_failure(steps.announce_payment(self._ref))

    def _ending(self) -> ClosePurchase | None:
        """Why the purchase should be closed unpaid, if it should."""
        if self._refused is not None:
            status, code = PurchaseStatus.FAILED, self._refused
        elif self._cancel_requested:
            status, code = PurchaseStatus.CANCELED, Code.PAYMENT_CANCELED
        elif workflow.now() >= self._deadline():
            status, code = PurchaseStatus.EXPIRED, Code.PAYMENT_EXPIRED
        else:
            return None
        return ClosePurchase(purchase_id=self._purchase.purchase_id, status=status, failure_code=code)

    def _deadline(self) -> datetime:
        return self._started_at() + timedelta(seconds=self._purchase.deadlines.payment_s)

    def _started_at(self) -> datetime:
        memory = self._purchase.memory
        return workflow.info().start_time if memory is None else memory.started_at

    # ---- once it is paid --------------------------------------------------------------------------------

    async def _tell_of_payment(self) -> None:
        """The job that it pays for, jobs that wait for credits, and the customer. Repeats are known as such."""
        # Older code left no memory, and continued only what had been told.
        if self._told or (self._purchase.memory is None and workflow.info().continued_run_id):
            return
        self._told = True
        await ignoring_failure(steps.announce_payment(self._ref))
        receipt = PurchaseNotice(
            purchase_id=self._purchase.purchase_id,
            user_id=self._purchase.user_id,
            event="paid",
            credits=self._purchase.credits,
            amount_krw=self._purchase.amount_krw,
        )
        await ignoring_failure(steps.notify_purchase(receipt))

    async def _care(self) -> None:
        """Until its time has passed and nothing is open: refunds are sent, what the provider reports is booked."""
        while True:
            if self._refunds_due or self._state.refunds_open:
                self._refunds_due = False
                await self._look(steps.send_refunds, self._ref)
            if self._events_due or self._open() or self._fault is not None:
                self._events_due = False
                await self._look(steps.reconcile_purchase, self._ref)
            left = self._end_of_care() - workflow.now()
            if self._open() or self._fault is not None:
                await self._wait(self._is_called, self._next_look(timing.CARE_LOOKS))
            elif self._state.refunds_failed:
                await self._wait(lambda: self._is_called() or not self._state.refunds_failed, None)
            elif left > timedelta():
                await self._wait(self._is_called, left)
            else:
                return

    def _is_called(self) -> bool:
        return self._events_due or self._refunds_due

    def _open(self) -> bool:
        return bool(self._state.refunds_open or self._state.disputes_open)

    def _end_of_care(self) -> datetime:
        since = self._state.paid_at or self._started_at()
        return since + timedelta(seconds=self._purchase.deadlines.care_s)

    # ---- looking and waiting ----------------------------------------------------------------------------

    async def _look(self, step: steps.Step[I, PurchaseState], about: I) -> None:
        """Asks the provider. What it refuses for good, and what is our own fault, is shown to support and asked again
        at the next look."""
        seen, more_seen = tuple(self._asked), self._more_asked
        try:
            state = await step(about)
        except ActivityError as error:
            self._fault = Fault.of(error)
            self._show()
        else:
            if not self._is_still_unsent(step.name, state):
                self._fault = None
            # What was asked for meanwhile may be younger than this state.
            self._asked = {refund: won for refund, won in self._asked.items() if refund not in seen}
            self._more_asked -= more_seen
            self._note(state)

    def _is_still_unsent(self, looked: str, state: PurchaseState) -> bool:
        """Another look that goes well does not mend what keeps a refund from being sent."""
        send = steps.send_refunds.name
        unsent = self._fault is not None and self._fault.step == send != looked and state.refunds_open > 0
        return unsent and workflow.patched("unsent-refund-stays-shown")

    def _next_look(self, looks: Looks) -> timedelta:
        self._looks += 1
        return looks[min(self._looks, len(looks)) - 1]

    async def _wait(self, news: Callable[[], bool], timeout: timedelta | None) -> None:
        """Until there is news or the time is over. A long history is left behind here, where nothing is half done."""
        if workflow.info().is_continue_as_new_suggested():
            await workflow.wait_condition(workflow.all_handlers_finished)
            # Older code remembered no cancellation, and stayed with it: of what was paid meanwhile, until its end.
            remembered = not self._cancel_requested or workflow.patched("cancellation-is-remembered")
            if not self._is_called() and remembered:
                workflow.continue_as_new(self._purchase.model_copy(update={"memory": self._memory()}))
        with contextlib.suppress(TimeoutError):
            await workflow.wait_condition(news, timeout=timeout, timeout_summary="next look, or a deadline")
            self._looks = 0

    def _memory(self) -> PurchaseMemory:
        return PurchaseMemory(
            started_at=self._started_at(),
            state=self._state,
            told=self._told,
            looks=self._looks,
            fault=None if self._fault is None else astuple(self._fault),
            refused=self._refused,
            creation_interrupted=self._creation_interrupted,
            cancel_requested=self._cancel_requested,
            money_back=self._money_back,
            asked=self._asked,
            more_asked=self._more_asked,
        )

    def _recall(self, memory: PurchaseMemory) -> None:
        self._state = memory.state
        self._told = memory.told
        self._looks = memory.looks
        self._fault = None if memory.fault is None else Fault(*memory.fault)
        self._refused = memory.refused
        self._creation_interrupted = memory.creation_interrupted
        self._cancel_requested = memory.cancel_requested
        self._money_back = memory.money_back
        self._asked = dict(memory.asked)
        self._more_asked = memory.more_asked

    # ---- what people see --------------------------------------------------------------------------------

    def _note(self, state: PurchaseState) -> None:
        self._state = state
        self._show()

    def _show(self) -> None:
        """Card and search attributes, which speak of the same moment."""
        card = self._draw()
        shown = self._state.status.value, card.needs_attention
        if shown == self._shown:
            return
        self._shown = shown
        workflow.upsert_search_attributes(  # pyright: ignore[reportUnknownMemberType] - their overload is untyped
            [search.PURCHASE_STATUS.value_set(shown[0]), search.NEEDS_ATTENTION.value_set(shown[1])]
        )

    def _draw(self) -> PurchaseCard:
        """The card alone, which is no command: it may be drawn at any time."""
        card = PurchaseCard(
            self._purchase, self._state, self._fault, asked=self._asked, more_asked=self._more_asked > 0
        )
        workflow.set_current_details(card.markdown())
        return card

    def _outcome(self) -> PurchaseOutcome:
        paid = self._state.status is PurchaseStatus.PAID
        return PurchaseOutcome(
            purchase_id=self._purchase.purchase_id,
            status=self._state.status,
            credits=self._state.credits if paid else 0,
            amount_krw=self._state.amount_krw if paid else 0,
            refunded_krw=self._state.refunded_krw,
            failure_code=self._state.failure_code,
        )


def _refusal(fault: Fault) -> ApplicationError:
    text = f"{sentence(fault.code, 'ko')} {sentence(fault.code, 'en')} ({fault.detail})"
    return ApplicationError(text, type=fault.code, non_retryable=True)


def _conflict(text: str) -> ApplicationError:
    return ApplicationError(text, type=Code.PAYMENT_STATE_CONFLICT, non_retryable=True)
