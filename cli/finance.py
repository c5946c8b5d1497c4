"""`echoshot finance export`, `verify` and `key`: the sealed journal, and what it proves to whoever reads it."""

from __future__ import annotations

import json
import os
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, Any

from cli.context import Context
from cli.exits import Exit, Stop
from cli.messages import Messages
from cli.screen import Screen
from cli.waiting import check_output
from contracts.journal.files import FORMATS
from contracts.journal.verdict import Fault, FaultKind, Verdict
from contracts.journal.verify import Verifier
from contracts.signing import key_id_of, signer

FAULTS_SHOWN = 20
RECEIPT_BYTES_MAX = 16 * 1024**2
BAR_STEP = 1000
"""Rows between two movements of a bar."""


def export(context: Context, options: Namespace) -> Exit:
    """Fetches the journal into a file that appears only when it is whole, and verifies it on the way."""
    screen, messages = context.screen, context.messages
    path: Path = options.output or Path(f"journal.{options.format}")
    check_output(context, path, force=options.force)
    verifier = Verifier()
    with (
        _replacing(path) as file,
        context.api.stream("/v1/finance/journal", format=options.format) as answer,
        screen.rows_bar(messages("exporting"), int(answer.headers.get("Journal-Rows", 0))) as on_rows,
    ):
        for done, line in enumerate(_lines(answer.iter_bytes()), 1):
            file.write(line)
            verifier.feed(line)
            if done % BAR_STEP == 0:
                on_rows(done)
        verdict = verifier.finish()
        on_rows(verdict.rows)
        if any(fault.kind is FaultKind.TRUNCATED for fault in verdict.faults):
            raise Stop(Exit.UNREACHABLE, messages("export_cut_off"))
    screen.document("export", {"path": str(path.resolve()), **verdict.document})
    screen.say(messages("exported", path=path, rows=verdict.rows))
    _tell(screen, verdict)
    return Exit.OK if verdict.ok else Exit.FAULTY


def key(context: Context, options: Namespace) -> Exit:
    found = context.api.get("/v1/finance/journal/key")
    context.screen.document("key", found)
    context.screen.say(found["public_key_pem"].strip())
    return Exit.OK


def verify(options: Namespace, screen: Screen) -> Exit:
    """Of a journal or a receipt. Asks no server."""
    messages = screen.messages
    trusted = frozenset(_key_id(messages, path) for path in options.key)
    try:
        receipt = _receipt(options.file)
        if receipt is not None:
            return _verify_receipt(screen, options.file, receipt, trusted)
        verifier = Verifier(
            trusted=trusted, expected_block=options.expect_hash and options.expect_hash.lower()
        )
        with (
            options.file.open("rb") as file,
            screen.bytes_bar(messages("verifying"), options.file.stat().st_size) as on_bytes,
        ):
            for done, line in enumerate(file, 1):
                verifier.feed(line)
                if done % BAR_STEP == 0:
                    on_bytes(file.tell())
            on_bytes(file.tell())
    except OSError as error:
        raise Stop(Exit.USAGE, messages("no_file", path=options.file)) from error
    verdict = verifier.finish()
    screen.document("verdict", {"kind": "journal", **verdict.document})
    if verdict.ok:
        screen.say(messages("verified", path=options.file, rows=verdict.rows, blocks=verdict.blocks))
    _tell(screen, verdict)
    return Exit.OK if verdict.ok else Exit.FAULTY


def _tell(screen: Screen, verdict: Verdict) -> None:
    messages = screen.messages
    for fault in verdict.faults[:FAULTS_SHOWN]:
        screen.say(_sentence(messages, fault))
    if verdict.faults_total > FAULTS_SHOWN:
        screen.say(messages("more_faults", count=verdict.faults_total - FAULTS_SHOWN))
    if not verdict.ok:
        screen.say(messages("not_as_sealed"))
        if verdict.resaved:
            screen.say(messages("verify_original"))
        return
    if verdict.resaved:
        screen.note(messages("resaved_whole", traces=verdict.resaved))
    screen.say(messages("last_block", hash=verdict.last_block))
    if verdict.origin_proven:
        screen.say(messages("signed_by", key_id=verdict.key_id))
    elif verdict.key_id is not None:
        screen.note(messages("origin_unproven", key_id=verdict.key_id))
    else:
        screen.note(messages("unsigned"))
    if verdict.unsigned_blocks:
        screen.note(messages("unsigned_blocks", count=verdict.unsigned_blocks))


def _sentence(messages: Messages, fault: Fault) -> str:
    parts: list[str] = []
    if fault.height is not None:
        parts.append(messages("at_block", height=fault.height))
    if fault.last_position is not None:
        parts.append(messages("at_rows", first=fault.position, last=fault.last_position))
    elif fault.position is not None:
        parts.append(messages("at_row", position=fault.position))
    if fault.transfer_id is not None:
        parts.append(messages("at_transfer", id=fault.transfer_id))
    if fault.line is not None:
        parts.append(messages("at_line", line=fault.line))
    where = ", ".join(parts) or messages("at_file")
    said = f"{messages.name(fault.kind)}: {where}"
    return f"{said} ({fault.detail})" if fault.detail else said


def _receipt(path: Path) -> dict[str, Any] | None:
    """The document in a file that holds one signed document; None when it is to be read as a journal."""
    with path.open("rb") as file:
        start = file.read(64)
        if start.startswith((FORMATS["jsonl"].start_of("journal"), FORMATS["csv"].opening[:16])):
            return None
        if path.stat().st_size > RECEIPT_BYTES_MAX:
            return None
    try:
        document = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) and "signature" in document else None


def _verify_receipt(screen: Screen, path: Path, receipt: dict[str, Any], trusted: frozenset[str]) -> Exit:
    messages = screen.messages
    key_id = signer(receipt)
    ok = key_id is not None and (not trusted or key_id in trusted)
    screen.document(
        "verdict", {"kind": "receipt", "ok": ok, "key_id": key_id, "origin_proven": ok and bool(trusted)}
    )
    if not ok:
        screen.say(messages("receipt_forged", path=path))
        return Exit.FAULTY
    screen.say(messages("receipt_whole", path=path))
    if trusted:
        screen.say(messages("signed_by", key_id=key_id))
    else:
        screen.note(messages("origin_unproven", key_id=key_id))
    return Exit.OK


def _key_id(messages: Messages, path: Path) -> str:
    try:
        return key_id_of(path.read_text())
    except (OSError, ValueError) as error:
        raise Stop(Exit.USAGE, messages("no_key", path=path)) from error


@contextmanager
def _replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file that takes the place of `path` when all went well, and is gone otherwise."""
    with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        try:
            yield file
            file.flush()
            os.fsync(file.fileno())
            os.chmod(file.name, 0o644)
            os.replace(file.name, path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise


def _lines(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """With their line breaks; what comes after the last one is a line too."""
    rest = b""
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        yield from [line + b"\n" for line in whole]
    if rest:
        yield rest
