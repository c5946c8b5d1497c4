"""Text from outside, and what of it can be kept."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from contracts.errors import Code, EchoError
from contracts.finance import CorrectionLeg
from contracts.ledger import AccountKind
from contracts.payments import RefundReason, RefundState
from contracts.purchases import RefundRequest
from contracts.text import storable_json
from contracts.video_job import GiveUpRequest

UNREADABLE = ["a\0b", "a\ud800b"]


@pytest.mark.parametrize("said", UNREADABLE)
def test_a_provider_or_program_that_says_what_cannot_be_kept_is_kept_without(said: str) -> None:
    state = RefundState(provider_ref="re_1", refund_id=None, amount_krw=1, status="failed", failure=said)
    for kept in (state.failure, GiveUpRequest(reason=said).reason, EchoError(Code.INTERNAL, said).detail):
        assert len(kept) == 3
        assert kept.encode()
        assert "\0" not in kept


def test_nothing_else_is_changed_at_any_depth() -> None:
    sent = {"a\0": ["\ud800", 1, None, {"b": "한글\n"}], "c": True}
    assert storable_json(sent) == {"a\ufffd": ["?", 1, None, {"b": "한글\n"}], "c": True}


@pytest.mark.parametrize("said", ["ticket\0", "4242 4242 4242 4242"])
def test_the_words_of_support_are_refused_where_they_cannot_or_may_not_be_kept(said: str) -> None:
    assert RefundRequest(note="ticket", reason=RefundReason.GOODWILL).fit_for_support
    assert not RefundRequest(note=said, reason=RefundReason.GOODWILL).fit_for_support


@pytest.mark.parametrize("amount", ["4000", 4000.0, True])
def test_an_amount_typed_by_a_person_is_a_whole_number(amount: object) -> None:
    for model, fields in [
        (RefundRequest, {"amount_krw": amount}),
        (RefundRequest, {"credits": amount}),
        (CorrectionLeg, {"account": AccountKind.LOSSES, "amount": amount}),
    ]:
        with pytest.raises(ValidationError):
            model.model_validate(fields)
