"""The one base of every value that crosses a boundary: frozen, closed to unknown fields, JSON both ways."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Contract(BaseModel):
    """Immutable value. Late fields need a default that keeps recorded workflow histories replaying."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Words(Contract):
    """What a person reads, in both languages."""

    en: str
    ko: str

    def to(self, locale: str) -> str:
        return self.ko if locale.startswith("ko") else self.en
