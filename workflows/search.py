"""Search attributes: what support filters by in the Web UI's list of workflows."""

from __future__ import annotations

from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes

from contracts.jobs import JobStatus
from contracts.payments import PurchaseStatus
from contracts.purchases import PurchaseInput
from contracts.video_job import JobInput

JOB_KIND = SearchAttributeKey.for_keyword("JobKind")
JOB_STATUS = SearchAttributeKey.for_keyword("JobStatus")
USER_ID = SearchAttributeKey.for_keyword("UserId")
NEEDS_ATTENTION = SearchAttributeKey.for_bool("NeedsAttention")
CREDITS_HELD = SearchAttributeKey.for_int("CreditsHeld")
PURCHASE_STATUS = SearchAttributeKey.for_keyword("PurchaseStatus")


def at_start(job: JobInput) -> TypedSearchAttributes:
    return TypedSearchAttributes(
        [
            SearchAttributePair(JOB_KIND, job.kind),
            SearchAttributePair(JOB_STATUS, JobStatus.CREATED.value),
            SearchAttributePair(USER_ID, job.user_id),
            SearchAttributePair(NEEDS_ATTENTION, False),
            SearchAttributePair(CREDITS_HELD, job.quote_credits if job.purchase_id is None else 0),
        ]
    )


def at_purchase(purchase: PurchaseInput) -> TypedSearchAttributes:
    return TypedSearchAttributes(
        [
            SearchAttributePair(PURCHASE_STATUS, PurchaseStatus.CREATED.value),
            SearchAttributePair(USER_ID, purchase.user_id),
            SearchAttributePair(NEEDS_ATTENTION, False),
        ]
    )
