"""The sealed journal: seals new transfers into blocks, writes it out, and audits it against the tables (docs/adr/023).

A transfer's place in the journal is its position, not its `seq`: transactions commit in another order than they
take their numbers in, and one that commits late is sealed late, never left out.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, NamedTuple

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.journal.chain import FORMAT, GENESIS, Block, Transfer, line_of, row_hash
from contracts.journal.chain import seal as seal_block
from contracts.journal.files import FORMATS, End, Format, Header
from contracts.journal.verdict import Fault, FaultKind
from contracts.journal.verify import Verifier
from contracts.signing import SigningKey
from db.engine import Database

BLOCK_ROWS = 10_000
PAGE_ROWS = 1_000
"""Rows read and written out at once: some 10 ms, after which the process can do something else."""

LOCK = text("SELECT pg_advisory_xact_lock(hashtext('echoshot.journal'))")
"""One sealer at a time. Waited for in a statement of its own, so that the next one sees what the other has sealed."""

TIP = text("SELECT * FROM journal_blocks ORDER BY height DESC LIMIT 1")

_UTC = 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'

# Fields of contracts.journal.chain.Transfer. `name` says of an account what it is, never its number.
_TRANSFER = f"""
    t.actor, t.amount::text AS amount, to_char(t.created_at AT TIME ZONE 'UTC', '{_UTC}') AS created_at,
    to_char(t.expires_at AT TIME ZONE 'UTC', '{_UTC}') AS expires_at, t.hold_id::text AS hold_id, t.id::text AS id,
    t.job_id, t.kind, coalesce(legs.postings, '') AS postings, t.purchase_id, t.reason, t.run_id, t.seq::text AS seq,
    t.step, t.unit, t.user_id, t.workflow_id"""
_LEGS = """
    LEFT JOIN LATERAL (
        SELECT string_agg(name || '=' || amount, ';' ORDER BY name COLLATE "C") AS postings
          FROM (SELECT concat(a.kind, '/', a.unit, '/', a.bucket, '/', a.user_id, '/', a.provider) AS name, p.amount
                  FROM postings p JOIN accounts a ON a.id = p.account_id
                 WHERE p.transfer_id = t.id) leg) legs ON true"""

# A transfer older than a day is taken whatever its transaction's number says: after a dump and restore, that is one of
# another cluster.
UNSEALED = text(f"""
    SELECT {_TRANSFER}
      FROM transfers t {_LEGS}
     WHERE t.seq > :sealed_through
       AND (t.xact < pg_snapshot_xmin(pg_current_snapshot()) OR t.created_at < now() - interval '1 day')
       AND NOT EXISTS (SELECT FROM journal_entries e WHERE e.transfer_id = t.id)
     ORDER BY t.seq LIMIT :limit""")  # noqa: S608 - words of our own

# What was sealed a day ago had been numbered before, and its transactions have ended since (migration 0005).
SETTLED = text("""
    SELECT coalesce(max(last_seq), 0) FROM journal_blocks WHERE sealed_at < now() - interval '1 day'""")

WRITE_BLOCK = text("""
    INSERT INTO journal_blocks (height, first_position, rows, last_hash, prev_hash, hash, key_id, signature, sealed_at,
                                last_seq, sealed_through)
    VALUES (:height, :first_position, :rows, :last_hash, :prev_hash, :hash, :key_id, :signature, :sealed_at,
            :last_seq, :sealed_through)""")

WRITE_ENTRIES = text("""
    INSERT INTO journal_entries (position, height, transfer_id, hash)
    SELECT :first_position + n - 1, :height, id, hash
      FROM unnest(CAST(:ids AS uuid[]), CAST(:hashes AS bytea[])) WITH ORDINALITY AS entry (id, hash, n)""")

# Left joins: a transfer that somebody has deleted leaves its entry.
ENTRIES = text(f"""
    SELECT e.position, e.hash, {_TRANSFER}
      FROM journal_entries e LEFT JOIN transfers t ON t.id = e.transfer_id {_LEGS}
     WHERE e.position >= :first AND e.position < :end
     ORDER BY e.position""")  # noqa: S608 - words of our own

BLOCK = text("SELECT * FROM journal_blocks WHERE height = :height")

ENTRY = text("SELECT transfer_id::text FROM journal_entries WHERE position = :position")

BLOCK_AT = text("""
    SELECT * FROM journal_blocks WHERE first_position <= :position ORDER BY first_position DESC LIMIT 1""")

LEFT_OUT = text("""
    SELECT t.id::text FROM transfers t
     WHERE NOT EXISTS (SELECT FROM journal_entries e WHERE e.transfer_id = t.id)
       AND t.seq <= coalesce((SELECT max(sealed_through) FROM journal_blocks), 0)""")

OUTSIDE = text("""
    SELECT position FROM journal_entries e LEFT JOIN journal_blocks b USING (height)
     WHERE b.height IS NULL OR NOT (e.position >= b.first_position AND e.position < b.first_position + b.rows)""")


async def seal(session: AsyncSession, key: SigningKey | None, limit: int = BLOCK_ROWS) -> Block | None:
    """Seal up to `limit` transfers into the next block. None when there is nothing to seal."""
    await session.execute(LOCK)
    tip = (await session.execute(TIP)).one_or_none()
    sealed_through = 0 if tip is None else tip.sealed_through
    found = (await session.execute(UNSEALED, {"sealed_through": sealed_through, "limit": limit})).all()
    if not found:
        return None
    previous = GENESIS if tip is None else tip.last_hash
    hashes = await asyncio.to_thread(_chain, previous, found)
    sealed_at = datetime.now(UTC)
    block = seal_block(
        height=1 if tip is None else tip.height + 1,
        first_position=1 if tip is None else tip.first_position + tip.rows,
        rows=len(found),
        last_hash=hashes[-1],
        previous=GENESIS if tip is None else tip.hash,
        sealed_at=_utc(sealed_at),
        key=key,
    )
    if len(found) < limit:
        sealed_through = await session.scalar(SETTLED)
    values = {
        **block._asdict(),
        "last_hash": hashes[-1],
        "prev_hash": bytes.fromhex(block.previous),
        "hash": bytes.fromhex(block.hash),
        "sealed_at": sealed_at,
        "last_seq": max(int(row.seq) for row in found),
        "sealed_through": sealed_through,
    }
    del values["previous"]
    await session.execute(WRITE_BLOCK, values)
    entries = {
        "first_position": block.first_position,
        "height": block.height,
        "ids": [row.id for row in found],
        "hashes": hashes,
    }
    await session.execute(WRITE_ENTRIES, entries)
    return block


async def seal_all(
    database: Database, key: SigningKey | None, limit: int = BLOCK_ROWS
) -> AsyncIterator[Block]:
    """Seal everything there is, a transaction a block; each is yielded when it is committed."""
    while True:
        async with database.transaction() as session:
            block = await seal(session, key, limit)
        if block is not None:
            yield block
        if block is None or block.rows < limit:
            return


class Extent(NamedTuple):
    """A part of the journal, in whole blocks."""

    first: int
    last: int
    """Height of the last block; before `first`: there is none."""
    rows: int


async def extent(session: AsyncSession, from_position: int = 1, to_position: int | None = None) -> Extent:
    """The blocks that hold these positions."""
    tip = (await session.execute(TIP)).one_or_none()
    if tip is None or from_position >= tip.first_position + tip.rows:
        return Extent(1, 0, 0) if tip is None else Extent(tip.height + 1, tip.height, 0)
    to_position = tip.first_position if to_position is None else max(from_position, to_position)
    first = (await session.execute(BLOCK_AT, {"position": from_position})).one_or_none()
    last = (await session.execute(BLOCK_AT, {"position": to_position})).one_or_none() or tip
    return Extent(
        1 if first is None else first.height,
        last.height,
        last.first_position + last.rows - (1 if first is None else first.first_position),
    )


async def export(
    database: Database, format: Format, key: SigningKey | None, part: Extent
) -> AsyncIterator[bytes]:
    """The journal as a file, in pieces of many lines. Each page is a transaction of its own: what is sealed does not
    change, so a slow reader holds none open."""
    first, last, _ = part
    async with database.read() as session:
        tip = await _block(session, first - 1)
    digest, rows, blocks, position = sha256(), 0, 0, _position_after(tip)
    header = Header(
        exported_at=_utc(datetime.now(UTC)),
        first_position=position,
        format=FORMAT,
        key_id=key and key.key_id,
        previous_block=tip.hash if tip else GENESIS.hex(),
        previous_hash=tip.last_hash if tip else GENESIS.hex(),
    )
    piece = format.opening + format.statement(header)
    digest.update(piece)
    yield piece
    for height in range(first, last + 1):
        async with database.read() as session:
            block = await _block(session, height)
        if block is None:
            continue  # somebody has deleted it, which the reader of the file will find
        tip, blocks, rows, position = block, blocks + 1, rows + block.rows, _position_after(block)
        for start in range(block.first_position, position, PAGE_ROWS):
            async with database.read() as session:
                piece = await _lines(session, format, start, min(start + PAGE_ROWS, position))
            digest.update(piece)
            yield piece
        piece = format.statement(block)
        digest.update(piece)
        yield piece
    end = End(
        blocks=blocks,
        digest=digest.hexdigest(),
        key_id=None,
        last_block=tip.hash if tip else GENESIS.hex(),
        last_position=position - 1,
        rows=rows,
        signature=None,
    )
    yield format.statement(end.signed_by(key))


async def audit(session: AsyncSession, *, trusted: frozenset[str] = frozenset()) -> list[str]:
    """One sentence for whatever is not as it was sealed, found by recomputing the journal from the tables: somebody may
    have changed them behind the triggers. `trusted`: ids of the keys that blocks may be signed by; empty: any.
    Use a `Database.read()` session: one moment."""
    verifier, jsonl = Verifier(trusted=trusted), FORMATS["jsonl"]
    tip = (await session.execute(TIP)).one_or_none()
    verifier.feed(jsonl.statement(Header("", 1, FORMAT, None, GENESIS.hex(), GENESIS.hex())))
    for height in range(1, 1 if tip is None else tip.height + 1):
        if (block := await _block(session, height)) is not None:
            for start in range(block.first_position, _position_after(block), PAGE_ROWS):
                end = min(start + PAGE_ROWS, _position_after(block))
                for line in (await _lines(session, jsonl, start, end)).split(b"\n")[:-1]:
                    verifier.feed(line + b"\n")
            verifier.feed(jsonl.statement(block))
    faults = [fault for fault in verifier.finish().faults if fault.kind is not FaultKind.TRUNCATED]
    found = [f"the journal: {await _told(session, fault)}" for fault in faults]
    for violation, query in (
        ("an entry of the journal outside its block", OUTSIDE),
        ("an unsealed transfer", LEFT_OUT),
    ):
        found += [f"{violation}: {value}" for value in (await session.scalars(query)).all()]
    return found


# The steps below are in calling order.


def _chain(previous: bytes, rows: Sequence[Row[Any]]) -> list[bytes]:
    hashes: list[bytes] = []
    for row in rows:
        previous = row_hash(previous, line_of(_transfer(row)))
        hashes.append(previous)
    return hashes


def _transfer(row: Row[Any]) -> Transfer:
    return Transfer._make(map(row._mapping.__getitem__, Transfer._fields))  # pyright: ignore[reportPrivateUsage]


def _utc(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


async def _block(session: AsyncSession, height: int) -> Block | None:
    row = (await session.execute(BLOCK, {"height": height})).one_or_none()
    if row is None:
        return None
    return Block(
        height=row.height,
        first_position=row.first_position,
        rows=row.rows,
        last_hash=row.last_hash.hex(),
        previous=row.prev_hash.hex(),
        sealed_at=_utc(row.sealed_at),
        hash=row.hash.hex(),
        key_id=row.key_id,
        signature=row.signature,
    )


def _position_after(block: Block | None) -> int:
    return 1 if block is None else block.first_position + block.rows


async def _lines(session: AsyncSession, format: Format, first: int, end: int) -> bytes:
    """The rows from `first` up to but not including `end`, as the tables have them now."""
    rows = await session.execute(ENTRIES, {"first": first, "end": end})
    return b"".join(
        [format.row(row.position, row.hash.hex(), _transfer(row)) for row in rows if row.id is not None]
    )


async def _told(session: AsyncSession, fault: Fault) -> str:
    words = [str(fault.kind)]
    if fault.height is not None:
        words.append(f"block {fault.height}")
    if fault.position is not None:
        words.append(f"position {fault.position}")
    if fault.last_position is not None:
        words.append(f"to {fault.last_position}")
    transfer_id = fault.transfer_id or await session.scalar(ENTRY, {"position": fault.position})
    if transfer_id is not None:
        words.append(f"transfer {transfer_id}")
    return " ".join(words + ([f"({fault.detail})"] if fault.detail else []))
