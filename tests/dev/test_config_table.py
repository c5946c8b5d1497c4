"""The README's table of settings is the program's own."""

from __future__ import annotations

from dev.config_table import README, between_markers, settings, table


def test_the_readme_shows_every_setting_as_it_is() -> None:
    _, shown, _ = between_markers(README.read_text(encoding="utf-8"))
    assert shown == table(), "run: .venv/bin/python -m dev.config_table"


def test_no_setting_is_named_twice() -> None:
    variables = [variable for variable, _, _ in settings()]
    assert len(variables) == len(set(variables))
