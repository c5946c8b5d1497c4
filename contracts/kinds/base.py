"""What the platform must know about a kind of job, whatever it does to pixels or sound."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pydantic import ValidationError

from contracts.base import Contract
from contracts.media import MediaInfo
from contracts.pricing import Basis, Price, Quote


class JobParams(Contract):
    """Base of the wishes a user may state for one kind of job; fields have sane defaults wherever there are any."""


class Need(StrEnum):
    """What a source must have."""

    PICTURE = "picture"
    SOUND = "sound"


def _nothing(_wishes: Any, _info: MediaInfo) -> None: ...


@dataclass(frozen=True)
class JobKind:
    name: str
    params: type[JobParams]
    stages: tuple[str, ...]
    """In the order in which they finish; the first is always `ingest`."""
    needs: frozenset[Need]
    price: Price
    title_en: str
    title_ko: str
    pages: tuple[str, ...] = ()
    """Below `/v1/videos/{id}` of the source: where what was made is found, when the result itself is no video."""
    refuse_impossible: Callable[[Any, MediaInfo], None] = _nothing
    """Raises EchoError for params that a source of known media, which has what is needed, cannot fulfil. Asked before
    anything is held; a source that is yet to come is judged by the pipeline."""

    @property
    def defaults(self) -> JobParams | None:
        """The wishes of someone who states none; None when that is not possible."""
        try:
            return self.params()
        except ValidationError:
            return None

    def quote(
        self,
        params: JobParams | dict[str, Any],
        duration_ms: int | None,
        basis: Basis,
        *,
        first: Quote | None = None,
    ) -> Quote:
        """Price of a job on a source of so many milliseconds; `first` is its earlier quote, whose rate it keeps."""
        return self.price.quote(self.params.model_validate(params), duration_ms, basis, first=first)

    def measured(
        self, params: JobParams | dict[str, Any], info: MediaInfo, *, first: Quote | None = None
    ) -> Quote:
        """Price on a file that was measured: by its picture, or by all of it for a kind that listens."""
        whole = Need.SOUND in self.needs or info.video is None
        duration_s = info.duration_s if whole else info.picture.duration_s
        return self.quote(params, int(duration_s * 1000), "measured", first=first)
