"""Faults that tests order in advance. The word before or after says whether the request had its effect."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from dev.standins.store import Store


class FaultKind(StrEnum):
    TIMEOUT_BEFORE = "timeout_before"
    TIMEOUT_AFTER = "timeout_after"
    RESET_BEFORE = "reset_before"
    RESET_AFTER = "reset_after"
    TOO_MANY = "429"
    SERVER_ERROR = "500"
    """Of a gateway, before the endpoint ran: nothing remembered."""
    SERVER_ERROR_SAVED = "500_saved"
    """Of the endpoint, without effect: the idempotency key answers 500 for ever."""
    SERVER_ERROR_AFTER = "500_after"
    """With effect: only a look-up finds it."""
    SLOW = "slow"
    SLOW_AFTER = "slow_after"
    """Effect and webhook at once, the answer late."""


class Fault(BaseModel):
    model_config = ConfigDict(extra="forbid")

    match: Annotated[str, Field(pattern=r"^(GET|POST) /\S*$")]
    """Method and path; `*` stands for one part of the path."""
    kind: FaultKind
    times: Annotated[int, Field(ge=1)] = 1
    skip: Annotated[int, Field(ge=0)] = 0
    """So many matching requests pass first."""
    delay_ms: Annotated[int, Field(ge=0)] = 60_000


def order_fault(store: Store, fault: Fault) -> None:
    store.db.execute(
        "insert into faults (match, kind, times, skip, delay_ms) values (?, ?, ?, ?, ?)",
        (fault.match, fault.kind, fault.times, fault.skip, fault.delay_ms),
    )


def ordered_faults(store: Store) -> list[Fault]:
    rows = store.db.execute("select match, kind, times, skip, delay_ms from faults order by seq")
    return [Fault(**dict(row)) for row in rows]


def take_fault(store: Store, method: str, path: str) -> Fault | None:
    """The oldest fault that matches, used up by one; a fault that still skips is counted down and passed over."""
    with store.transaction():
        for row in store.db.execute("select * from faults order by seq").fetchall():
            if not _matches(row["match"], method, path):
                continue
            if row["skip"]:
                store.db.execute("update faults set skip = skip - 1 where seq = ?", (row["seq"],))
                continue
            if row["times"] > 1:
                store.db.execute("update faults set times = times - 1 where seq = ?", (row["seq"],))
            else:
                store.db.execute("delete from faults where seq = ?", (row["seq"],))
            return Fault(match=row["match"], kind=row["kind"], delay_ms=row["delay_ms"])
    return None


def _matches(pattern: str, method: str, path: str) -> bool:
    wanted_method, _, wanted_path = pattern.partition(" ")
    wanted, given = wanted_path.split("/"), path.split("/")
    return (
        wanted_method == method
        and len(wanted) == len(given)
        and all(part in ("*", name) for part, name in zip(wanted, given, strict=True))
    )
