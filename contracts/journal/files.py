"""The journal as a file, in JSON Lines or in CSV: header, rows, a line after the last row of each block, end line.

A line has exactly one spelling, so that a changed byte is a changed line, and no line break but its own, so that a row
of CSV is a line too. The end line carries the SHA-256 of everything before it and is signed by whoever exported.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple, Protocol

from contracts.journal.chain import FORMAT, NULLABLE, Block, Transfer, line_of, line_of_escaped
from contracts.signing import SIGNATURE, SigningKey, canonical_json, is_signed_by

_END_DOMAIN = b"echoshot journal end\n"


class Header(NamedTuple):
    """The first line. Hashes in hex."""

    exported_at: str
    first_position: int
    format: int
    key_id: str | None
    """Of the key that signs the end line."""
    previous_block: str
    """What the first block follows."""
    previous_hash: str
    """What the first row follows."""


class End(NamedTuple):
    """The last line: without it, a file may have been cut off. Hashes in hex."""

    blocks: int
    digest: str
    """SHA-256 of all bytes before this line."""
    key_id: str | None
    last_block: str
    last_position: int
    """Of an empty journal 0."""
    rows: int
    signature: str | None

    @property
    def is_signed(self) -> bool:
        if self.key_id is None or self.signature is None:
            return False
        return is_signed_by(self.key_id, self._signed_content(), self.signature)

    def signed_by(self, key: SigningKey | None) -> End:
        if key is None:
            return self
        named = self._replace(key_id=key.key_id)
        return named._replace(signature=key.sign(named._signed_content()))

    def _signed_content(self) -> bytes:
        return _END_DOMAIN + canonical_json({**self._asdict(), SIGNATURE: None, "format": FORMAT})


Statement = Header | Block | End
STATEMENTS: dict[str, type[Header] | type[Block] | type[End]] = {
    "journal": Header,
    "block": Block,
    "end": End,
}
"""The lines that are no rows, by the word that they begin with."""
WORDS: dict[type[Statement], str] = {kind: word for word, kind in STATEMENTS.items()}


class Row(NamedTuple):
    position: int
    hash: str
    """As the file says."""
    line: bytes
    """What the hash is over."""


class Format(Protocol):
    media_type: str
    opening: bytes
    """What comes before the header."""
    row_start: bytes
    """Rows begin with these bytes and nothing else does."""

    def start_of(self, word: str) -> bytes:
        """What a statement begins with."""
        ...

    def row(self, position: int, hash_: str, transfer: Transfer) -> bytes: ...

    def statement(self, statement: Statement) -> bytes: ...

    def read_row(self, line: bytes) -> Row | None:
        """None when it is not spelt as `row` would."""
        ...

    def read_statement(self, line: bytes) -> Statement | None:
        """None when it is not spelt as `statement` would."""
        ...


class Jsonl:
    media_type = "application/jsonl"
    opening = b""
    row_start = b'{"hash":'
    _row = re.compile(
        rb'\{"hash":"([0-9a-f]{64})","position":([1-9][0-9]{0,17}),"transfer":(\{.*\})\}\n', re.DOTALL
    )

    def start_of(self, word: str) -> bytes:
        return b'{"%b":' % word.encode()

    def row(self, position: int, hash_: str, transfer: Transfer) -> bytes:
        return b'{"hash":"%b","position":%d,"transfer":%b}\n' % (hash_.encode(), position, line_of(transfer))

    def statement(self, statement: Statement) -> bytes:
        return canonical_json({WORDS[type(statement)]: statement._asdict()}) + b"\n"

    def read_row(self, line: bytes) -> Row | None:
        found = self._row.fullmatch(line)
        if found is None:
            return None
        hash_, position, content = found.groups()
        return Row(int(position), hash_.decode(), content)

    def read_statement(self, line: bytes) -> Statement | None:
        try:
            [(word, content)] = json.loads(line).items()
        except (ValueError, AttributeError, RecursionError):
            return None
        statement = _statement(word, content)
        return statement if statement is not None and self.statement(statement) == line else None


class Csv:
    """The same fields as columns. In text, `\\n`, `\\r` and `\\\\` stand for line breaks and the backslash; what a
    spreadsheet would take for a formula is preceded by an apostrophe."""

    media_type = "text/csv"
    columns = (
        "record", "position", "created_at", "kind", "unit", "amount", "user_id", "job_id", "purchase_id", "hold_id",
        "reason", "actor", "step", "workflow_id", "run_id", "expires_at", "postings", "id", "seq", "hash", "statement",
    )  # fmt: skip
    opening = (",".join(columns) + "\n").encode()
    row_start = b"transfer,"
    _fields = itemgetter(*map(columns.index, Transfer._fields))
    _nullable = tuple(map(columns.index, sorted(NULLABLE)))

    def start_of(self, word: str) -> bytes:
        return b"%b," % word.encode()

    def row(self, position: int, hash_: str, transfer: Transfer) -> bytes:
        named = {**transfer._asdict(), "record": "transfer", "position": str(position), "hash": hash_}
        return self._join([named.get(column) or "" for column in self.columns])

    def statement(self, statement: Statement) -> bytes:
        content = canonical_json(statement._asdict()).decode()
        return self._join([WORDS[type(statement)], *[""] * (len(self.columns) - 2), content])

    def read_row(self, line: bytes) -> Row | None:
        try:
            plain = _is_plain(line)
            fields: list[str] = line[:-1].decode().split(",") if plain else self._split(line)
            if len(fields) != len(self.columns) or fields[0] != "transfer" or fields[-1]:
                return None
            position, hash_ = int(fields[1]), fields[-2]
            if str(position) != fields[1]:
                return None
            values: list[str | None] = [*fields]
            for column in self._nullable:
                values[column] = values[column] or None
            if plain:
                return Row(position, hash_, line_of_escaped(*self._fields(values)))
            transfer = Transfer._make(self._fields(values))
        except ValueError:
            return None
        return (
            Row(position, hash_, line_of(transfer)) if self.row(position, hash_, transfer) == line else None
        )

    def read_statement(self, line: bytes) -> Statement | None:
        try:
            fields = self._split(line)
            statement = _statement(fields[0], json.loads(fields[-1]))
        except (ValueError, IndexError, RecursionError):
            return None
        return statement if statement is not None and self.statement(statement) == line else None

    def _split(self, line: bytes) -> list[str]:
        """Raises `ValueError`."""
        if not line.endswith(b"\n"):
            raise ValueError("cut off")
        try:
            [fields] = csv.reader([line[:-1].decode()], strict=True)
        except csv.Error as error:
            raise ValueError from error
        return [_unescaped(field) for field in fields]

    @staticmethod
    def _join(fields: Sequence[str]) -> bytes:
        return (",".join([_quoted(_escaped(field)) for field in fields]) + "\n").encode()


FORMATS: Mapping[str, Format] = {"jsonl": Jsonl(), "csv": Csv()}


def format_of(first_line: bytes) -> Format:
    """By the first byte of the file: even a first line that somebody has changed rarely loses it."""
    return FORMATS["jsonl" if first_line.startswith(b"{") else "csv"]


def is_respelt(first_line: bytes, format: Format) -> bool:
    """Whether a first line says what ours says, but as another program spells it: with other separators, with quotes
    or in UTF-16."""
    said, ours = first_line.rstrip(b"\r\n"), format.opening.rstrip(b"\n")
    if said == ours or not ours:
        return False
    return said.startswith(_UTF16) or said.replace(b'"', b"") in [
        ours.replace(b",", by) for by in _SEPARATORS
    ]


def _statement(word: object, content: Any) -> Statement | None:
    kind = STATEMENTS.get(word) if isinstance(word, str) else None
    if kind is None or not isinstance(content, dict):
        return None
    try:
        statement = kind(**content)
    except TypeError:
        return None
    return statement if all(_is_fit(*each) for each in statement._asdict().items()) else None


def _is_fit(name: str, value: object) -> bool:
    if name in _NUMBERS:
        return type(value) is int and value >= 0
    return isinstance(value, str) or (value is None and name in ("key_id", "signature"))


def _is_plain(line: bytes) -> bool:
    """Whether a line of CSV holds nothing that needs any care: its fields are what stands between the commas, in JSON
    as in CSV, and there is no other way to write them."""
    return line.translate(None, _ORDINARY) == b"\n" == line[-1:] and _FORMULA_AHEAD.search(line) is None


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if '"' in text or "," in text else text


def _escaped(text: str) -> str:
    if "\\" in text or "\n" in text or "\r" in text:
        text = text.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    return f"'{text}" if text[:1] in _FORMULA else text


def _unescaped(text: str) -> str:
    text = text[1:] if text.startswith("'") else text
    return _ESCAPE.sub(lambda found: _ESCAPES.get(found[1], found[0]), text) if "\\" in text else text


_SEPARATORS = (b",", b";", b"\t")
"""Of the spreadsheets of this world."""
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_NUMBERS = frozenset({"blocks", "first_position", "format", "height", "last_position", "rows"})
_FORMULA = ("=", "+", "-", "@", "\t", "'")
_FORMULA_AHEAD = re.compile(rb",[=+\-@]")
_ORDINARY = bytes(byte for byte in range(0x20, 0x100) if byte not in b"\"'\\")
"""What is written as it is wherever it stands."""
_ESCAPE = re.compile(r"\\(.)")
_ESCAPES = {"n": "\n", "r": "\r", "\\": "\\"}
