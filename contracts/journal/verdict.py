"""What a verification found: whether a journal is whole and as it was sealed, and if not, what is wrong where."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, NamedTuple

FAULTS_MAX = 1000
"""A file of a million foreign lines has a million faults; nobody reads on."""


class FaultKind(StrEnum):
    CHANGED = "changed"
    """The content of a row or line is not what was sealed."""
    REMOVED = "removed"
    INSERTED = "inserted"
    MOVED = "moved"
    DUPLICATED = "duplicated"
    TRUNCATED = "truncated"
    """The file ends before its end line."""
    WRONG_BLOCK = "wrong_block"
    """A block says something else than its rows or than the block before it."""
    WRONG_SIGNATURE = "wrong_signature"
    """Missing, not right, or of another key than expected."""
    NOT_CHAINED = "not_chained"
    """The block that was expected is not in the chain."""
    RESAVED = "resaved"
    """A spreadsheet or an editor has written the file anew, in its own spelling."""


class Fault(NamedTuple):
    kind: FaultKind
    line: int | None = None
    """In the file, from 1; None for what is not in it."""
    position: int | None = None
    """Of a row."""
    last_position: int | None = None
    """Of several rows: the last one."""
    transfer_id: str | None = None
    """As the faulty row itself says."""
    height: int | None = None
    """Of a block."""
    detail: str = ""
    """In English, for engineers."""

    @property
    def document(self) -> dict[str, Any]:
        return {name: value for name, value in self._asdict().items() if value not in (None, "")}


class Verdict(NamedTuple):
    rows: int
    blocks: int
    first_position: int
    last_position: int
    """0: no row."""
    last_block: str
    """Hash in hex: to be noted down, and expected in a later export."""
    exported_at: str
    key_id: str | None
    """That the file says it is signed by."""
    origin_proven: bool
    """A key that the reader trusts has signed it; otherwise only its integrity is proven."""
    unsigned_blocks: int
    """Sealed before the platform had a key: only the first signature after them vouches for them."""
    resaved: str
    """Traces of a program that has saved the file again. Without faults, the content is proven all the same."""
    faults: tuple[Fault, ...]
    faults_total: int

    @property
    def ok(self) -> bool:
        return self.faults_total == 0

    @property
    def document(self) -> dict[str, Any]:
        faults = [fault.document for fault in self.faults]
        return {"ok": self.ok, **self._asdict(), "faults": faults}
