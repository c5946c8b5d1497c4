"""Why a bank did not let a card pay, in words for the customer: a few groups of the providers' many codes.

A provider's own code is for support alone. Suspected fraud and lost or stolen cards read like any refusal, as
Stripe's documentation asks (docs.stripe.com/declines/codes): whoever tries a found card must not learn why it fails.
"""

from __future__ import annotations

from enum import StrEnum

from contracts.base import Words
from contracts.errors import Code, sentence


class Decline(StrEnum):
    NOT_ENOUGH_MONEY = "not_enough_money"
    CARD_EXPIRED = "card_expired"
    CARD_DATA_WRONG = "card_data_wrong"
    CARD_NOT_SUPPORTED = "card_not_supported"
    ASK_THE_BANK = "ask_the_bank"
    NOT_AUTHENTICATED = "not_authenticated"
    """3-D Secure failed, or was left."""
    TRY_AGAIN = "try_again"
    DUPLICATE = "duplicate"
    REFUSED = "refused"
    """Everything else, and what must not be told."""


SENTENCES: dict[Decline, Words] = {
    Decline.NOT_ENOUGH_MONEY: Words(
        en="There is not enough money on the card, or its limit is reached. Nothing was charged. "
        "Use another card, or try again later.",
        ko="카드의 잔액이나 한도가 부족합니다. 결제되지 않았습니다. 다른 카드를 쓰거나 나중에 다시 시도해 주세요.",
    ),
    Decline.CARD_EXPIRED: Words(
        en="The card has expired. Nothing was charged. Use another card.",
        ko="유효 기간이 지난 카드입니다. 결제되지 않았습니다. 다른 카드를 써 주세요.",
    ),
    Decline.CARD_DATA_WRONG: Words(
        en="The card's number, expiry date, security code or password is not right. Nothing was charged. "
        "Check what you typed and try again.",
        ko="카드 번호, 유효 기간, 보안 코드 또는 비밀번호가 맞지 않습니다. 결제되지 않았습니다. "
        "입력한 내용을 확인하고 다시 시도해 주세요.",
    ),
    Decline.CARD_NOT_SUPPORTED: Words(
        en="This card cannot be used for this payment. Nothing was charged. Use another card.",
        ko="이 결제에 쓸 수 없는 카드입니다. 결제되지 않았습니다. 다른 카드를 써 주세요.",
    ),
    Decline.ASK_THE_BANK: Words(
        en="The bank did not approve the payment. Nothing was charged. "
        "Ask the bank that issued the card, or use another card.",
        ko="카드사가 결제를 승인하지 않았습니다. 결제되지 않았습니다. 카드사에 문의하거나 다른 카드를 써 주세요.",
    ),
    Decline.NOT_AUTHENTICATED: Words(
        en="The bank could not confirm that it is you who pays. Nothing was charged. "
        "Try again and confirm the payment to your bank, or use another card.",
        ko="카드사의 본인 인증을 마치지 못했습니다. 결제되지 않았습니다. "
        "다시 시도하여 인증을 마치거나 다른 카드를 써 주세요.",
    ),
    Decline.TRY_AGAIN: Words(
        en="The payment could not be processed just now. Nothing was charged. Try again in a moment.",
        ko="일시적인 문제로 결제를 처리하지 못했습니다. 결제되지 않았습니다. 잠시 후 다시 시도해 주세요.",
    ),
    Decline.DUPLICATE: Words(
        en="The card paid the same amount a moment ago, so the bank refused. Nothing more was charged. "
        "Look at your purchases before you pay again.",
        ko="조금 전에 같은 금액이 결제되어 카드사가 거절했습니다. 추가로 결제되지 않았습니다. "
        "다시 결제하기 전에 결제 내역을 확인해 주세요.",
    ),
    Decline.REFUSED: Words(
        en="The card was declined. Nothing was charged. Use another card, or ask the bank that issued it.",
        ko="카드가 거절되었습니다. 결제되지 않았습니다. 다른 카드를 쓰거나 카드사에 문의해 주세요.",
    ),
}

CODES: dict[Decline, str] = {
    Decline.NOT_ENOUGH_MONEY: """
        insufficient_funds card_velocity_exceeded withdrawal_count_limit_exceeded
        REJECT_CARD_PAYMENT REJECT_ACCOUNT_PAYMENT EXCEED_MAX_AMOUNT EXCEED_MAX_PAYMENT_AMOUNT
        EXCEED_MAX_DAILY_PAYMENT_COUNT""",
    Decline.CARD_EXPIRED: "expired_card",
    Decline.CARD_DATA_WRONG: """
        incorrect_address incorrect_cvc incorrect_number incorrect_pin incorrect_zip invalid_cvc invalid_expiry_month
        invalid_expiry_year invalid_number invalid_pin
        INVALID_CARD_EXPIRATION INVALID_CARD_NUMBER INVALID_PASSWORD""",
    Decline.CARD_NOT_SUPPORTED: """
        card_not_supported currency_not_supported offline_pin_required online_or_offline_pin_required testmode_decline
        BILLING_KEY_NOT_FOUND""",
    Decline.ASK_THE_BANK: """
        call_issuer do_not_honor do_not_try_again invalid_account invalid_amount new_account_information_available
        no_action_taken not_permitted pin_try_exceeded revocation_of_all_authorizations revocation_of_authorization
        service_not_allowed stop_payment_order transaction_not_allowed
        INVALID_REJECT_CARD REJECT_CARD_COMPANY""",
    Decline.NOT_AUTHENTICATED: """
        authentication_not_handled authentication_required mobile_device_authentication_required
        payment_intent_authentication_failure INVALID_AUTHORIZE_AUTH PAY_PROCESS_CANCELED PAY_PROCESS_ABORTED""",
    Decline.TRY_AGAIN: """
        approve_with_id issuer_not_available processing_error reenter_transaction try_again_later
        CARD_PROCESSING_ERROR PROVIDER_ERROR""",
    Decline.DUPLICATE: "duplicate_transaction",
}
"""In small letters Stripe's. In capitals those of Toss Payments, which PortOne passes on; gateways that answer with
numbers of their own, each with another meaning, are not told apart."""

GROUPS = {code: decline for decline, codes in CODES.items() for code in codes.split()}

assert set(SENTENCES) == set(Decline), "every group needs its sentences"
assert sum(len(codes.split()) for codes in CODES.values()) == len(GROUPS), "a code belongs to one group"


def decline_of(provider_code: str) -> Decline:
    return GROUPS.get(provider_code, Decline.REFUSED)


def decline_sentence(provider_code: str, locale: str) -> str:
    """What the customer reads, in Korean or English."""
    return SENTENCES[decline_of(provider_code)].to(locale)


def failure_sentence(code: str, declined: str | None, locale: str) -> str:
    """Why a purchase, or a job that a card was to pay for, has ended; `declined` is the provider's code, if any."""
    if code == Code.PAYMENT_DECLINED and declined:
        return decline_sentence(declined, locale)
    return sentence(code, locale)
