"""Text and numbers from outside. PostgreSQL keeps no NUL, and half a surrogate pair is no text to anybody: what people
wrote is refused with such, what a provider or a program says is kept without."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Strict

UNREADABLE = "\ufffd"
"""Unicode's own sign for what cannot be shown."""


def storable(text: str) -> str:
    return text.replace("\0", UNREADABLE).encode(errors="replace").decode()


def is_storable(text: str) -> bool:
    return storable(text) == text


def storable_json(value: Any) -> Any:
    """The same of every text and name at any depth."""
    match value:
        case str():
            return storable(value)
        case dict():
            return {storable(name): storable_json(each) for name, each in value.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        case list():
            return [storable_json(each) for each in value]  # pyright: ignore[reportUnknownVariableType]
        case _:
            return value


def _refuse_unreadable(text: str) -> str:
    if not is_storable(text):
        raise ValueError("contains a character that is no text")
    return text


def _as_far_as_readable(value: object) -> object:
    return storable(value) if isinstance(value, str) else value


Said = Annotated[str, AfterValidator(_refuse_unreadable)]
"""By a person, who can write it again."""
Told = Annotated[str, BeforeValidator(_as_far_as_readable)]
"""By a provider or a program."""

WholeNumber = Annotated[int, Strict()]
"""Of won or credits, as a person writes it: neither `"4000"` nor `4000.0` nor `true`."""
