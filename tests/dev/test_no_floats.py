"""The lint that keeps floating-point numbers away from money."""

from __future__ import annotations

from pathlib import Path

import pytest

from dev.no_floats import MEASURES, REPOSITORY, check, floats


@pytest.mark.parametrize(
    "source",
    [
        "fee = 0.029",
        "share = a / b",
        "won /= 2",
        "def f(won: float) -> int: ...",
        "x = float(won)",
        "y = 1e3",
    ],
)
def test_it_finds(source: str) -> None:
    assert [line for line, _ in floats(source)] == [1]


@pytest.mark.parametrize(
    "source", ["fee = won * 29 // 1000", 'file = folder / "books"', 'file = folder / f"{name}"']
)
def test_it_leaves_alone(source: str) -> None:
    assert list(floats(source)) == []


def test_a_finding_names_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "db").mkdir()
    (tmp_path / "db/fees.py").write_text("won = 3\nfee = won * 0.5\n")
    assert check(tmp_path) == ["db/fees.py:2: the literal 0.5"]


@pytest.mark.parametrize("exempt", MEASURES)
def test_no_exemption_is_without_need(exempt: str) -> None:
    assert list(floats((REPOSITORY / exempt).read_text()))
