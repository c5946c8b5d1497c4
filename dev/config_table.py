"""`python -m dev.config_table`: writes the README's table of settings, from contracts/settings.py itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import AliasChoices, BaseModel, SecretStr
from pydantic.fields import FieldInfo

from contracts.settings import Settings

README = Path(__file__).parent.parent / "README.md"
BEGIN, END = "<!-- settings: begin -->\n", "<!-- settings: end -->"


def table() -> str:
    rows = [
        f"| `{name}` | {_shown(name, default)} | {_sentence(field.description)} |"
        for name, field, default in settings()
    ]
    return "\n".join(["| variable | default | meaning |", "|---|---|---|", *rows]) + "\n"


def settings() -> Iterator[tuple[str, FieldInfo, Any]]:
    """Every environment variable that a process reads: its name, field and default."""
    prefix = Settings.model_config.get("env_prefix", "")
    separator = Settings.model_config.get("env_nested_delimiter") or ""
    for name, field in Settings.model_fields.items():
        variable = _alias(field) or (prefix + name).upper()
        if isinstance(field.default, BaseModel):
            for inner_name, inner in type(field.default).model_fields.items():
                yield variable + separator + inner_name.upper(), inner, inner.default
        else:
            yield variable, field, field.default


def between_markers(text: str) -> tuple[str, str, str]:
    """The README before, within and after the generated part."""
    before, _, rest = text.partition(BEGIN)
    within, _, after = rest.partition(END)
    return before, within, after


def _alias(field: FieldInfo) -> str:
    choices = field.validation_alias
    return str(choices.choices[0]) if isinstance(choices, AliasChoices) else ""


def _shown(variable: str, default: object) -> str:
    if isinstance(default, SecretStr):
        default = default.get_secret_value()
    if isinstance(default, Path):
        return "`echoshot-work` in the temporary folder"
    if "BYTES" in variable and isinstance(default, int) and default >= 1024**2:
        return f"`{default}` ({default // 1024**2} MiB)"
    return "" if default in ("", ()) else f"`{default}`"


def _sentence(docstring: str | None) -> str:
    return " ".join((docstring or "").split()).replace("|", "\\|")


def main() -> None:
    before, _, after = between_markers(README.read_text(encoding="utf-8"))
    README.write_text(before + BEGIN + table() + END + after, encoding="utf-8")


if __name__ == "__main__":
    main()
