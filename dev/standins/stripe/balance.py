"""The account's balance: one transaction for each movement of money, and the payouts that empty it."""

from __future__ import annotations

from dev.standins.store import JsonObject, new_id, now_s
from dev.standins.stripe.account import Account
from dev.standins.stripe.errors import invalid
from dev.standins.stripe.forms import Params, Text
from dev.standins.stripe.lists import CreatedListParams, page

FEE_PER_MILLE = 29
FEE_FIXED_KRW = 300
DISPUTE_FEE_KRW = 15_000
_SETTLES_AFTER_S = 2 * 24 * 3600


class ListTransactions(CreatedListParams):
    payout: Text | None = None
    type: Text | None = None
    source: Text | None = None
    currency: Text | None = None


class ListPayouts(CreatedListParams):
    status: Text | None = None


def processing_fee(amount_krw: int) -> int:
    """2.9 % rounded half up, and 300 won."""
    return (amount_krw * FEE_PER_MILLE + 500) // 1000 + FEE_FIXED_KRW


def book(
    account: Account, kind: str, amount: int, source: str, *, fee: int = 0, category: str | None = None
) -> str:
    """Write one movement; `amount` is signed as the balance moves, before the fee. The new transaction's id."""
    available_on = now_s() + (_SETTLES_AFTER_S if kind == "charge" else 0)
    transaction = {
        "id": new_id("txn"),
        "object": "balance_transaction",
        "amount": amount,
        "available_on": available_on,
        "balance_type": "payments",
        "created": now_s(),
        "currency": "krw",
        "description": None,
        "exchange_rate": None,
        "fee": fee,
        "fee_details": [
            {
                "amount": fee,
                "application": None,
                "currency": "krw",
                "description": "Stripe fees",
                "type": "stripe_fee",
            }
        ]
        if fee
        else [],
        "net": amount - fee,
        "reporting_category": category or kind,
        "source": source,
        "status": "pending" if kind == "charge" else "available",
        "type": kind,
        "_payout": None,
    }
    account.store.add("balance_transaction", transaction, {"type": kind, "source": source})
    return transaction["id"]


def list_transactions(account: Account, params: ListTransactions) -> JsonObject:
    if params.payout is not None:
        account.get("payout", params.payout, param="payout")
    links = {"payout": params.payout, "type": params.type, "source": params.source}
    return page(account, "balance_transaction", params, links)


def retrieve_transaction(account: Account, transaction_id: str, _: Params) -> JsonObject:
    return account.get("balance_transaction", transaction_id)


def list_payouts(account: Account, params: ListPayouts) -> JsonObject:
    return page(account, "payout", params, {"status": params.status})


def retrieve_payout(account: Account, payout_id: str, _: Params) -> JsonObject:
    return account.get("payout", payout_id)


def balance(account: Account, _: Params) -> JsonObject:
    sums = {"available": 0, "pending": 0}
    for transaction in account.store.oldest("balance_transaction"):
        sums[transaction["status"]] += transaction["net"]
    shown = {
        name: [{"amount": amount, "currency": "krw", "source_types": {"card": amount}}]
        for name, amount in sums.items()
    }
    return {"object": "balance", "livemode": False, **shown}


def pay_out(account: Account) -> JsonObject:
    """One payout of every transaction that none has carried yet, as if their days of settling had passed."""
    carried = [found for found in account.store.oldest("balance_transaction") if found["_payout"] is None]
    amount = sum(transaction["net"] for transaction in carried)
    if amount <= 0:
        raise invalid(f"Nothing to pay out: the balance is {amount} won.", code="balance_insufficient")
    payout_id = new_id("po")
    own_id = book(account, "payout", -amount, payout_id)
    for transaction in [*carried, account.get("balance_transaction", own_id)]:
        transaction |= {"_payout": payout_id, "status": "available"}
        account.store.save(transaction)
        account.store.link_object("payout", payout_id, transaction["id"])
    payout = {
        "id": payout_id,
        "object": "payout",
        "amount": amount,
        "application_fee": None,
        "application_fee_amount": None,
        "arrival_date": now_s(),
        "automatic": True,
        "balance_transaction": own_id,
        "created": now_s(),
        "currency": "krw",
        "description": "STRIPE PAYOUT",
        "destination": "ba_standin",
        "failure_balance_transaction": None,
        "failure_code": None,
        "failure_message": None,
        "livemode": False,
        "metadata": {},
        "method": "standard",
        "original_payout": None,
        "payout_method": None,
        "reconciliation_status": "completed",
        "reversed_by": None,
        "source_type": "card",
        "statement_descriptor": None,
        "status": "paid",
        "trace_id": {"status": "pending", "value": None},
        "type": "bank_account",
    }
    account.store.add("payout", payout, {"status": "paid"})
    account.emit("payout.created", payout)
    account.emit("payout.paid", payout)
    return payout
