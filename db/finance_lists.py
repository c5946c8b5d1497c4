"""The lists that finance reads, whole or page by page: transfers, purchases, refunds, liability, revenue.

All read the analysts' views (migrations 0008, 0010), so that a figure in the API is the figure in a spreadsheet.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.errors import Code, EchoError
from db.pages import Page, Rows, cut


@dataclass(frozen=True)
class Listing:
    """A list, newest first. Its words are ours alone: what a caller says comes in as parameters."""

    name: str
    view: str
    id: str
    order: tuple[str, ...]
    """Columns that sort the list and, with the id, are unique."""
    columns: tuple[str, ...]
    conditions: Mapping[str, str]
    """Filter to the condition that it sets."""
    sums: tuple[str, ...] = ()
    by_status: bool = False
    """Whether the sums are told for each status: money that was paid and money that never came do not add up."""
    id_type: str = "text"
    order_in_period: tuple[str, ...] = ()
    """Sorts what the filters `from` and `to` leave, where that is read from another index; the same but for moments."""
    place: str = ""
    """Where a cursor is looked up, when not in the view: in what is quicker to search."""
    is_report: bool = False
    """Every row follows from all the books of its users, so without a user it takes seconds, not milliseconds."""

    def order_of(self, filters: Mapping[str, Any]) -> tuple[str, ...]:
        in_period = filters.get("from") is not None or filters.get("to") is not None
        return self.order_in_period if in_period and self.order_in_period else self.order


REPORT_TIMEOUT_MS = 60_000
REPORT_MEMORY = "64MB"
"""To sort a million captures in; PostgreSQL's default of 4 MB is for lookups."""


def words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


SINCE = "created_at >= :from"
UNTIL = "created_at < :to"

TRANSFERS = Listing(
    name="transfers",
    view="analytics.transfers",
    id="id",
    order=("seq",),
    columns=words("seq id created_at kind unit amount user_id job_id purchase_id actor step reason phase"),
    conditions={
        "kind": "kind = :kind",
        "user_id": "user_id = :user_id",
        "job_id": "job_id = :job_id",
        "purchase_id": "purchase_id = :purchase_id",
        "from": SINCE,
        "to": UNTIL,
    },
    id_type="uuid",
    order_in_period=("created_at", "seq"),
)

PURCHASES = Listing(
    name="purchases",
    view="analytics.purchases",
    id="id",
    order=("created_at", "id"),
    columns=words("id created_at paid_at user_id provider job_id credits amount_krw status failure_code"),
    conditions={
        "status": "status = :status",
        "provider": "provider = :provider",
        "user_id": "user_id = :user_id",
        "from": SINCE,
        "to": UNTIL,
    },
    sums=("credits", "amount_krw"),
    by_status=True,
)

REFUNDS = Listing(
    name="refunds",
    view="analytics.refunds",
    id="id",
    order=("created_at", "id"),
    columns=words(
        "id created_at finished_at purchase_id user_id provider job_id credits "
        "amount_krw reason status requested_by"
    ),
    conditions={
        "status": "status = :status",
        "reason": "reason = :reason",
        "user_id": "user_id = :user_id",
        "from": SINCE,
        "to": UNTIL,
    },
    sums=("credits", "amount_krw"),
    by_status=True,
)

LIABILITY = Listing(
    name="liability",
    view="(SELECT * FROM analytics.liability WHERE credits > 0) liability",
    id="transfer_id",
    order=("bought_at", "transfer_id"),
    columns=words("transfer_id bought_at user_id purchase_id credits krw"),
    conditions={"user_id": "user_id = :user_id"},
    sums=("credits", "krw"),
    id_type="uuid",
    place="""(SELECT id AS transfer_id, created_at AS bought_at FROM analytics.transfers
               WHERE kind IN ('purchase', 'grant', 'correction')) bought""",
    is_report=True,
)

REVENUE = Listing(
    name="revenue",
    view="analytics.revenue",
    id="transfer_id",
    order=("seq",),
    columns=words("transfer_id created_at user_id job_id job_kind credits paid_credits krw"),
    conditions={
        "job_kind": "job_kind = :job_kind",
        "user_id": "user_id = :user_id",
        "from": SINCE,
        "to": UNTIL,
    },
    sums=("credits", "paid_credits", "krw"),
    id_type="uuid",
    place="(SELECT id AS transfer_id, seq FROM analytics.transfers WHERE kind = 'capture') captures",
    is_report=True,
)


async def page_of(
    session: AsyncSession, listing: Listing, filters: Mapping[str, Any], page: Page
) -> Rows[RowMapping]:
    """One page of the rows that pass every filter that is not None."""
    forward = page.ending_before is None
    cursor = page.starting_after or page.ending_before
    where, values = _where(listing, filters)
    order = listing.order_of(filters)
    await _allow_time(session, listing)
    if cursor is not None:
        place = await _place(session, listing, order, cursor)
        values |= {f"at_{column}": place[column] for column in order}
        names = ", ".join(f":at_{column}" for column in order)
        where.append(f"({', '.join(order)}) {'<' if forward else '>'} ({names})")
    query = _select(listing, where, order, "DESC" if forward else "ASC") + " LIMIT :limit"
    rows = await session.execute(text(query), {**values, "limit": page.limit + 1})
    return cut(list(rows.mappings()), page)


async def sums_of(session: AsyncSession, listing: Listing, filters: Mapping[str, Any]) -> dict[str, int]:
    """Of all rows that pass the filters, and how many there are."""
    where, values = _where(listing, filters)
    await _allow_time(session, listing)
    sums = ", ".join(f"coalesce(sum({column}), 0)::bigint AS {column}" for column in listing.sums)
    query = f"SELECT count(*) AS rows, {sums} FROM {listing.view} WHERE {' AND '.join(['true', *where])}"  # noqa: S608
    return dict((await session.execute(text(query), values)).mappings().one())


async def sums_by_status(
    session: AsyncSession, listing: Listing, filters: Mapping[str, Any]
) -> dict[str, dict[str, int]]:
    """The same for each status that is there."""
    where, values = _where(listing, filters)
    sums = ", ".join(f"sum({column})::bigint AS {column}" for column in listing.sums)
    query = (
        f"SELECT status, count(*) AS rows, {sums} FROM {listing.view} "  # noqa: S608 - our own words
        f"WHERE {' AND '.join(['true', *where])} GROUP BY status ORDER BY status"
    )
    rows = (await session.execute(text(query), values)).mappings()
    return {row["status"]: {name: row[name] for name in ("rows", *listing.sums)} for row in rows}


async def every(
    session: AsyncSession, listing: Listing, filters: Mapping[str, Any]
) -> AsyncIterator[RowMapping]:
    """All rows that pass the filters, newest first, as the database finds them: memory does not grow with them."""
    where, values = _where(listing, filters)
    await _allow_time(session, listing)
    rows = await session.stream(text(_select(listing, where, listing.order_of(filters), "DESC")), values)
    async for row in rows.mappings():
        yield row


def _where(listing: Listing, filters: Mapping[str, Any]) -> tuple[list[str], dict[str, Any]]:
    given = {name: value for name, value in filters.items() if value is not None}
    return [listing.conditions[name] for name in given], given


def _select(listing: Listing, where: list[str], columns: tuple[str, ...], direction: str) -> str:
    order = ", ".join(f"{column} {direction}" for column in columns)
    return (
        f"SELECT {', '.join(listing.columns)} FROM {listing.view} WHERE {' AND '.join(['true', *where])} "  # noqa: S608
        f"ORDER BY {order}"
    )


async def _allow_time(session: AsyncSession, listing: Listing) -> None:
    """Until the end of the transaction."""
    if listing.is_report:
        await session.execute(text(f"SET LOCAL statement_timeout = {REPORT_TIMEOUT_MS}"))
        await session.execute(text(f"SET LOCAL work_mem = '{REPORT_MEMORY}'"))


async def _place(session: AsyncSession, listing: Listing, order: tuple[str, ...], cursor: str) -> RowMapping:
    """Where the row with the id `cursor` stands in the list."""
    query = (
        f"SELECT {', '.join(order)} FROM {listing.place or listing.view} "  # noqa: S608 - our own words
        f"WHERE {listing.id} = cast(:cursor AS {listing.id_type})"
    )
    row = (await session.execute(text(query), {"cursor": cursor})).mappings().first()
    if row is None:
        raise EchoError(Code.CURSOR_INVALID, "no such row in this list")
    return row
