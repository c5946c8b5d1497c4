"""Somebody with a SQL prompt tries to pay, refund, dispute or expire what is not so. The database refuses each time."""

from __future__ import annotations

import pytest
import pytest_asyncio
from sqlalchemy.exc import IntegrityError

from contracts.ids import UserId
from contracts.ledger import TransferOrigin
from contracts.payments import Provider
from db import ledger
from db.engine import Database
from tests.books import ORIGIN, a_user, new_transfer_id, run_sql
from tests.ledger.test_rules import AVAILABLE, HELD, ISSUED, REVENUE, account, postings, transfer

Values = dict[str, object]

PROMO, TO_PROMO = account("available", "promo"), account("promo", "promo", None)
REFUNDS, DISPUTES, DEBT = account("refunds"), account("disputes"), account("debt")
LOSSES, BREAKAGE = account("losses", owner=None), account("breakage", "promo", None)


def won(kind: str, provider: str = "stripe") -> str:
    return f"(SELECT id FROM accounts WHERE kind = '{kind}' AND unit = 'krw' AND provider = '{provider}')"


CASH, DISPUTED = won("cash"), won("disputes")
ISSUED_KRW = "(SELECT id FROM accounts WHERE kind = 'issued' AND unit = 'krw')"


def of(purchase: str, kind: str, amount: int = 10, unit: str = "credit") -> str:
    """A transfer that names its purchase."""
    return (
        transfer(kind, amount, unit=unit)
        .replace("reason)", "reason, purchase_id)")
        .replace("'because')", f"'because', {purchase})")
    )


def expiring(statement: str) -> str:
    return statement.replace("reason)", "reason, expires_at)").replace("'because')", "'because', now())")


ATTACKS: dict[str, list[str]] = {
    # Purchases
    "a purchase without money": [of("'new'", "purchase"), postings((AVAILABLE, 10), (ISSUED, -10))],
    "money without credits": [
        of("'new'", "purchase", 1_000, "krw"),
        postings((CASH, 1_000), (ISSUED_KRW, -1_000)),
    ],
    "a purchase of promotional credits": [
        of("'new'", "purchase"),
        postings((PROMO, 10), (TO_PROMO, -10), (CASH, 1_000), (ISSUED_KRW, -1_000)),
    ],
    "a purchase from two providers": [
        of("'new'", "purchase"),
        postings(
            (AVAILABLE, 10), (ISSUED, -10), (CASH, 600), (won("cash", "portone"), 400), (ISSUED_KRW, -1_000)
        ),
    ],
    "a purchase whose amount is its won": [
        of("'new'", "purchase", 1_000),
        postings((AVAILABLE, 10), (ISSUED, -10), (CASH, 1_000), (ISSUED_KRW, -1_000)),
    ],
    "a purchase that names none": [
        transfer("purchase"),
        postings((AVAILABLE, 10), (ISSUED, -10), (CASH, 1_000), (ISSUED_KRW, -1_000)),
    ],
    "a purchase paid for again": [
        of(":purchase", "purchase"),
        postings((AVAILABLE, 10), (ISSUED, -10), (CASH, 1_000), (ISSUED_KRW, -1_000)),
    ],
    "a purchase straight into revenue": [
        of("'new'", "purchase"),
        postings((REVENUE, 10), (ISSUED, -10), (CASH, 1_000), (ISSUED_KRW, -1_000)),
    ],
    # Refunds
    "a refund that passes transit by": [
        of(":purchase", "refund"),
        postings((AVAILABLE, -10), (ISSUED, 10), (CASH, -1_000), (ISSUED_KRW, 1_000)),
    ],
    "a refund of credits without money": [of(":purchase", "refund"), postings((REFUNDS, -10), (ISSUED, 10))],
    "credits for nothing under the name of a refund": [
        of(":purchase", "refund"),
        postings((AVAILABLE, 10), (ISSUED, -10)),
    ],
    "a refund of held credits": [of(":purchase", "refund"), postings((HELD, -10), (REFUNDS, 10))],
    "more refunded than was put aside": [
        of(":purchase", "refund", 41),
        postings((REFUNDS, -41), (ISSUED, 41), (CASH, -4_100), (ISSUED_KRW, 4_100)),
    ],
    "a refund out of another purchase's transit": [
        of(":other_purchase", "refund"),
        postings((REFUNDS, -10), (AVAILABLE, 10)),
    ],
    "a debt without losses": [
        of(":purchase", "refund"),
        postings((DEBT, 10), (ISSUED, -10), (CASH, -1_000), (ISSUED_KRW, 1_000)),
    ],
    "a debt forgiven by a refund that never was": [
        of(":purchase", "refund"),
        postings((DEBT, -10), (LOSSES, 10), (CASH, 1_000), (ISSUED_KRW, -1_000)),
    ],
    "a refund that names no purchase": [transfer("refund"), postings((AVAILABLE, -10), (REFUNDS, 10))],
    "a refund of won that says credits": [
        of(":purchase", "refund"),
        postings((CASH, -10), (ISSUED_KRW, 10)),
    ],
    # Disputes
    "a dispute won that was never opened": [
        of(":purchase", "dispute", 1_000, "krw"),
        postings((DISPUTED, -1_000), (CASH, 1_000)),
    ],
    "a dispute that gives back more credits than it froze": [
        of(":other_purchase", "dispute", 2_000, "krw"),
        postings(
            (DISPUTES, -21),
            (AVAILABLE, 21),
            (won("disputes", "portone"), -2_000),
            (won("cash", "portone"), 2_000),
        ),
    ],
    "a dispute won at another provider": [
        of(":other_purchase", "dispute", 2_000, "krw"),
        postings((won("disputes", "portone"), -2_000), (CASH, 2_000)),
    ],
    "a dispute lost with the money kept": [
        of(":other_purchase", "dispute", 20),
        postings((DISPUTES, -20), (ISSUED, 20)),
    ],
    "a freeze that says won": [
        of(":purchase", "dispute", 10, "krw"),
        postings((AVAILABLE, -10), (DISPUTES, 10)),
    ],
    # Expiry
    "paid credits that expire": [transfer("expire"), postings((AVAILABLE, -10), (BREAKAGE, 10))],
    "paid credits that expire into losses": [transfer("expire"), postings((AVAILABLE, -10), (LOSSES, 10))],
    "credits that expire upwards": [transfer("expire"), postings((PROMO, 10), (BREAKAGE, -10))],
    "a paid grant that ends": [expiring(transfer("grant")), postings((AVAILABLE, 10), (ISSUED, -10))],
    "a hold that ends by itself": [expiring(transfer("hold")), postings((AVAILABLE, -10), (HELD, 10))],
    # Corrections
    "a correction of another unit than its own": [
        transfer("correction", 10, unit="krw"),
        postings((AVAILABLE, 10), (ISSUED, -10)),
    ],
    "a correction of two users": [
        transfer("correction"),
        postings((AVAILABLE, -10), (account("available", owner=":other"), 10)),
    ],
    # Accounts
    "credits of a user in no bucket": [
        "INSERT INTO accounts (kind, unit, user_id, balance) VALUES ('available', 'krw', :user, 0)"
    ],
    "a promotional debt": [
        """INSERT INTO accounts (kind, unit, bucket, user_id, balance)
           VALUES ('debt', 'credit', 'promo', :user, 0)"""
    ],
    "cash of nobody": ["INSERT INTO accounts (kind, unit) VALUES ('cash', 'krw')"],
    "cash in credits": ["INSERT INTO accounts (kind, unit, bucket) VALUES ('cash', 'credit', 'paid')"],
    "transit of the system": [
        "INSERT INTO accounts (kind, unit, bucket) VALUES ('refunds', 'credit', 'paid')"
    ],
    "an account in an unknown unit": ["INSERT INTO accounts (kind, unit) VALUES ('issued', 'usd')"],
    "a balance raised by a repeated opening": [
        """INSERT INTO accounts (kind, unit, bucket, user_id, balance)
           VALUES ('available', 'credit', 'paid', :user, 0)
           ON CONFLICT (user_id, kind, unit, bucket, provider) DO UPDATE SET balance = 1000"""
    ],
    "a transfer of an unknown kind": [transfer("gift"), postings((AVAILABLE, 10), (ISSUED, -10))],
    "a transfer of nobody": [
        transfer("grant").replace(":user", "'usr_nobody'"),
        postings((TO_PROMO, -10), (account("revenue", "promo", None), 10)),
    ],
}


@pytest_asyncio.fixture(scope="module")
async def books(ledger_alone: Database) -> tuple[Database, Values]:
    """A purchase with 40 credits on their way back, and another of whose 100 credits 20 are frozen."""
    user, other = await a_user(ledger_alone), await a_user(ledger_alone, paid=50)
    named = {"purchase": "pur_attacked", "other_purchase": "pur_disputed"}
    async with ledger_alone.transaction() as session:
        for provider, purchase in zip(Provider, named.values(), strict=True):
            await ledger.purchase(
                session, new_transfer_id(), user.id, 100, 10_000, provider, _origin(purchase)
            )
        await ledger.reserve_refund(session, new_transfer_id(), user.id, 40, _origin(named["purchase"]))
        await ledger.open_dispute(
            session, new_transfer_id(), user.id, 20, 2_000, Provider.PORTONE, _origin(named["other_purchase"])
        )
    await _open_the_rest(ledger_alone, user.id)
    return ledger_alone, {"new": new_transfer_id(), "user": user.id, "other": other.id, **named}


@pytest.mark.parametrize("attack", ATTACKS)
async def test_the_database_refuses(books: tuple[Database, Values], attack: str) -> None:
    database, values = books
    before = await _everything(database)
    with pytest.raises(IntegrityError):
        await run_sql(database, *ATTACKS[attack], **values)
    assert await _everything(database) == before


async def test_the_same_prompt_can_write_honest_money(books: tuple[Database, Values]) -> None:
    """The attacks above fail for what they do, not because nothing can be written."""
    database, values = books
    honest = [
        [
            of("'pur_honest'", "purchase"),
            postings((AVAILABLE, 10), (ISSUED, -10), (CASH, 1_000), (ISSUED_KRW, -1_000)),
        ],
        [
            of(":purchase", "refund", 40),
            postings((REFUNDS, -40), (ISSUED, 40), (CASH, -4_000), (ISSUED_KRW, 4_000)),
        ],
        [
            of(":other_purchase", "dispute", 2_000, "krw"),
            postings(
                (DISPUTES, -20), (ISSUED, 20), (DEBT, 5), (LOSSES, -5),
                (won("disputes", "portone"), -2_000), (ISSUED_KRW, 2_000),
            ),
        ],
        [transfer("correction"), postings((DEBT, -5), (LOSSES, 5), (AVAILABLE, 5), (ISSUED, -5))],
    ]  # fmt: skip
    for statements in honest:
        await run_sql(database, *statements, **values | {"new": new_transfer_id()})


def _origin(purchase_id: str) -> TransferOrigin:
    return ORIGIN.model_copy(update={"purchase_id": purchase_id})


async def _open_the_rest(database: Database, user_id: UserId) -> None:
    """Every account that an attack names, so that it is not refused for want of one."""
    await run_sql(
        database,
        """INSERT INTO accounts (kind, unit, bucket, user_id, balance)
           SELECT kind, 'credit', bucket, :user, 0
             FROM (VALUES ('available', 'promo'), ('held', 'promo'), ('held', 'paid'), ('debt', 'paid'))
                  new (kind, bucket)
               ON CONFLICT DO NOTHING""",
        user=user_id,
    )
    await run_sql(
        database,
        "INSERT INTO accounts (kind, unit, provider) VALUES ('disputes', 'krw', 'stripe') ON CONFLICT DO NOTHING",
    )


async def _everything(database: Database) -> list[str]:
    return [
        str(row[0])
        for table in ("accounts", "transfers", "postings")
        for row in await run_sql(database, f"SELECT t::text FROM {table} t ORDER BY 1")
    ]
