"""What the bodies and queries of all nouns share: strictness, ids, text that a database can hold, pages."""

from __future__ import annotations

import re
from typing import Annotated, Generic, TypeVar

from fastapi import Path
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
)
from pydantic_core import PydanticCustomError
from starlette.convertors import Convertor, register_url_convertor

from contracts.cards import has_card_number
from db.pages import Page

_EXAMPLE = "0197a5c1d2e37b3c9a417f2e6d5c4b3a"


ID_FORM = "[a-z]{3}_[^/]+"


def _pattern(prefix: str) -> str:
    return rf"^{prefix}_[0-9a-f]{{32}}$"


ClipIdText = Annotated[str, StringConstraints(pattern=_pattern("clp"))]
ClipIdPath = Annotated[str, Path(pattern=_pattern("clp"), examples=[f"clp_{_EXAMPLE}"])]
ShareIdPath = Annotated[str, Path(pattern=_pattern("shr"), examples=[f"shr_{_EXAMPLE}"])]
JobIdText = Annotated[str, StringConstraints(pattern=_pattern("job"))]
VideoIdText = Annotated[str, StringConstraints(pattern=_pattern("vid"))]
JobIdPath = Annotated[str, Path(pattern=_pattern("job"), examples=[f"job_{_EXAMPLE}"])]
VideoIdPath = Annotated[str, Path(pattern=_pattern("vid"), examples=[f"vid_{_EXAMPLE}"])]
UploadIdPath = Annotated[str, Path(pattern=_pattern("upl"), examples=[f"upl_{_EXAMPLE}"])]
PurchaseIdText = Annotated[str, StringConstraints(pattern=_pattern("pur"))]
RefundIdText = Annotated[str, StringConstraints(pattern=_pattern("ref"))]
UserIdText = Annotated[str, StringConstraints(pattern=_pattern("usr"))]
CorrectionIdText = Annotated[str, StringConstraints(pattern=_pattern("cor"))]
CorrectionIdPath = Annotated[str, Path(pattern=_pattern("cor"))]
ReconciliationIdText = Annotated[str, StringConstraints(pattern=_pattern("rec"))]
ReconciliationIdPath = Annotated[str, Path(pattern=_pattern("rec"))]
PurchaseIdPath = Annotated[str, Path(pattern=_pattern("pur"), examples=[f"pur_{_EXAMPLE}"])]
UserIdPath = Annotated[str, Path(pattern=_pattern("usr"), examples=[f"usr_{_EXAMPLE}"])]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Line = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]+$", min_length=1, max_length=255)]
"""One line of text without control characters: PostgreSQL refuses NUL, headers refuse line ends."""


def _no_card(text: str) -> str:
    if has_card_number(text):
        raise PydanticCustomError(
            "card_number", "looks like a card number; card numbers must not be sent here"
        )
    return text


NoCard = AfterValidator(_no_card)


def _rfc3339(value: object) -> object:
    # Pydantic also reads bare numbers, as seconds or milliseconds by their size: a guess that nobody asked for.
    if isinstance(value, str) and not re.match(r"\d{4}-\d{2}-\d{2}[Tt ]", value):
        raise PydanticCustomError("not_rfc3339", "expected an RFC 3339 date and time with an offset")
    return value


Moment = Annotated[AwareDatetime, BeforeValidator(_rfc3339)]


class IdConvertor(Convertor[str]):
    """`{job_id:id}` in a route: what cannot be an id (`processed`, `quote`) leaves the address to its own route."""

    regex = ID_FORM

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("id", IdConvertor())


FORM = "form "
"""Begins the tags of bodies that are told apart by the fields they have; no part of a field's path."""


class Body(BaseModel):
    """Base of every request body: an unknown field is a mistake that deserves an answer."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class View(BaseModel):
    """Base of every answer."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


Cursor = TypeVar("Cursor")


class PageQuery(BaseModel, Generic[Cursor]):
    """Cursors of every list: ids of its rows. Newest first; `ending_before` walks back."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    limit: int = Field(default=20, ge=1, le=100)
    starting_after: Cursor | None = None
    """Rows that follow this one."""
    ending_before: Cursor | None = None
    """Rows that precede this one. Not together with `starting_after`."""

    @property
    def page(self) -> Page:
        after, before = self.starting_after, self.ending_before
        return Page(
            limit=self.limit,
            starting_after=None if after is None else str(after),
            ending_before=None if before is None else str(before),
        )


class VideoPageQuery(PageQuery[VideoIdText]):
    """A page of videos."""
