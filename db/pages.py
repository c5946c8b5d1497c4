"""Cursor pages, newest first. The cursor is the id of a row, so a page stays right while rows are added."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import Select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from contracts.errors import Code, EchoError
from db.ids import Prefix

LIMIT_MAX = 100

T = TypeVar("T")


@dataclass(frozen=True)
class Page:
    """A request for `limit` rows after (older than) or before (newer than) a cursor, not both."""

    limit: int = 20
    starting_after: str | None = None
    ending_before: str | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.limit <= LIMIT_MAX:
            raise EchoError(Code.VALIDATION_FAILED, f"limit must be 1 to {LIMIT_MAX}", {"limit": self.limit})
        if self.starting_after is not None and self.ending_before is not None:
            raise EchoError(Code.CURSOR_INVALID, "starting_after and ending_before exclude each other")


@dataclass(frozen=True)
class Rows(Generic[T]):
    items: tuple[T, ...]
    has_more: bool
    """More rows in the direction of the request."""


async def fetch(
    session: AsyncSession,
    query: Select[T],
    id_column: InstrumentedAttribute[Any],
    page: Page,
    prefix: Prefix,
) -> Rows[T]:
    """One page of `query` over `id_column`, whose ids start with `prefix` and rise with time."""
    cursor = page.starting_after or page.ending_before
    if cursor is not None and not re.fullmatch(prefix + "_[0-9a-f]{32}", cursor):
        raise EchoError(Code.CURSOR_INVALID, f"expected {prefix}_...")
    if page.ending_before is not None:
        query = query.where(id_column > page.ending_before).order_by(id_column.asc())
    else:
        if page.starting_after is not None:
            query = query.where(id_column < page.starting_after)
        query = query.order_by(id_column.desc())
    rows = list((await session.scalars(query.limit(page.limit + 1))).all())
    return cut(rows, page)


def cut(rows: list[T], page: Page) -> Rows[T]:
    """From up to limit + 1 rows in reading direction: the page, newest first, and whether there are more."""
    items = rows[: page.limit]
    if page.ending_before is not None:
        items.reverse()
    return Rows(tuple(items), has_more=len(rows) > page.limit)
