"""`music`: the structure of a song, or of several songs in one recording. The wishes, and what is found.

All times are seconds on the file's own timeline, where its picture (or, without one, its sound) begins at 0.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from contracts.base import Contract
from contracts.kinds.base import JobKind, JobParams, Need
from contracts.media import Artifact, EngineUse
from contracts.pricing import PerMinute

Share = Annotated[float, Field(ge=0.0, le=1.0)]
"""0 to 1: of certainty, of loudness within its song, of a score."""

HighlightLength = Literal[15, 30, 60]
"""Seconds that a highlight is meant to last; snapped to bars it may be a little less or more."""


class SectionType(StrEnum):
    INTRO = "intro"
    VERSE = "verse"
    CHORUS = "chorus"
    BRIDGE = "bridge"
    INTERLUDE = "interlude"
    CLIMAX = "climax"
    """The chorus (or its last repetitions) in which the song reaches its greatest energy."""
    OUTRO = "outro"


class PartType(StrEnum):
    MUSIC = "music"
    TALK = "talk"
    APPLAUSE = "applause"
    """Clapping, cheering and other noise of a crowd."""
    SILENCE = "silence"


class Reason(StrEnum):
    """Why a stretch is a highlight."""

    REPETITION = "repetition"
    LOUDNESS = "loudness"
    POSITION = "position"


class MusicParams(JobParams):
    """There is nothing to wish for yet."""


class Section(Contract):
    start_s: float
    end_s: float
    type: SectionType
    label: str
    """Sections of a song with one label are repetitions of each other: A, B, A ..."""
    energy: Share
    """Loudness among the song's sections: 1 is the loudest."""
    confidence: Share
    """That a listener would set these borders and this label."""
    song: int
    """Index in `Music.songs`."""


class SongSummary(Contract):
    """A song without its beats, which are many."""

    start_s: float
    end_s: float
    tempo_bpm: float
    tempo_confidence: Share
    beats_per_bar: int
    downbeat_confidence: Share
    key: str | None
    """Such as `A minor`; None when no key is clear."""
    key_confidence: Share


class Song(SongSummary):
    beats_s: tuple[float, ...]
    downbeats_s: tuple[float, ...]
    """First beats of bars; each is one of `beats_s`."""


class Part(Contract):
    """A stretch of the recording by what is heard in it."""

    start_s: float
    end_s: float
    type: PartType
    confidence: Share


class Highlight(Contract):
    length_s: HighlightLength
    start_s: float
    end_s: float
    type: SectionType
    """Of the section that fills most of it."""
    score: Share
    reasons: tuple[Reason, ...]
    """The strongest first."""
    song: int


class Loudness(Contract):
    """By ITU-R BS.1770-4 and EBU R 128, over the whole recording."""

    integrated_lufs: float
    range_lu: float
    true_peak_dbtp: float


class MusicFindings(Contract):
    """What is found in a recording. Parts cover it whole; sections cover each song whole, without gaps."""

    schema_version: Literal[1] = 1
    duration_s: float
    parts: tuple[Part, ...]
    sections: tuple[Section, ...]
    highlights: tuple[Highlight, ...]
    """The best of each length first."""
    loudness: Loudness
    engine: EngineUse


class MusicSummary(MusicFindings):
    """Without what is found many times a second."""

    songs: tuple[SongSummary, ...]


class Music(MusicFindings):
    """With everything: `music.json` in the store."""

    songs: tuple[Song, ...]
    energy: tuple[Share, ...]
    """Loudness over time, two values a second: what an app draws as a strip."""

    def summary(self) -> MusicSummary:
        many = {"energy": True, "songs": {"__all__": {"beats_s", "downbeats_s"}}}
        return MusicSummary.model_validate(self.model_dump(exclude=many))


class Analysis(Contract):
    """A `Music` in the store, and what the database keeps of it."""

    music: Artifact
    strip: Artifact
    """PNG: energy over time with the sections drawn on it."""
    summary: MusicSummary


MUSIC = JobKind(
    name="music",
    params=MusicParams,
    stages=("ingest", "analyse"),
    needs=frozenset({Need.SOUND}),
    price=PerMinute(1),
    title_en="Music structure",
    title_ko="음악 구조 분석",
    pages=("music", "sections"),
)
