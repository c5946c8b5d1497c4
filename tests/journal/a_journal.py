"""Journals made up in memory, as the platform would export them."""

from __future__ import annotations

from hashlib import sha256

from contracts.journal.chain import GENESIS, Transfer, line_of, row_hash, seal
from contracts.journal.files import End, Format, Header
from contracts.signing import SigningKey, new_key_pem

KEY = SigningKey.from_pem(new_key_pem())
OTHER_KEY = SigningKey.from_pem(new_key_pem())


def a_transfer(number: int, **other: str | None) -> Transfer:
    values: dict[str, str | None] = {
        "actor": "user:usr_1",
        "amount": str(number + 1),
        "created_at": f"2026-11-21T09:00:{number % 60:02}.000000Z",
        "expires_at": None,
        "hold_id": None,
        "id": f"00000000-0000-0000-0000-{number:012}",
        "job_id": None,
        "kind": "grant",
        "postings": f"available/credit/paid/usr_1/={number + 1};issued/credit/paid//=-{number + 1}",
        "purchase_id": None,
        "reason": "a gift",
        "run_id": "",
        "seq": str(3 * number),
        "step": "grant",
        "unit": "credit",
        "user_id": "usr_1",
        "workflow_id": "",
    }
    return Transfer(**{**values, **other})  # pyright: ignore[reportArgumentType]


def a_file(
    format: Format,
    *blocks: list[Transfer],
    key: SigningKey | None = KEY,
    block_key: SigningKey | None = KEY,
    unsealed: list[Transfer] | None = None,
) -> list[bytes]:
    """The lines of a journal with these blocks; `unsealed` rows follow the last one, and the end line counts them."""
    header = Header("2026-11-21T10:00:00Z", 1, 1, key and key.key_id, GENESIS.hex(), GENESIS.hex())
    lines = [format.opening] if format.opening else []
    lines.append(format.statement(header))
    position, row, block_hash = 0, GENESIS, GENESIS
    for height, transfers in enumerate(blocks, 1):
        for transfer in transfers:
            position += 1
            row = row_hash(row, line_of(transfer))
            lines.append(format.row(position, row.hex(), transfer))
        block = seal(
            height=height,
            first_position=position - len(transfers) + 1,
            rows=len(transfers),
            last_hash=row,
            previous=block_hash,
            sealed_at=f"2026-11-21T09:{height:02}:00.000000Z",
            key=block_key,
        )
        block_hash = bytes.fromhex(block.hash)
        lines.append(format.statement(block))
    for transfer in unsealed or []:
        position += 1
        row = row_hash(row, line_of(transfer))
        lines.append(format.row(position, row.hex(), transfer))
    end = End(
        len(blocks), sha256(b"".join(lines)).hexdigest(), None, block_hash.hex(), position, position, None
    )
    return [*lines, format.statement(end.signed_by(key))]
