"""However a purchase is taken apart, no part exceeds the rest, and the last one makes it exact."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.errors import EchoError
from contracts.payments import RefundStatus
from contracts.purchases import Refunded
from db import refunds
from db.engine import Database
from db.purchase_rows import Part, credits_for, krw_for
from db.tables_money import Purchase
from tests.books import a_user, balance_of
from tests.purchases import a_purchase, provider_says, refund, refundable


@settings(max_examples=300)
@given(
    credits=st.integers(1, 2_000),
    krw_per_credit=st.fractions(1, 300),
    shares=st.lists(st.tuples(st.booleans(), st.integers(0, 1000)), max_size=12),
)
def test_parts_never_exceed_the_whole_and_the_last_one_makes_it_exact(
    credits: int, krw_per_credit: object, shares: list[tuple[bool, object]]
) -> None:
    whole = Purchase(credits=credits, amount_krw=int(credits * krw_per_credit))  # pyright: ignore
    taken = Part(0, 0)
    for by_krw, share in shares:
        if by_krw:
            krw = int((whole.amount_krw - taken.krw) * share // 1000)  # pyright: ignore
            part = Part(credits_for(whole, taken, krw), krw)
        else:
            asked = int((whole.credits - taken.credits) * share // 1000)  # pyright: ignore
            part = Part(asked, krw_for(whole, taken, asked))
        assert part.credits >= 0
        assert part.krw >= 0
        taken = Part(taken.credits + part.credits, taken.krw + part.krw)
        assert taken.krw * whole.credits <= taken.credits * whole.amount_krw, "no won for a credit that stays"
    rest = whole.credits - taken.credits
    assert taken.krw + krw_for(whole, taken, rest) == whole.amount_krw


ASKS = st.lists(
    st.tuples(st.sampled_from(["credits", "krw", "fail", "done", "all"]), st.integers(1, 60)), max_size=12
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(asks=ASKS)
async def test_any_row_of_refunds_ends_exact(database: Database, asks: list[tuple[str, int]]) -> None:
    """Of 500 credits at 80 won: by credits, by won, failing and succeeding between."""
    user = await a_user(database)
    purchase = await a_purchase(database, user, credits=500)
    open_: list[Refunded] = []
    for verb, size in asks:
        if verb in ("fail", "done"):
            if open_:
                await provider_says(database, open_.pop(), "failed" if verb == "fail" else "succeeded")
            continue
        wanted = {"credits": {"credits": size}, "krw": {"krw": size * 37}, "all": {}}[verb]
        with suppress(EchoError):  # more than is left, or less than a credit
            open_.append(await refund(database, purchase, **wanted))  # pyright: ignore
    left = await refundable(database, purchase)
    if left.credits:
        await refund(database, purchase)
    async with database.read() as session:
        rows = [r for r in await refunds.of_purchase(session, purchase.id) if r.status != RefundStatus.FAILED]
    assert sum(row.amount_krw for row in rows) == 40_000
    assert sum(row.credits for row in rows) == 500
    assert await balance_of(database, user.id) == (0, 0)
