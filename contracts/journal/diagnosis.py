"""What happened to the rows of a block whose chain does not hold.

Every row says its own position and hash. So each is tried where it says that it belongs: its hash must follow from the
hash of the row before and its own content. What fits nowhere was changed or inserted, what nobody fills was removed,
and what fits but stands elsewhere was moved.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field

from contracts.journal.chain import row_hash
from contracts.journal.files import Row
from contracts.journal.verdict import Fault, FaultKind

_ID = re.compile(rb'"id":"([^"]{1,64})"')


@dataclass(frozen=True)
class Found:
    """A line where a row was expected."""

    line: int
    row: Row | None
    """None: it cannot be read."""

    def fault(self, kind: FaultKind, position: int | None = None) -> Fault:
        if self.row is None:
            return Fault(kind, self.line, position)
        return Fault(kind, self.line, position or self.row.position, transfer_id=transfer_id(self.row))


@dataclass
class Findings:
    faults: list[Fault] = field(default_factory=list[Fault])
    strays: list[Found] = field(default_factory=list[Found])
    """Rows of positions outside this block: they may be missing elsewhere."""
    gaps: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    """First and last position of each run that is missing."""
    last_hash: bytes = b""
    """To go on from, where the block itself does not say."""


def transfer_id(row: Row) -> str | None:
    found = _ID.search(row.line)
    return found[1].decode(errors="replace") if found else None


def diagnose(found: Sequence[Found], start: int, end: int, previous: bytes) -> Findings:
    """Of the rows that should be `start` up to but not including `end`, after the row whose hash is `previous`."""
    return _Diagnosis(found, start, end, previous).findings()


class _Diagnosis:
    def __init__(self, found: Sequence[Found], start: int, end: int, previous: bytes) -> None:
        self._found = found
        self._start, self._end = start, end
        self._trusted: dict[int, bytes] = {start - 1: previous}
        """Hash of each row that was identified, to try the next one against."""
        self._placed: dict[int, Found] = {}
        self._unplaced: list[Found] = []
        self._result = Findings()

    def findings(self) -> Findings:
        candidates: dict[int, list[Found]] = {}
        for each in self._found:
            if each.row is not None and self._start <= each.row.position < self._end:
                candidates.setdefault(each.row.position, []).append(each)
            else:
                self._unplaced.append(each)
        for position in sorted(candidates):
            self._place(position, candidates[position], candidates.get(position + 1, []))
        for each in self._unplaced:
            self._place_elsewhere(each)
        self._find_moved()
        self._result.gaps = self._gaps()
        last = max(self._placed, default=self._start - 1)
        self._result.last_hash = self._trusted[last]
        return self._result

    def _place(self, position: int, candidates: list[Found], following: list[Found]) -> None:
        """Choose the row of one position, and say what the others are."""
        previous = self._trusted.get(position - 1)
        chosen = next((each for each in candidates if previous and _follows(previous, each)), None)
        if chosen is None:
            # A changed row: the one whose stated hash the next row follows, or whichever comes first.
            stated = [
                (each, bytes.fromhex(each.row.hash)) for each in candidates if each.row and _hex(each.row)
            ]
            chosen = next(
                (each for each, hash_ in stated if any(_follows(hash_, later) for later in following)),
                candidates[0],
            )
            if previous is not None:
                self._result.faults.append(chosen.fault(FaultKind.CHANGED))
        for each in candidates:
            if each.row == chosen.row and each is not chosen:
                self._result.faults.append(each.fault(FaultKind.DUPLICATED))
            elif each is not chosen:
                self._unplaced.append(each)
        self._placed[position] = chosen
        self._trusted[position] = self._hash_of(chosen, previous, following)

    def _hash_of(self, chosen: Found, previous: bytes | None, following: list[Found]) -> bytes:
        """The stated one, unless it is what was changed: then the next row follows the one of the content."""
        assert chosen.row is not None
        if previous is not None:
            by_content = row_hash(previous, chosen.row.line)
            if not _hex(chosen.row) or any(_follows(by_content, later) for later in following):
                return by_content
        return bytes.fromhex(chosen.row.hash) if _hex(chosen.row) else b""

    def _place_elsewhere(self, stray: Found) -> None:
        for first, _ in self._gaps():
            previous = self._trusted.get(first - 1)
            if previous is not None and _follows(previous, stray):
                # The row itself is right, and only its position was rewritten.
                self._fill(first, stray)
                return
        before = self._position_before(stray)
        if any(first == before + 1 for first, _ in self._gaps()) and not self._is_of_another_block(stray):
            self._fill(before + 1, stray)
        elif stray.row is not None and self._is_of_another_block(stray):
            self._result.strays.append(stray)
        else:
            self._result.faults.append(stray.fault(FaultKind.INSERTED))

    def _fill(self, position: int, stray: Found) -> None:
        self._result.faults.append(stray.fault(FaultKind.CHANGED, position))
        self._placed[position] = stray
        if stray.row is not None and _hex(stray.row):
            self._trusted[position] = bytes.fromhex(stray.row.hash)
        else:
            self._trusted[position] = b""

    def _is_of_another_block(self, stray: Found) -> bool:
        return stray.row is not None and not self._start <= stray.row.position < self._end

    def _position_before(self, stray: Found) -> int:
        """Of the nearest identified row that stands before `stray`."""
        lines = [(each.line, position) for position, each in self._placed.items() if each.line < stray.line]
        return max(lines, default=(0, self._start - 1))[1]

    def _gaps(self) -> list[tuple[int, int]]:
        gaps: list[tuple[int, int]] = []
        expected = self._start
        for position in [*sorted(self._placed), self._end]:
            if position > expected:
                gaps.append((expected, position - 1))
            expected = position + 1
        return gaps

    def _find_moved(self) -> None:
        """All but the longest run of rows in rising order: the fewest that must have been moved."""
        in_file = sorted(self._placed.items(), key=lambda each: each[1].line)
        in_order = _longest_rising([position for position, _ in in_file])
        for position, each in in_file:
            if position not in in_order:
                self._result.faults.append(each.fault(FaultKind.MOVED, position))


def _hex(row: Row) -> bool:
    return re.fullmatch("[0-9a-f]{64}", row.hash) is not None


def _follows(previous: bytes, found: Found) -> bool:
    return found.row is not None and row_hash(previous, found.row.line).hex() == found.row.hash


def _longest_rising(numbers: Sequence[int]) -> set[int]:
    """Patience sorting: `ends[n]` is the smallest number that a rising run of n + 1 can end with."""
    ends: list[int] = []
    before: dict[int, int | None] = {}
    for number in numbers:
        place = bisect_left(ends, number)
        before[number] = ends[place - 1] if place else None
        ends[place : place + 1] = [number]
    chosen: set[int] = set()
    at = ends[-1] if ends else None
    while at is not None:
        chosen.add(at)
        at = before[at]
    return chosen
