"""The built-in test cards: what each does when it is charged, by token and by number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Decline:
    code: str
    decline_code: str
    message: str


@dataclass(frozen=True)
class TestCard:
    token: str
    number: str
    brand: str = "visa"
    decline: Decline | None = None
    authentication: Literal["never", "always", "until_set_up"] = "never"
    disputed: bool = False
    refunds_pending: bool = False
    processing: bool = False

    @property
    def last4(self) -> str:
        return self.number[-4:]


_DECLINED = Decline("card_declined", "generic_decline", "Your card was declined.")
_NO_FUNDS = Decline("card_declined", "insufficient_funds", "Your card has insufficient funds.")
_EXPIRED = Decline("expired_card", "expired_card", "Your card has expired.")
_LOST = Decline("card_declined", "lost_card", "Your card has been declined.")
AUTHENTICATION_REQUIRED = Decline(
    "authentication_required",
    "authentication_required",
    "Your card was declined. This transaction requires authentication.",
)

TEST_CARDS = (
    TestCard("pm_card_visa", "4242424242424242"),
    TestCard("pm_card_mastercard", "5555555555554444", brand="mastercard"),
    TestCard("pm_card_chargeDeclined", "4000000000000002", decline=_DECLINED),
    TestCard("pm_card_chargeDeclinedInsufficientFunds", "4000000000009995", decline=_NO_FUNDS),
    TestCard("pm_card_chargeDeclinedExpiredCard", "4000000000000069", decline=_EXPIRED),
    TestCard("pm_card_chargeDeclinedLostCard", "4000000000009987", decline=_LOST),
    TestCard("pm_card_threeDSecure2Required", "4000000000003220", authentication="always"),
    TestCard("pm_card_authenticationRequired", "4000002500003155", authentication="until_set_up"),
    TestCard("pm_card_createDispute", "4000000000000259", disputed=True),
    TestCard("pm_card_pendingRefund", "4000000000007726", refunds_pending=True),
    # Not one of Stripe's: cards settle at once there, but other methods stay in `processing` for days.
    TestCard("pm_standin_processing", "4000000000009979", processing=True),
)
BY_TOKEN = {card.token: card for card in TEST_CARDS}
BY_NUMBER = {card.number: card for card in TEST_CARDS}
