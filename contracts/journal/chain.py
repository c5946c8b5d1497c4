"""The hash chain: a transfer as one canonical line, the hash of a row over all rows before it, and the blocks.

row hash    = SHA-256(hash of the row before, 32 bytes | canonical line), from 32 zero bytes on
block hash  = SHA-256(canonical JSON of the block without hash, key_id, signature)
signature   = Ed25519("echoshot journal block\\n" | block hash, 32 bytes)
"""

from __future__ import annotations

import re
from hashlib import sha256
from json.encoder import encode_basestring as _quoted
from typing import Any, NamedTuple

from contracts.signing import SigningKey, canonical_json, is_signed_by

FORMAT = 1
"""Of lines and files. Another set of fields is another number, so that what is sealed keeps its hashes."""

GENESIS = bytes(32)
"""What the first row and the first block follow."""

_HASH = re.compile("[0-9a-f]{64}")
_BLOCK_DOMAIN = b"echoshot journal block\n"
"""So that no signature of a block can be taken for one of something else."""


class Transfer(NamedTuple):
    """A transfer with its postings; every field as text. In the order of the names, which is the canonical one.

    Accounts are named by what they are (`kind/unit/bucket/user/provider`, empty where it has none), never by a number
    of one database, so that a line means the same everywhere.
    """

    actor: str
    amount: str
    """Whole credits or won."""
    created_at: str
    """UTC with microseconds: `2026-11-21T09:00:00.000000Z`."""
    expires_at: str | None
    hold_id: str | None
    id: str
    job_id: str | None
    kind: str
    postings: str
    """`account=amount;account=amount`, by the accounts' names; amounts are added to the account."""
    purchase_id: str | None
    reason: str
    run_id: str
    seq: str
    step: str
    unit: str
    user_id: str | None
    workflow_id: str


NULLABLE = frozenset({"expires_at", "hold_id", "job_id", "purchase_id", "user_id"})
assert list(Transfer._fields) == sorted(Transfer._fields)


def line_of(transfer: Transfer) -> bytes:
    """Canonical JSON. By hand, which takes a quarter of the time of a general encoder: files have millions of these."""
    return line_of_escaped(*[None if value is None else _quoted(value)[1:-1] for value in transfer])


def line_of_escaped(
    actor: str | None,
    amount: str | None,
    created_at: str | None,
    expires_at: str | None,
    hold_id: str | None,
    id_: str | None,
    job_id: str | None,
    kind: str | None,
    postings: str | None,
    purchase_id: str | None,
    reason: str | None,
    run_id: str | None,
    seq: str | None,
    step: str | None,
    unit: str | None,
    user_id: str | None,
    workflow_id: str | None,
) -> bytes:
    """The same of the fields of a `Transfer`, as JSON escapes them: as they are, when nothing in them needs it."""
    legs = (postings or "").replace(";", '},{"account":"').replace("=", '","amount":')
    return (
        f'{{"actor":"{actor}","amount":{amount},"created_at":"{created_at}","expires_at":{_optional(expires_at)},'
        f'"hold_id":{_optional(hold_id)},"id":"{id_}","job_id":{_optional(job_id)},"kind":"{kind}",'
        f'"postings":[{{"account":"{legs}}}],"purchase_id":{_optional(purchase_id)},"reason":"{reason}",'
        f'"run_id":"{run_id}","seq":{seq},"step":"{step}","unit":"{unit}","user_id":{_optional(user_id)},'
        f'"workflow_id":"{workflow_id}"}}'
    ).encode()


def row_hash(previous: bytes, line: bytes) -> bytes:
    return sha256(previous + line).digest()


def is_hash(text: str) -> bool:
    return _HASH.fullmatch(text) is not None


class Block(NamedTuple):
    """A run of rows that were sealed together; hashes in hex."""

    height: int
    """From 1, without gaps."""
    first_position: int
    rows: int
    last_hash: str
    """Of its last row, and so of every row up to it."""
    previous: str
    """Hash of the block before; of the first one, zeros."""
    sealed_at: str
    hash: str
    key_id: str | None
    """Of the key that signed it; None: sealed while the platform had no key."""
    signature: str | None

    @property
    def content_hash(self) -> str:
        return _block_hash(self).hex()

    @property
    def is_sound(self) -> bool:
        """Whether its hash is that of its own content."""
        return self.hash == self.content_hash and is_hash(self.last_hash)

    @property
    def is_signed(self) -> bool:
        """Whether the signature that it names is there and right."""
        if self.key_id is None or self.signature is None:
            return False
        return is_signed_by(self.key_id, _BLOCK_DOMAIN + _block_hash(self), self.signature)


def seal(
    *,
    height: int,
    first_position: int,
    rows: int,
    last_hash: bytes,
    previous: bytes,
    sealed_at: str,
    key: SigningKey | None,
) -> Block:
    draft = Block(
        height, first_position, rows, last_hash.hex(), previous.hex(), sealed_at, "", key and key.key_id, None
    )
    hash_ = _block_hash(draft)
    signature = None if key is None else key.sign(_BLOCK_DOMAIN + hash_)
    return draft._replace(hash=hash_.hex(), signature=signature)


def _block_hash(block: Block) -> bytes:
    unsealed: dict[str, Any] = {**block._asdict(), "format": FORMAT}
    for name in ("hash", "key_id", "signature"):
        del unsealed[name]
    return sha256(canonical_json(unsealed)).digest()


def _optional(escaped: str | None) -> str:
    return "null" if escaped is None else f'"{escaped}"'
