"""What providers may say and the stand-ins do not: read without believing more than is said."""

from __future__ import annotations

import pytest
import stripe

from providers.payments import portone_objects, stripe_objects


def payment(**said: object) -> dict[str, object]:
    return {"id": "pur_" + 32 * "0", "currency": "KRW", "amount": {"total": 10_000}, **said}


def test_an_account_to_transfer_to_that_was_withdrawn_is_no_payment() -> None:
    withdrawn = payment(status="CANCELLED", cancellations=[])
    state = portone_objects.state(withdrawn)
    assert (state.status, state.received_krw) == ("canceled", 0)
    assert list(portone_objects.entries(withdrawn)) == []


def test_a_payment_that_was_given_back_was_made() -> None:
    state = portone_objects.state(payment(status="CANCELLED", paidAt="2026-01-02T03:04:05Z"))
    assert (state.status, state.received_krw) == ("succeeded", 10_000)


@pytest.mark.parametrize(
    ("written", "read"), [("ticket 7", None), ("", None), ("ref_" + 32 * "a", "ref_" + 32 * "a")]
)
def test_a_refund_of_the_dashboard_with_metadata_of_somebodys_own_is_not_taken_for_ours(
    written: str, read: str | None
) -> None:
    said = {
        "id": "re_1",
        "object": "refund",
        "amount": 1_000,
        "currency": "krw",
        "status": "succeeded",
        "created": 1_767_000_000,
        "metadata": {"refund_id": written},
    }
    assert stripe_objects.refund(stripe.Refund.construct_from(said, None)).refund_id == read
