"""The sections of a video's music as its owner edits them, and the analysis as it is then seen. Pure functions.

All times are seconds on the file's own timeline; what a person has edited is kept to the millisecond.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from typing import Annotated, TypeVar

from pydantic import Field, StringConstraints

from contracts.base import Contract
from contracts.errors import Code, EchoError
from contracts.kinds.music import Music, MusicSummary, Section, SectionType

SECTION_MS_MIN = 500
"""A bar at 240 bpm has a second; what is shorter is a slip of the finger."""
SECTIONS_MAX = 1500
"""Of one video: two hours of concert have some 300, and two hours of one loop some 550, which must fit: a correction
is the whole list."""
TIME_S_MAX = 1_000_000.0
"""Beyond any video; what is far larger has no milliseconds that could be counted."""

Time = Annotated[float, Field(ge=0.0, le=TIME_S_MAX, allow_inf_nan=False, strict=True)]
Label = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]+$", min_length=1, max_length=32)]

Found = TypeVar("Found", Music, MusicSummary)


class SectionEdit(Contract):
    """A section as a person wishes it."""

    start_s: Time
    end_s: Time
    type: SectionType
    label: Label | None = None
    """Sections of a song with one label are repetitions of each other. None: that of its type in its song."""


def edited(
    wished: Sequence[SectionEdit], before: Sequence[Section], found: Music | MusicSummary
) -> tuple[Section, ...]:
    """The whole list anew. A section that is as `before` keeps its confidence and energy; of any other a person is
    certain, and its energy is that of the sections that the engine found in its place.

    Raises SECTIONS_INVALID for sections that are too short, out of order, overlap or pass the end of `found`.
    """
    known = {_place(section): section for section in before}
    labels = {(section.song, section.type): section.label for section in reversed(before)}
    heard = _Heard(found.sections)
    done: list[Section] = []
    for index, wish in enumerate(wished):
        _judge(index, wish, done, found.duration_s)
        start_s, end_s = _ms(wish.start_s) / 1000, min(_ms(wish.end_s) / 1000, found.duration_s)
        old, song = known.get(_place(wish)), _song(start_s, end_s, found)
        if old is not None and wish.label in (None, old.label):
            confidence, energy, label = old.confidence, old.energy, old.label
        else:
            confidence, energy = 1.0, heard.energy(start_s, end_s)
            label = wish.label or labels.get((song, wish.type), wish.type.value)
        done.append(
            Section(
                start_s=start_s, end_s=end_s, type=wish.type, label=label,
                energy=energy, confidence=confidence, song=song,
            )
        )  # fmt: skip
    return tuple(done)


def in_songs(sections: Iterable[Section], found: Music | MusicSummary) -> tuple[Section, ...]:
    """Sections of an older analysis, each in the song of `found` that it belongs to."""
    return tuple(
        section.model_copy(update={"song": _song(section.start_s, section.end_s, found)})
        for section in sections
    )


def alike(one: Sequence[Section], other: Sequence[Section]) -> bool:
    """Whether both say the same of the music, however certain they are."""
    return [(*_place(s), s.label) for s in one] == [(*_place(s), s.label) for s in other]


def with_sections(found: Found, sections: Iterable[Section]) -> Found:
    """The analysis as its owner sees it: these sections, and each highlight with the type that follows from them."""
    chosen = tuple(sections)
    highlights = tuple(
        highlight.model_copy(
            update={"type": type_within(chosen, highlight.start_s, highlight.end_s) or highlight.type}
        )
        for highlight in found.highlights
    )
    return found.model_copy(update={"sections": chosen, "highlights": highlights})


def type_within(sections: Iterable[Section], start_s: float, end_s: float) -> SectionType | None:
    """Of the section that fills most of a range; None when none lies in it."""
    fullest = max(sections, key=lambda section: _shared(section, start_s, end_s), default=None)
    return fullest.type if fullest is not None and _shared(fullest, start_s, end_s) > 0 else None


def _judge(index: int, wish: SectionEdit, before: Sequence[Section], duration_s: float) -> None:
    fields: dict[str, str | int] = {"section": index}
    if _ms(wish.end_s) - _ms(wish.start_s) < SECTION_MS_MIN:
        fields["shortest_ms"] = SECTION_MS_MIN
    elif _ms(wish.end_s) > _ms(duration_s):
        fields["duration_s"] = f"{duration_s:.3f}"
    elif before and _ms(wish.start_s) < _ms(before[-1].end_s):
        fields["begins_before"] = f"{before[-1].end_s:.3f}"
    else:
        return
    raise EchoError(Code.SECTIONS_INVALID, f"section {index}: {wish.start_s} to {wish.end_s} s", fields)


def _ms(time_s: float) -> int:
    return round(time_s * 1000)


def _place(section: Section | SectionEdit) -> tuple[int, int, SectionType]:
    return _ms(section.start_s), _ms(section.end_s), section.type


def _song(start_s: float, end_s: float, found: Music | MusicSummary) -> int:
    """The one that fills most of the range; outside all of them, the nearest."""
    shared = [min(end_s, song.end_s) - max(start_s, song.start_s) for song in found.songs]
    return max(range(len(shared)), key=shared.__getitem__, default=0)


def _shared(section: Section, start_s: float, end_s: float) -> float:
    """Seconds of the section that lie in the range."""
    return max(0.0, min(end_s, section.end_s) - max(start_s, section.start_s))


class _Heard:
    """The sections that the engine found, which are in order and apart: looked up for each of as many wishes."""

    def __init__(self, sections: Sequence[Section]) -> None:
        self._sections = sections
        self._starts = [section.start_s for section in sections]
        self._ends = [section.end_s for section in sections]

    def energy(self, start_s: float, end_s: float) -> float:
        """Mean over the range; 0 where the engine heard no song."""
        within = self._sections[bisect_right(self._ends, start_s) : bisect_left(self._starts, end_s)]
        shares = [(_shared(section, start_s, end_s), section.energy) for section in within]
        total = sum(share for share, _ in shares)
        return min(1.0, sum(share * energy for share, energy in shares) / total) if total else 0.0
