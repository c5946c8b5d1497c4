"""A sound track's language is kept where the result can say it; a Matroska may hold any text instead."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from contracts.media import MediaLimits
from dev.clips.writer import Sound, steady, write
from media.probe import probe
from media.verify import verify
from tests.media.joined import join


@pytest.mark.parametrize(
    ("tag", "kept"), [("kor", "kor"), ("en", ""), ("en-US", ""), ("ENG", ""), ("x" * 90_000, "")]
)
def test_a_language_is_kept_or_unknown_and_fails_no_result(tmp_path: Path, tag: str, kept: str) -> None:
    sounds = [Sound(duration_s=Fraction(1), language=tag)]
    source = write(tmp_path / "source.mkv", steady(30), tick=Fraction(1, 1000), sounds=sounds)
    info = probe(source, MediaLimits())
    assert [track.language for track in info.audio] == [kept]

    result, plan = join(tmp_path, source, info, Fraction(60))
    found, verification = verify(result, info, plan)
    assert [track.language for track in found.audio] == [kept]
    assert verification.ok, verification
