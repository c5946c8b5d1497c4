"""What the platform must know about a kind of job, whatever it does to pixels or sound."""

from __future__ import annotations

from dataclasses import dataclass

from contracts.base import Contract


class JobParams(Contract):
    """Base of the wishes a user may state for one kind of job; every field has a sane default."""


@dataclass(frozen=True)
class JobKind:
    name: str
    params: type[JobParams]
    stages: tuple[str, ...]
    """In the order in which they finish; the first is always `ingest`."""
    title_en: str
    title_ko: str
