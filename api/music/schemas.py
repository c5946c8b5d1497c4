"""Bodies of `/v1/videos/{id}/music` and `/sections`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag

from api.shapes import FORM, Body, View
from contracts.kinds.music import MusicSummary, Section
from contracts.kinds.sections import SECTIONS_MAX, SectionEdit
from contracts.ledger import CreditEffect
from db.tables_clips import SectionAuthor

VERSION_MAX = 2**31 - 1


class MusicView(View):
    """What is known of the music in a video. Both files' URLs work without a token until `expires_at`."""

    video_id: str
    job_id: str
    """The job that has found it."""
    analysed_at: datetime
    summary: MusicSummary
    """With the sections of `sections_version`, and the highlights' types as they follow from them."""
    sections_version: int
    sections_url: str
    music_url: str
    """JSON: everything as the engine found it, with all beats, bars and the energy over time."""
    strip_url: str
    """PNG: the energy over time, with the sections of `strip_version`."""
    strip_version: int
    expires_at: datetime


class SectionsView(View):
    """One version of the sections. Its number, in quotes, is the ETag that `If-Match` asks for."""

    video_id: str
    version: int
    versions: int
    """The newest, which counts; each from 1 on can be read and restored."""
    author: SectionAuthor
    original: bool
    """Whether these are the sections as the engine found them."""
    sections: tuple[Section, ...]
    created_at: datetime
    credit_effect: CreditEffect = CreditEffect.NONE
    """To correct sections costs nothing."""


class SectionsEdit(Body):
    """The whole list, in order: what is missing from it is no section any more."""

    sections: list[SectionEdit] = Field(
        min_length=1,
        max_length=SECTIONS_MAX,
        examples=[
            [{"start_s": 0, "end_s": 12.5, "type": "intro"}, {"start_s": 12.5, "end_s": 41, "type": "verse"}]
        ],
    )


class SectionsRestore(Body):
    """An earlier version becomes the newest. Version 1 is what the engine first found."""

    restore: int = Field(ge=1, le=VERSION_MAX, strict=True)


def _what_is_changed(body: Any) -> str:
    """By the fields that are there, so that a mistake is told about the form that was meant."""
    names = set(body) if isinstance(body, dict) else set(dir(body))
    return FORM + ("restore" if "restore" in names and "sections" not in names else "edit")


SectionsChange = Annotated[
    Annotated[SectionsEdit, Tag(FORM + "edit")] | Annotated[SectionsRestore, Tag(FORM + "restore")],
    Discriminator(_what_is_changed),
]
