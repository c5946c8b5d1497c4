from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from contracts.media import MediaLimits
from dev.clips import BAD, GOOD, SOUNDS
from media.probe import probe
from tests.media.joined import Joined, join


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Makes a generated clip once per run: clip("plain") is the file of dev.clips.good.clip_plain."""
    made: dict[str, Path] = {}

    def make(name: str) -> Path:
        if name not in made:
            made[name] = (GOOD | SOUNDS | BAD)[name](tmp_path_factory.mktemp(name))
        return made[name]

    return make


@pytest.fixture(scope="session")
def joined(clip: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Joined]:
    """A generated clip at 60 fps, joined with its sound from three segments of numbered pictures, once per run."""
    made: dict[str, Joined] = {}

    def make(name: str) -> Joined:
        if name not in made:
            info = probe(clip(name), MediaLimits())
            result, plan = join(tmp_path_factory.mktemp(f"joined-{name}"), clip(name), info)
            made[name] = Joined(clip(name), info, plan, result)
        return made[name]

    return make
