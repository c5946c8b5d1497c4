from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dev.clips import BAD, GOOD


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Makes a generated clip once per run: clip("plain") is the file of dev.clips.good.clip_plain."""
    made: dict[str, Path] = {}

    def make(name: str) -> Path:
        if name not in made:
            made[name] = (GOOD | BAD)[name](tmp_path_factory.mktemp(name))
        return made[name]

    return make
