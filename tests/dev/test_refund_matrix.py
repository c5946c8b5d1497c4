from __future__ import annotations

import re

import pytest

from contracts.jobs import ACTIVE
from contracts.payments import RefundReason, RefundTo
from contracts.refunds import REFUND_MATRIX, RefundRule
from dev.refund_matrix import PAGE, page


def test_the_published_page_is_the_table_of_the_code() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: .venv/bin/python -m dev.refund_matrix"


@pytest.mark.parametrize(
    "rule", REFUND_MATRIX, ids=lambda rule: f"{rule.subject}-{rule.paid_by}-{rule.reason}"
)
def test_every_row_says_the_same_in_both_languages(rule: RefundRule) -> None:
    assert re.search("[가-힣]", rule.words.ko)
    assert not re.search("[가-힣]", rule.words.en)
    assert len(re.findall(r"\.( |$)", rule.words.en)) == len(re.findall(r"\.( |$)", rule.words.ko))


@pytest.mark.parametrize("paid_by", ["balance", "card"])
def test_no_active_job_can_fail_or_be_canceled_without_a_row(paid_by: str) -> None:
    choices = {None} if paid_by == "balance" else set(RefundTo)
    for reason in (RefundReason.JOB_FAILED, RefundReason.JOB_CANCELED):
        for choice in choices:
            rules = [
                r for r in REFUND_MATRIX if (r.paid_by, r.reason, r.refund_to) == (paid_by, reason, choice)
            ]
            assert [set(rule.states) for rule in rules] == [{status.value for status in ACTIVE}]


def test_no_case_has_two_rows() -> None:
    cases = [
        (rule.subject, rule.paid_by, state, rule.reason, rule.refund_to)
        for rule in REFUND_MATRIX
        for state in rule.states
    ]
    assert len(cases) == len(set(cases))
