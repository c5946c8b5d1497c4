"""Whatever is done to a line of an exported journal is found, and named where it was done."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.journal.chain import NULLABLE, Transfer, line_of
from contracts.journal.files import FORMATS, Csv, Format, Row
from contracts.journal.verdict import Fault, FaultKind
from contracts.journal.verify import verify
from contracts.signing import canonical_json
from tests.journal.a_journal import KEY, OTHER_KEY, a_file, a_transfer

TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=8)
IDS = st.one_of(st.none(), st.sampled_from(["job_1", "pur_2"]))


@dataclass(frozen=True)
class Journal:
    format: Format
    lines: list[bytes]

    def row(self, index: int) -> Row | None:
        line = self.lines[index]
        return self.format.read_row(line) if line.startswith(self.format.row_start) else None


@st.composite
def journals(draw: st.DrawFn, signed: bool | None = None) -> Journal:
    format = FORMATS[draw(st.sampled_from(sorted(FORMATS)))]
    sizes = draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    blocks: list[list[Transfer]] = []
    for size in sizes:
        first = sum(map(len, blocks))
        blocks.append(
            [a_transfer(first + n, reason=draw(TEXT), step=draw(TEXT), job_id=draw(IDS)) for n in range(size)]
        )
    key = KEY if (draw(st.booleans()) if signed is None else signed) else None
    return Journal(format, a_file(format, *blocks, key=key, block_key=key))


def named(faults: tuple[Fault, ...], kind: FaultKind, position: int) -> bool:
    return any(
        fault.kind is kind
        and (fault.position or 0) <= position <= (fault.last_position or fault.position or 0)
        for fault in faults
    )


@settings(deadline=None)
@given(journals())
def test_an_untouched_journal_is_whole(journal: Journal) -> None:
    verdict = verify(journal.lines)
    assert verdict.ok, verdict
    rows = [journal.row(index) for index in range(len(journal.lines)) if journal.row(index)]
    assert (verdict.rows, verdict.first_position, verdict.last_position) == (len(rows), 1, len(rows))


@settings(deadline=None)
@given(journals(), st.data())
def test_a_changed_byte_is_found_and_its_row_named(journal: Journal, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(journal.lines) - 1))
    line = bytearray(journal.lines[index])
    at = data.draw(st.integers(0, len(line) - 2))
    line[at] ^= data.draw(st.integers(1, 255).filter(lambda flip: line[at] ^ flip not in b"\n"))
    verdict = verify([*journal.lines[:index], bytes(line), *journal.lines[index + 1 :]])
    assert not verdict.ok
    row = journal.row(index)
    if row is not None:
        assert named(verdict.faults, FaultKind.CHANGED, row.position), verdict
        assert [fault.kind for fault in verdict.faults] == [FaultKind.CHANGED], verdict


@settings(deadline=None)
@given(journals(), st.data())
def test_a_removed_line_is_found_and_its_position_named(journal: Journal, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(journal.lines) - 1))
    verdict = verify([*journal.lines[:index], *journal.lines[index + 1 :]])
    assert not verdict.ok
    row = journal.row(index)
    if row is not None:
        assert [(fault.kind, fault.position) for fault in verdict.faults] == [
            (FaultKind.REMOVED, row.position)
        ]
    elif index == len(journal.lines) - 1:
        assert [fault.kind for fault in verdict.faults] == [FaultKind.TRUNCATED]


@settings(deadline=None)
@given(journals(), st.data())
def test_several_removed_rows_are_named_as_a_range(journal: Journal, data: st.DataObject) -> None:
    rows = [(index, row) for index in range(len(journal.lines)) if (row := journal.row(index))]
    first = data.draw(st.integers(0, len(rows) - 1))
    last = data.draw(st.integers(first, len(rows) - 1))
    gone = {index for index, _ in rows[first : last + 1]}
    verdict = verify([line for index, line in enumerate(journal.lines) if index not in gone])
    for _, row in rows[first : last + 1]:
        assert named(verdict.faults, FaultKind.REMOVED, row.position), verdict
    assert {fault.kind for fault in verdict.faults} == {FaultKind.REMOVED}


@settings(deadline=None)
@given(journals(), st.data())
def test_a_repeated_line_is_found_and_named(journal: Journal, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(journal.lines) - 1))
    to = data.draw(st.integers(1, len(journal.lines)))
    verdict = verify([*journal.lines[:to], journal.lines[index], *journal.lines[to:]])
    assert not verdict.ok
    row = journal.row(index)
    if row is not None and 2 < to < len(journal.lines):
        kinds = {fault.kind for fault in verdict.faults}
        assert kinds <= {FaultKind.DUPLICATED, FaultKind.MOVED}, verdict
        assert any(fault.position == row.position for fault in verdict.faults), verdict


@settings(deadline=None)
@given(journals(), st.data())
def test_an_inserted_row_is_found_and_named(journal: Journal, data: st.DataObject) -> None:
    first = len([journal.format.opening]) if journal.format.opening else 0
    to = data.draw(st.integers(first + 1, len(journal.lines) - 1))
    position = data.draw(st.integers(1, 30))
    forged = journal.format.row(position, "ab" * 32, a_transfer(77))
    verdict = verify([*journal.lines[:to], forged, *journal.lines[to:]])
    assert not verdict.ok
    kinds = {fault.kind for fault in verdict.faults}
    assert kinds <= {FaultKind.INSERTED, FaultKind.DUPLICATED}, verdict
    assert any(fault.line == to + 1 for fault in verdict.faults), verdict
    assert any(fault.transfer_id == a_transfer(77).id for fault in verdict.faults), verdict


@settings(deadline=None)
@given(journals(), st.data())
def test_two_swapped_rows_are_found_and_named_as_moved(journal: Journal, data: st.DataObject) -> None:
    rows = [index for index in range(len(journal.lines)) if journal.row(index)]
    if len(rows) < 2:
        return
    one, two = sorted(data.draw(st.lists(st.sampled_from(rows), min_size=2, max_size=2, unique=True)))
    lines = list(journal.lines)
    lines[one], lines[two] = lines[two], lines[one]
    verdict = verify(lines)
    swapped = {row.position for index in (one, two) if (row := journal.row(index))}
    assert {fault.kind for fault in verdict.faults} == {FaultKind.MOVED}, verdict
    assert swapped & {fault.position for fault in verdict.faults}, verdict


@settings(deadline=None)
@given(journals(), st.data())
def test_a_journal_cut_off_anywhere_is_found(journal: Journal, data: st.DataObject) -> None:
    content = b"".join(journal.lines)
    cut = content[: data.draw(st.integers(0, len(content) - 1))]
    verdict = verify(cut.splitlines(keepends=True) if b"\r" not in cut else split(cut))
    assert FaultKind.TRUNCATED in [fault.kind for fault in verdict.faults], verdict
    assert {fault.kind for fault in verdict.faults} <= {
        FaultKind.TRUNCATED,
        FaultKind.REMOVED,  # the header, when not even that is there
        FaultKind.CHANGED,
    }


def split(content: bytes) -> list[bytes]:
    return [line + b"\n" for line in content.split(b"\n")]


@settings(deadline=None)
@given(journals(signed=True), st.data())
def test_the_rows_of_a_last_block_that_is_gone_are_named_by_the_end_line(
    journal: Journal, data: st.DataObject
) -> None:
    """With the line of the block, and some rows of it left or none."""
    blocks = [index for index, line in enumerate(journal.lines) if is_block(journal.format, line)]
    first = blocks[-2] + 1 if len(blocks) > 1 else blocks[-1] - rows_before(journal, blocks[-1])
    rows = range(first, blocks[-1])
    gone = data.draw(st.sets(st.sampled_from(rows), min_size=1))
    verdict = verify([line for index, line in enumerate(journal.lines) if index not in {*gone, blocks[-1]}])
    assert {fault.kind for fault in verdict.faults} == {FaultKind.REMOVED}, verdict
    for index in rows:
        row = journal.row(index)
        assert row is not None
        assert named(verdict.faults, FaultKind.REMOVED, row.position) == (index in gone), verdict
    assert [fault.height for fault in verdict.faults if fault.height] == [len(blocks)], verdict


def is_block(format: Format, line: bytes) -> bool:
    return line.startswith(format.start_of("block"))


def rows_before(journal: Journal, index: int) -> int:
    return sum(journal.row(at) is not None for at in range(index))


def resaved(lines: list[bytes], *, mark: bool, crlf: bool) -> list[bytes]:
    end = b"\r\n" if crlf else b"\n"
    first, *rest = [line.removesuffix(b"\n") + end for line in lines]
    return [(b"\xef\xbb\xbf" if mark else b"") + first, *rest]


WAYS = st.sampled_from([(True, False), (False, True), (True, True)])


@settings(deadline=None)
@given(journals(), WAYS)
def test_a_byte_order_mark_and_crlf_prove_the_same_and_are_told(
    journal: Journal, way: tuple[bool, bool]
) -> None:
    mark, crlf = way
    verdict = verify(resaved(journal.lines, mark=mark, crlf=crlf))
    assert verdict.ok, verdict
    assert ("mark" in verdict.resaved, "CRLF" in verdict.resaved) == way
    assert verdict == verify(journal.lines)._replace(resaved=verdict.resaved)


@settings(deadline=None)
@given(journals(), WAYS, st.data())
def test_what_else_was_changed_in_a_file_saved_again_is_named_after_that(
    journal: Journal, way: tuple[bool, bool], data: st.DataObject
) -> None:
    rows = [index for index in range(len(journal.lines)) if journal.row(index)]
    index = data.draw(st.sampled_from(rows))
    line = bytearray(journal.lines[index])
    line[-10] ^= 1
    edited = [*journal.lines[:index], bytes(line), *journal.lines[index + 1 :]]
    verdict = verify(resaved(edited, mark=way[0], crlf=way[1]))
    assert verdict.faults[0].kind is FaultKind.RESAVED
    assert verdict.faults[1:] == verify(edited).faults
    assert verdict.faults_total == len(verdict.faults)


@pytest.mark.parametrize(
    "respell",
    [
        lambda text: text.replace(",", ";"),
        lambda text: text.replace(",", "\t"),
        lambda text: ",".join(f'"{word}"' for word in text.removesuffix("\n").split(",")) + "\n",
        lambda text: "\ufeff" + text.replace(",", ";").replace("\n", "\r\n"),
    ],
)
def test_a_spreadsheets_own_spelling_is_refused_and_called_so(respell: Callable[[str], str]) -> None:
    content = b"".join(a_file(FORMATS["csv"], [a_transfer(n) for n in range(3)]))
    verdict = verify(respell(content.decode()).encode().splitlines(keepends=True))
    assert [fault.kind for fault in verdict.faults] == [FaultKind.RESAVED]


def test_a_file_saved_again_as_utf_16_is_called_so() -> None:
    content = b"".join(a_file(FORMATS["csv"], [a_transfer(0)])).decode().encode("utf-16")
    verdict = verify(split(content))
    assert [fault.kind for fault in verdict.faults] == [FaultKind.RESAVED]


@settings(deadline=None)
@given(st.data())
def test_a_row_that_is_read_is_spelt_as_it_would_be_written(data: st.DataObject) -> None:
    """Rows without anything special take a shorter way, which must not accept more, nor read anything else."""
    format = FORMATS["csv"]
    texts = [data.draw(st.one_of(st.just("x"), TEXT)) for _ in range(3)]
    sealed = a_transfer(3, reason=texts[0], actor=texts[1], job_id=texts[2] or None)
    line = bytearray(format.row(7, "ab" * 32, sealed))
    assert format.read_row(bytes(line)) == Row(7, "ab" * 32, line_of(sealed))
    at = data.draw(st.integers(0, len(line) - 1))
    line[at : at + 1] = data.draw(st.binary(max_size=2))
    row = format.read_row(bytes(line))
    if row is not None:
        again = by_the_long_way(bytes(line))
        assert row.line == line_of(again)
        assert format.row(row.position, row.hash, again) == bytes(line)


def by_the_long_way(line: bytes) -> Transfer:
    """A line of CSV, read as docs/finance.md tells an outsider to."""
    [said] = csv.DictReader([line.decode()], Csv.columns)
    plain = {name: re.sub(r"\\(.)", unescape, text.removeprefix("'")) for name, text in said.items()}
    return Transfer(**{name: plain[name] or (None if name in NULLABLE else "") for name in Transfer._fields})  # pyright: ignore


def unescape(found: re.Match[str]) -> str:
    return {"n": "\n", "r": "\r", "\\": "\\"}.get(found[1], found[0])


@pytest.mark.parametrize("name", FORMATS)
def test_whoever_edits_a_row_and_recomputes_every_hash_is_betrayed_by_the_signatures(name: str) -> None:
    transfers = [a_transfer(number) for number in range(6)]
    edited = [transfers[0]._replace(amount="999999"), *transfers[1:]]
    original = a_file(FORMATS[name], transfers[:3], transfers[3:])

    recomputed = a_file(FORMATS[name], edited[:3], edited[3:], block_key=None)
    stolen = [FORMATS[name].read_statement(line) for line in original]
    forged = list(recomputed)
    for index, statement in enumerate(stolen):
        if statement is not None and "signature" in statement._fields:
            mine = FORMATS[name].read_statement(recomputed[index])
            assert mine is not None
            forged[index] = FORMATS[name].statement(
                mine._replace(key_id=statement.key_id, signature=statement.signature)  # pyright: ignore
            )
    kinds = {fault.kind for fault in verify(forged).faults}
    assert FaultKind.WRONG_SIGNATURE in kinds

    # With a key of their own it all fits, and only the reader's key shows whose it is.
    own = a_file(FORMATS[name], edited[:3], edited[3:], key=OTHER_KEY, block_key=OTHER_KEY)
    assert (verify(own).ok, verify(own).origin_proven) == (True, False)
    trusting = verify(own, trusted=frozenset({KEY.key_id}))
    assert {fault.kind for fault in trusting.faults} == {FaultKind.WRONG_SIGNATURE}
    genuine = verify(original, trusted=frozenset({KEY.key_id}))
    assert (genuine.ok, genuine.origin_proven) == (True, True)


@pytest.mark.parametrize("name", FORMATS)
def test_a_signature_taken_away_is_missed(name: str) -> None:
    format, trusted = FORMATS[name], frozenset({KEY.key_id})
    signed = a_file(format, [a_transfer(0)], [a_transfer(1)])
    unsigned = a_file(format, [a_transfer(0)], [a_transfer(1)], block_key=None)
    assert {f.kind for f in verify(unsigned, trusted=trusted).faults} == {FaultKind.WRONG_SIGNATURE}
    last_block = len(signed) - 2
    stripped = [*signed[:last_block], unsigned[last_block], signed[-1]]
    assert FaultKind.WRONG_SIGNATURE in {fault.kind for fault in verify(stripped).faults}
    no_end_signature = [*signed[:-1], a_file(format, [a_transfer(0)], [a_transfer(1)], key=None)[-1]]
    assert FaultKind.WRONG_SIGNATURE in {f.kind for f in verify(no_end_signature, trusted=trusted).faults}


@pytest.mark.parametrize("name", FORMATS)
def test_blocks_sealed_before_there_was_a_key_are_counted_and_vouched_for_by_the_next(name: str) -> None:
    format = FORMATS[name]
    unsigned = a_file(format, [a_transfer(0)], [a_transfer(1)], block_key=None)
    verdict = verify(unsigned)
    assert (verdict.ok, verdict.unsigned_blocks) == (True, 2)


@pytest.mark.parametrize("name", FORMATS)
def test_a_block_that_was_noted_down_must_be_in_the_chain(name: str) -> None:
    first, second = [a_transfer(0)], [a_transfer(1)]
    noted = verify(a_file(FORMATS[name], first)).last_block
    assert verify(a_file(FORMATS[name], first, second), expected_block=noted).ok
    rewritten = a_file(FORMATS[name], [a_transfer(0, reason="another")], second)
    assert [f.kind for f in verify(rewritten, expected_block=noted).faults] == [FaultKind.NOT_CHAINED]


@pytest.mark.parametrize("name", FORMATS)
def test_rows_that_no_block_closes_are_found_even_if_the_end_line_counts_them(name: str) -> None:
    lines = a_file(FORMATS[name], [a_transfer(0)], unsealed=[a_transfer(1)], key=None, block_key=None)
    assert [(f.kind, f.height) for f in verify(lines).faults] == [(FaultKind.REMOVED, 2)]


@pytest.mark.parametrize("name", FORMATS)
def test_an_empty_journal_is_a_file_of_no_rows(name: str) -> None:
    verdict = verify(a_file(FORMATS[name]))
    assert (verdict.ok, verdict.rows, verdict.last_position) == (True, 0, 0)


@settings(deadline=None)
@given(st.lists(st.binary(max_size=80), max_size=8))
def test_anything_else_is_not_a_journal_and_breaks_nothing(lines: list[bytes]) -> None:
    assert not verify(lines).ok
    assert not verify([FORMATS["csv"].opening, *lines]).ok


def test_both_formats_say_the_same_of_the_same_journal() -> None:
    transfers = [a_transfer(n, reason='a "gift", with\nlines \\ and =1+1', expires_at=None) for n in range(3)]
    one, two = (verify(a_file(FORMATS[name], transfers)) for name in FORMATS)
    assert one.last_block == two.last_block
    assert one.ok
    assert two.ok


def test_a_spreadsheet_finds_no_formula_in_a_reason() -> None:
    row = FORMATS["csv"].row(1, "ab" * 32, a_transfer(0, reason="=HYPERLINK(1)"))
    assert b",'=HYPERLINK(1)," in row


@settings(deadline=None)
@given(TEXT, IDS)
def test_the_line_of_a_transfer_is_what_a_general_encoder_would_write(reason: str, id_: str | None) -> None:
    line = line_of(a_transfer(4, reason=reason, purchase_id=id_))
    assert line == canonical_json(json.loads(line))
    assert (json.loads(line)["reason"], json.loads(line)["purchase_id"]) == (reason, id_)
