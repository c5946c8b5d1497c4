"""Card numbers are known by their length and check digit, however they are grouped."""

from __future__ import annotations

import pytest

from contracts.cards import has_card_number, without_card_numbers
from contracts.payments import RefundReason
from contracts.purchases import RefundRequest

CARDS = (
    "4242424242424242",
    "4242 4242 4242 4242",
    "4000-0025-0000-3155",
    "378282246310005",
    "5555.5555.5555.4444",
)


@pytest.mark.parametrize("card", CARDS)
def test_a_card_number_is_found_and_struck_out(card: str) -> None:
    text = f"the customer's card {card}, expires 12/29"
    assert has_card_number(text)
    assert without_card_numbers(text) == "the customer's card [card number], expires 12/29"


@pytest.mark.parametrize(
    "text",
    [
        "pm_1PqLbR2eZvKYlo2C",
        "pur_412c21139db65f5c912bfda8cd0362a2",
        "4242424242424241",
        "010-1234-5678",
        "2026-11-21 15:04:05",
        "424242424242",
        "1" * 40,
    ],
)
def test_other_numbers_are_left_alone(text: str) -> None:
    assert not has_card_number(text)
    assert without_card_numbers(text) == text


@pytest.mark.parametrize("reason", [RefundReason.JOB_FAILED, RefundReason.PROVIDER_DASHBOARD])
def test_support_gives_no_reason_that_is_not_a_persons(reason: RefundReason) -> None:
    assert not RefundRequest(reason=reason).fit_for_support


def test_support_keeps_no_card_number() -> None:
    assert not RefundRequest(note=f"refund to {CARDS[0]}").fit_for_support
    assert RefundRequest(credits=3, note="called twice").fit_for_support
