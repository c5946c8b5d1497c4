"""Verifies a journal file, line by line, with nothing but the file and perhaps a public key.

As long as all is well a row costs one hash. Only the rows of a block whose chain does not hold are looked at closely
(`diagnosis.py`). Memory is that of one block.

A program that saves the file again may put a byte order mark before it and CRLF at the end of its lines. Neither is
ever part of a journal, so they are taken off, and what is left is verified like any other; anything else that such a
program does to the spelling cannot be undone, and the file is refused with the one fault RESAVED.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

from contracts.journal.chain import FORMAT, GENESIS, Block, is_hash
from contracts.journal.diagnosis import Found, diagnose
from contracts.journal.files import End, Header, format_of, is_respelt
from contracts.journal.verdict import FAULTS_MAX, Fault, FaultKind, Verdict

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
NO_END = "there is no end line, which alone says how many rows and blocks should follow"


def verify(
    lines: Iterable[bytes], *, trusted: frozenset[str] = frozenset(), expected_block: str | None = None
) -> Verdict:
    """`lines` with their line breaks. `trusted`: ids of the keys that must have signed it; empty: none is known, so
    only integrity is proven. `expected_block`: hash of a block that the file must contain, or begin right after."""
    verifier = Verifier(trusted=trusted, expected_block=expected_block)
    for line in lines:
        verifier.feed(line)
    return verifier.finish()


class Verifier:
    """The same for lines that come one by one."""

    def __init__(self, *, trusted: frozenset[str] = frozenset(), expected_block: str | None = None) -> None:
        self._trusted = trusted
        self._expected_block = expected_block
        self._format = format_of(b"{")
        self._digest = sha256()
        self._line = 0
        self._resaved: list[str] = []
        """Traces of a program that has saved the file again."""
        self._refused = self._crlf = False
        self._header: Header | None = None
        self._begun = self._ended = False
        self._key_id: str | None = None
        self._pending: list[bytes] = []
        """Lines since the last statement: rows, it is hoped."""
        self._pending_from = 1
        """Number of the first of them."""
        # Where the chain of rows stands, and the one of blocks.
        self._first_position = self._position = 1
        self._previous = GENESIS
        self._height: int | None = 0
        """None: an export from the middle, until its first block."""
        self._block_hashes = {GENESIS.hex()}
        """What the next block may say that it follows; after a changed block there are two."""
        self._block_start = 1

        self._rows = self._blocks = self._unsigned_blocks = 0
        self._signed: bool | None = None
        """Whether the last block was."""
        self._expected_seen = expected_block is None
        self._faults: list[Fault] = []
        self._faults_total = 0
        self._strays: list[Found] = []
        self._gaps: list[tuple[int, int]] = []

    def feed(self, line: bytes) -> None:
        self._line += 1
        if self._line == 1:
            line = self._take_first(line)
        if self._refused:
            return
        if self._crlf and line.endswith(b"\r\n"):
            line = line[:-2] + b"\n"
        if line.startswith(self._format.row_start) and not self._ended:
            self._pending.append(line)
        else:
            self._take_other(line)
            if len(self._pending) < 2:
                self._pending_from = self._line + 1 - len(self._pending)

    def _take_first(self, line: bytes) -> bytes:
        if line.startswith(BYTE_ORDER_MARK):
            self._resaved.append("a byte order mark")
            line = line.removeprefix(BYTE_ORDER_MARK)
        self._format = format_of(line)
        if line.endswith(b"\r\n"):
            self._resaved.append("CRLF line ends")
            self._crlf = True
        if is_respelt(line, self._format):
            self._resaved.append("other separators, quotes or characters")
            self._refused = True
        return line

    def finish(self) -> Verdict:
        if self._refused:
            self._add(FaultKind.RESAVED, detail=self._traces)
            return self._verdict()
        self._close_all()
        if self._faults and self._resaved:
            # Said before all others: it may well be their cause.
            self._faults.insert(0, Fault(FaultKind.RESAVED, detail=self._traces))
            self._faults_total += 1
        return self._verdict()

    def _close_all(self) -> None:
        if self._pending and not self._pending[-1].endswith(b"\n"):
            self._pending.pop()
        self._close_rows(None)
        self._settle_strays()
        if not self._ended:
            self._add(FaultKind.TRUNCATED, position=self._position - 1 or None, detail=NO_END)
        if not self._begun:
            self._add(FaultKind.REMOVED, detail="there is no header line")
        if self._trusted and self._signed is False:
            self._add(FaultKind.WRONG_SIGNATURE, height=self._height, detail="the last block is not signed")
        if not self._expected_seen:
            self._add(FaultKind.NOT_CHAINED, detail=f"no block {self._expected_block}")

    def _verdict(self) -> Verdict:
        return Verdict(
            rows=self._rows,
            blocks=self._blocks,
            first_position=self._first_position,
            last_position=self._position - 1,
            last_block=min(self._block_hashes),
            exported_at=self._header.exported_at if self._header else "",
            key_id=self._key_id,
            origin_proven=self._key_id in self._trusted and not self._faults_total,
            unsigned_blocks=self._unsigned_blocks,
            resaved=self._traces,
            faults=tuple(self._faults),
            faults_total=self._faults_total,
        )

    # ---- lines that are no rows

    def _take_other(self, line: bytes) -> None:
        if self._ended:
            self._add(FaultKind.INSERTED, self._line, detail="after the end line")
            return
        opening = self._format.opening
        if self._line == 1 and opening:
            if line != opening:
                self._add(FaultKind.CHANGED, 1, detail="not the names of the columns")
            self._digest.update(line)
            return
        statement = self._format.read_statement(line)
        if self._line == (2 if opening else 1):
            if isinstance(statement, Header):
                self._take_header(statement)
            else:
                self._add(FaultKind.CHANGED, self._line, detail="not a header line")
            self._begun = True
            self._digest.update(line)
        elif isinstance(statement, Block):
            self._close_rows(statement)
            self._take_block(statement)
            self._digest.update(line)
        elif isinstance(statement, End):
            self._close_rows(None, ends_at=statement)
            self._take_end(statement)
        elif line.startswith(self._format.start_of("block")):
            self._close_rows(None)
            self._pass_broken_block()
            self._digest.update(line)
        elif line.startswith(self._format.start_of("end")) and line.endswith(b"\n"):
            self._close_rows(None)
            self._ended = True
            self._add(FaultKind.CHANGED, self._line, detail="the end line cannot be read")
        else:
            # It may be a row whose first bytes were changed.
            self._pending.append(line)

    def _take_header(self, header: Header) -> None:
        self._header, self._key_id = header, header.key_id
        try:
            self._previous = bytes.fromhex(header.previous_hash)
        except ValueError:
            self._add(FaultKind.CHANGED, self._line, detail="previous_hash")
        if header.format != FORMAT:
            self._add(FaultKind.CHANGED, self._line, detail=f"format {header.format} is not known here")
        self._position = self._first_position = self._block_start = header.first_position
        self._block_hashes = {header.previous_block}
        self._height = 0 if header.previous_block == GENESIS.hex() else None
        self._expected_seen |= header.previous_block == self._expected_block

    def _take_end(self, end: End) -> None:
        self._ended = True
        missing = end.blocks - self._blocks
        if missing > 0 and end.last_block not in self._block_hashes:
            more = f" and {missing - 1} more" if missing > 1 else ""
            self._add(FaultKind.REMOVED, height=(self._height or 0) + 1, detail=f"before the end line{more}")
        if self._is_clean and self._position != self._block_start:
            # Even if the end line counts them: rows that no block closes have never been sealed.
            self._add(
                FaultKind.REMOVED, height=(self._height or 0) + 1, detail="no block closes the last rows"
            )
        if self._is_clean:
            found = (self._rows, self._blocks, self._position - 1)
            if found != (end.rows, end.blocks, end.last_position) or {end.last_block} != self._block_hashes:
                self._add(FaultKind.CHANGED, self._line, detail="the end line counts otherwise")
            elif end.digest != self._digest.hexdigest():
                self._add(FaultKind.CHANGED, detail="a header or block line, or the digest in the end line")
        says = self._header.key_id if self._header else end.key_id
        is_right = end.is_signed if end.key_id or end.signature else not self._trusted
        if not is_right or end.key_id != says or (self._trusted and end.key_id not in self._trusted):
            self._add(FaultKind.WRONG_SIGNATURE, self._line, detail="of the end line")

    # ---- blocks

    def _take_block(self, block: Block) -> None:
        if not block.is_sound:
            self._add(
                FaultKind.WRONG_BLOCK, self._line, height=block.height, detail="not the hash of its content"
            )
            self._block_hashes = {block.hash, block.content_hash}
            self._height = None if self._height is None else self._height + 1
            self._block_start = self._position
            self._blocks += 1
            return
        if self._height is not None and block.height <= self._height:
            again = self._block_hashes == {block.hash}
            kind = FaultKind.DUPLICATED if again else FaultKind.MOVED
            self._add(kind, self._line, height=block.height)
            return
        if self._height is not None and block.height > self._height + 1:
            self._add(FaultKind.REMOVED, height=self._height + 1, detail=f"before block {block.height}")
        elif block.previous not in self._block_hashes:
            self._add(FaultKind.WRONG_BLOCK, self._line, height=block.height, detail="follows another block")
        elif (block.first_position, block.first_position + block.rows, block.last_hash) != (
            self._block_start,
            self._position,
            self._previous.hex(),
        ):
            self._add(FaultKind.WRONG_BLOCK, self._line, height=block.height, detail="not of these rows")
        self._check_signature(block)
        self._height, self._block_hashes = block.height, {block.hash}
        self._block_start = self._position = block.first_position + block.rows
        self._previous = bytes.fromhex(block.last_hash) if is_hash(block.last_hash) else self._previous
        self._expected_seen |= block.hash == self._expected_block
        self._blocks += 1

    def _check_signature(self, block: Block) -> None:
        """Blocks without one may only stand before the first that has one."""
        unsigned = block.key_id is None and block.signature is None
        if unsigned and not self._signed:
            self._signed = False
            self._unsigned_blocks += 1
            return
        if not block.is_signed or (self._trusted and block.key_id not in self._trusted):
            self._add(FaultKind.WRONG_SIGNATURE, self._line, height=block.height)
        self._signed = True

    def _pass_broken_block(self) -> None:
        self._add(FaultKind.CHANGED, self._line, detail="a block line cannot be read")
        self._height, self._block_start = None, self._position
        self._blocks += 1

    # ---- rows

    def _close_rows(self, block: Block | None, *, ends_at: End | None = None) -> None:
        """Check the rows that have come since the last statement. `block` or `ends_at` is the one that follows them, if
        it can be read: both say which row was the last one."""
        lines, self._pending = self._pending, []
        self._digest.update(b"".join(lines))
        self._rows += len(lines)
        closes = block is not None and block.is_sound and block.height > (self._height or 0)
        end = block.first_position + block.rows if closes and block is not None else None
        if ends_at is not None:
            end = max(ends_at.last_position + 1, self._position)
        if (reached := self._follow(lines)) is not None and end in (None, reached[0]):
            self._position, self._previous = reached
            return
        found = [
            Found(number, self._format.read_row(each))
            for number, each in enumerate(lines, self._pending_from)
        ]
        if end is None:
            stated = [each.row.position for each in found[-1:] if each.row is not None]
            end = max([self._position, *(position + 1 for position in stated)])
        findings = diagnose(found, self._position, end, self._previous)
        self._position = end
        self._previous = bytes.fromhex(block.last_hash) if closes and block else findings.last_hash
        self._strays += findings.strays
        self._gaps += findings.gaps
        for fault in findings.faults:
            self._add(*fault)

    def _follow(self, lines: list[bytes]) -> tuple[int, bytes] | None:
        """The next position and the last hash; None when some line is not the next row."""
        position, previous, read = self._position, self._previous, self._format.read_row
        for line in lines:
            row = read(line)
            if row is None or row.position != position:
                return None
            previous = sha256(previous + row.line).digest()
            if previous.hex() != row.hash:
                return None
            position += 1
        return position, previous

    def _settle_strays(self) -> None:
        """A row that is missing in one block and stands in another was moved."""
        for stray in self._strays:
            assert stray.row is not None
            position = stray.row.position
            gap = next(((first, last) for first, last in self._gaps if first <= position <= last), None)
            if gap is not None:
                self._gaps.remove(gap)
                parts = ((gap[0], position - 1), (position + 1, gap[1]))
                self._gaps += [(first, last) for first, last in parts if first <= last]
                self._add(*stray.fault(FaultKind.MOVED))
            elif self._first_position <= position < self._position:
                self._add(*stray.fault(FaultKind.DUPLICATED))
            else:
                self._add(*stray.fault(FaultKind.INSERTED))
        for first, last in sorted(self._gaps):
            self._add(FaultKind.REMOVED, position=first, last_position=last if last > first else None)

    @property
    def _traces(self) -> str:
        return ", ".join(self._resaved)

    @property
    def _is_clean(self) -> bool:
        return not (self._faults_total or self._gaps or self._strays)

    def _add(
        self,
        kind: FaultKind,
        line: int | None = None,
        position: int | None = None,
        last_position: int | None = None,
        transfer_id: str | None = None,
        height: int | None = None,
        detail: str = "",
    ) -> None:
        self._faults_total += 1
        if len(self._faults) < FAULTS_MAX:
            self._faults.append(Fault(kind, line, position, last_position, transfer_id, height, detail))
