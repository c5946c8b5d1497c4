"""The sentences beside a problem's title: in both languages, with the values that the error carries."""

from __future__ import annotations

import re
from string import Formatter

import pytest

from contracts.base import Words
from contracts.details import DETAILS, STATES, detail_of, names_in
from contracts.errors import Code
from contracts.finance import CorrectionStatus
from contracts.jobs import JobStatus
from contracts.payments import PurchaseStatus
from db.tables import VideoState

EVERY = [(code, words) for code, choice in DETAILS.items() for words in choice]


@pytest.mark.parametrize(("code", "words"), EVERY)
def test_both_languages_name_the_same_values(code: Code, words: Words) -> None:
    assert {name for _, name, _, _ in Formatter().parse(words.ko) if name} == names_in(words)
    values = dict.fromkeys(names_in(words), 1)
    korean, english = detail_of(code, values, "ko"), detail_of(code, values, "en")
    assert korean
    assert english
    assert re.search("[가-힣]", korean)
    assert not re.search("[가-힣]", english)


def test_every_state_that_a_refusal_names_has_its_words() -> None:
    states = [*PurchaseStatus, *JobStatus, *CorrectionStatus, *VideoState]
    assert {state.value.upper() for state in states} == set(STATES)


@pytest.mark.parametrize(
    ("code", "fields", "english", "korean"),
    [
        (
            Code.AMOUNT_TOO_SMALL,
            {"amount_krw": 900, "amount_krw_min": 1000},
            "from 1,000 won on",
            "1,000원부터",
        ),
        (
            Code.PAYMENT_STATE_CONFLICT,
            {"state": PurchaseStatus.PAID},
            "purchase: paid",
            "구매의 상태: 결제 완료",
        ),
        (Code.UPLOAD_TOO_LARGE, {"bytes_max": 5 * 1024**3}, "up to 5,120 MiB", "5,120 MiB까지"),
        (
            Code.SIZE_MISMATCH,
            {"announced": 1048577, "stored": 1048576},
            "1,048,577 bytes were",
            "1,048,577 바이트",
        ),
    ],
)
def test_values_are_written_as_people_read_them(
    code: Code, fields: dict[str, str | int], english: str, korean: str
) -> None:
    assert english in (detail_of(code, fields, "en") or "")
    assert korean in (detail_of(code, fields, "ko") or "")


def test_without_its_values_there_is_no_sentence() -> None:
    assert detail_of(Code.CREDITS_SHORT, {"required": 1}, "en") is None
    assert detail_of(Code.NOT_FOUND, {}, "en") is None
