"""Why a card was declined, as the customer reads it."""

from __future__ import annotations

import re

import pytest

from contracts.declines import Decline, decline_of, decline_sentence, failure_sentence
from contracts.errors import Code, sentence


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("insufficient_funds", Decline.NOT_ENOUGH_MONEY),
        ("REJECT_CARD_PAYMENT", Decline.NOT_ENOUGH_MONEY),
        ("expired_card", Decline.CARD_EXPIRED),
        ("incorrect_cvc", Decline.CARD_DATA_WRONG),
        ("card_not_supported", Decline.CARD_NOT_SUPPORTED),
        ("do_not_honor", Decline.ASK_THE_BANK),
        ("payment_intent_authentication_failure", Decline.NOT_AUTHENTICATED),
        ("processing_error", Decline.TRY_AGAIN),
        ("duplicate_transaction", Decline.DUPLICATE),
        ("generic_decline", Decline.REFUSED),
    ],
)
def test_a_providers_code_belongs_to_a_group(code: str, reason: Decline) -> None:
    assert decline_of(code) is reason


@pytest.mark.parametrize(
    "code", ["fraudulent", "lost_card", "stolen_card", "pickup_card", "merchant_blacklist", "6000"]
)
@pytest.mark.parametrize("locale", ["ko", "en"])
def test_suspected_fraud_reads_like_a_refusal_without_a_reason(code: str, locale: str) -> None:
    assert decline_sentence(code, locale) == decline_sentence("generic_decline", locale)


@pytest.mark.parametrize("code", ["insufficient_funds", "lost_card", "something_new"])
def test_no_sentence_holds_the_providers_code(code: str) -> None:
    korean, english = decline_sentence(code, "ko-KR"), decline_sentence(code, "en")
    assert code not in korean + english
    assert re.search("[가-힣]", korean)
    assert not re.search("[가-힣]", english)


def test_an_ending_without_the_banks_word_keeps_its_own_sentence() -> None:
    assert failure_sentence(Code.PAYMENT_DECLINED, None, "en") == sentence(Code.PAYMENT_DECLINED, "en")
    assert failure_sentence(Code.PAYMENT_EXPIRED, "expired_card", "en") == sentence(
        Code.PAYMENT_EXPIRED, "en"
    )
