"""Every transfer is sealed once, in a chain that shows what anybody has changed since."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from contracts.journal.chain import Block
from contracts.journal.files import FORMATS
from contracts.journal.verdict import FaultKind, Verdict
from contracts.journal.verify import verify
from contracts.ledger import Bucket
from contracts.signing import SigningKey, new_key_pem
from db import journal, ledger
from db.engine import Database
from db.tables import User
from tests.books import ORIGIN, a_user, new_transfer_id, run_sql

KEY = SigningKey.from_pem(new_key_pem())


async def sealed(database: Database, limit: int = 100, key: SigningKey | None = KEY) -> list[Block]:
    return [block async for block in journal.seal_all(database, key, limit)]


async def exported(database: Database, name: str = "jsonl", **range: int) -> list[bytes]:
    async with database.read() as session:
        part = await journal.extent(session, **range)
    content = b"".join([piece async for piece in journal.export(database, FORMATS[name], KEY, part)])
    return [line + b"\n" for line in content.split(b"\n")[:-1]]


async def verified(database: Database, name: str = "jsonl") -> Verdict:
    return verify(await exported(database, name), trusted=frozenset({KEY.key_id}))


async def audited(database: Database) -> list[str]:
    async with database.read() as session:
        return await journal.audit(session, trusted=frozenset({KEY.key_id}))


async def grants(database: Database, count: int, reason: str = "") -> User:
    user = await a_user(database)
    async with database.transaction() as session:
        for _ in range(count):
            origin = ORIGIN.model_copy(update={"reason": reason})
            await ledger.grant(session, new_transfer_id(), user.id, 1, Bucket.PAID, origin)
    return user


@pytest.mark.parametrize("name", FORMATS)
async def test_every_transfer_is_exported_once_and_verifies(database: Database, name: str) -> None:
    await grants(database, 7, reason='선물, "free"\n=1+1 \\')
    blocks = await sealed(database, limit=3)
    assert [block.rows for block in blocks] == [3, 3, 1]
    lines = await exported(database, name)
    rows = [row for line in lines if (row := FORMATS[name].read_row(line))]
    transfers = await run_sql(database, "SELECT id::text FROM transfers ORDER BY seq")
    assert all(each.id in row.line.decode() for each, row in zip(transfers, rows, strict=True))
    verdict = verify(lines, trusted=frozenset({KEY.key_id}))
    assert (verdict.ok, verdict.rows, verdict.blocks) == (True, 7, 3)
    assert verdict.origin_proven
    assert verdict.last_block == blocks[-1].hash
    assert await audited(database) == []


async def test_an_empty_journal_is_exported_as_a_file_of_no_rows(database: Database) -> None:
    assert await sealed(database) == []
    verdict = await verified(database)
    assert (verdict.ok, verdict.rows, verdict.blocks) == (True, 0, 0)
    assert await audited(database) == []


async def test_accounts_are_named_by_what_they_are(database: Database) -> None:
    user = await grants(database, 1)
    await sealed(database)
    [line] = [line for line in await exported(database) if b'"transfer":' in line]
    assert f'"available/credit/paid/{user.id}/","amount":1'.encode() in line
    assert b'"issued/credit/paid//","amount":-1' in line


async def test_a_part_of_the_journal_is_exported_in_whole_blocks_that_name_what_they_follow(
    database: Database,
) -> None:
    await grants(database, 9)
    blocks = await sealed(database, limit=3)
    lines = await exported(database, from_position=5, to_position=6)
    verdict = verify(lines, trusted=frozenset({KEY.key_id}), expected_block=blocks[0].hash)
    assert (verdict.ok, verdict.first_position, verdict.last_position) == (True, 4, 6)
    beyond = verify(await exported(database, from_position=50), expected_block=blocks[-1].hash)
    assert (beyond.ok, beyond.rows, beyond.first_position) == (True, 0, 10)


async def test_a_transfer_that_commits_late_is_sealed_late_and_never_lost(database: Database) -> None:
    user = await a_user(database)
    async with database.transaction() as late:
        await late.execute(text("SELECT pg_current_xact_id()"))  # older than all that follow
        first = new_transfer_id()
        await ledger.grant(late, first, user.id, 1, Bucket.PAID, ORIGIN)
        await grants(database, 2)
        # Younger than a running transaction: they wait for it, so that the order stays that of the numbers.
        assert await sealed(database) == []
    assert [block.rows for block in await sealed(database)] == [3]
    assert (await verified(database)).ok


async def test_a_lower_number_in_a_younger_transaction_is_sealed_in_a_later_block(database: Database) -> None:
    """Numbers are given before transactions have theirs: here 1 is taken, then 2 commits and is sealed."""
    await grants(database, 1)
    await run_sql(database, "ALTER SEQUENCE transfers_seq_seq RESTART WITH 1000")
    await grants(database, 1)
    [block] = await sealed(database)
    await run_sql(database, "ALTER SEQUENCE transfers_seq_seq RESTART WITH 500")
    await grants(database, 1)
    [late] = await sealed(database)
    assert (block.rows, late.rows, late.first_position) == (2, 1, 3)
    assert (await verified(database)).ok


async def test_what_comes_from_another_cluster_is_sealed_when_it_is_a_day_old(database: Database) -> None:
    """After a dump and restore the numbers of its transactions mean nothing here."""
    await grants(database, 2)
    await tampered(database, "UPDATE transfers SET xact = '4000000000'::xid8")
    assert await sealed(database) == []
    await tampered(database, "UPDATE transfers SET created_at = created_at - interval '25 hours'")
    assert [block.rows for block in await sealed(database)] == [2]


async def test_the_look_back_moves_on_once_nothing_older_can_come(database: Database) -> None:
    await grants(database, 2)
    await sealed(database)
    await tampered(database, "UPDATE journal_blocks SET sealed_at = sealed_at - interval '25 hours'")
    await grants(database, 1)
    await sealed(database)
    query = "SELECT max(sealed_through) AS through, min(last_seq) AS sealed FROM journal_blocks"
    [found] = await run_sql(database, query)
    assert found.through == found.sealed > 0
    await grants(database, 1)
    assert [block.rows for block in await sealed(database)] == [1]


async def test_a_transfer_whose_transaction_stays_open_for_an_hour_cannot_commit(database: Database) -> None:
    user = await a_user(database)

    async def grant_an_hour_ago() -> None:
        async with database.transaction() as session:
            await session.execute(text("ALTER TABLE transfers DISABLE TRIGGER transfers_stamp"))
            await session.execute(
                text("""
                    ALTER TABLE transfers ALTER xact SET DEFAULT pg_current_xact_id(),
                        ALTER created_at SET DEFAULT now() - interval '61 minutes'""")
            )
            await ledger.grant(session, new_transfer_id(), user.id, 1, Bucket.PAID, ORIGIN)

    with pytest.raises(IntegrityError, match="open for more than an hour"):
        await grant_an_hour_ago()
    assert await sealed(database) == []


async def test_sealers_at_once_seal_every_transfer_once(database: Database) -> None:
    await grants(database, 20)
    found = await asyncio.gather(*(sealed(database, limit=3) for _ in range(4)))
    assert sum(block.rows for blocks in found for block in blocks) == 20
    verdict = await verified(database)
    assert (verdict.ok, verdict.rows) == (True, 20)


async def test_a_sealer_that_dies_before_its_commit_leaves_nothing_and_the_next_one_goes_on(
    database: Database,
) -> None:
    await grants(database, 4)

    async def seal_and_die() -> None:
        async with database.transaction() as session:
            assert await journal.seal(session, KEY, limit=2)
            raise ConnectionError("the process ends here")

    with pytest.raises(ConnectionError):
        await seal_and_die()
    assert await run_sql(database, "SELECT FROM journal_entries") == []
    assert [block.first_position for block in await sealed(database, limit=2)] == [1, 3]
    assert (await verified(database)).ok


async def test_without_a_key_blocks_are_sealed_unsigned_and_the_first_signature_vouches_for_them(
    database: Database,
) -> None:
    await grants(database, 1)
    [block] = await sealed(database, key=None)
    assert (block.key_id, block.signature) == (None, None)
    assert FaultKind.WRONG_SIGNATURE in [fault.kind for fault in (await verified(database)).faults]
    await grants(database, 1)
    await sealed(database)
    verdict = await verified(database)
    assert (verdict.ok, verdict.unsigned_blocks) == (True, 1)


@pytest.mark.parametrize("table", ["journal_blocks", "journal_entries"])
async def test_what_is_sealed_cannot_be_changed_or_deleted(database: Database, table: str) -> None:
    await grants(database, 1)
    await sealed(database)
    for statement in (f"DELETE FROM {table}", f"UPDATE {table} SET height = 9", f"TRUNCATE {table} CASCADE"):
        with pytest.raises(IntegrityError, match="written once"):
            await run_sql(database, statement)


TAMPERING = {
    "changed position 2": "UPDATE transfers SET reason = 'x' WHERE id = :transfer",
    "changed position 2 ": "UPDATE postings SET amount = amount * 2 WHERE transfer_id = :transfer",
    "removed position 2": "DELETE FROM transfers WHERE id = :transfer",
    " removed position 2": "DELETE FROM journal_entries WHERE transfer_id = :transfer",
    "removed block 1": "DELETE FROM journal_blocks WHERE height = 1",
    "wrong_block block 1": "UPDATE journal_blocks SET sealed_at = now() WHERE height = 1",
    "wrong_signature block 1": "UPDATE journal_blocks SET signature = repeat('A', 86) WHERE height = 1",
    "an entry of the journal outside its block": """
        INSERT INTO journal_entries SELECT 99, 1, gen_random_uuid(), hash FROM journal_entries WHERE position = 1""",
}


@pytest.mark.parametrize("finding", TAMPERING)
async def test_the_audit_names_what_was_changed_behind_the_triggers(database_url: str, finding: str) -> None:
    database = Database(database_url)
    await grants(database, 3)
    await sealed(database, limit=2)
    [(transfer,)] = await run_sql(database, "SELECT transfer_id FROM journal_entries WHERE position = 2")
    assert await audited(database) == []
    await tampered(database, TAMPERING[finding], transfer=transfer)
    found = await audited(database)
    assert any(finding.strip() in sentence for sentence in found), found
    if "position 2" in finding and "journal_entries" not in TAMPERING[finding]:
        assert any(str(transfer) in sentence for sentence in found), found
    await database.aclose()


async def test_the_audit_names_a_transfer_that_no_block_can_contain_any_more(database: Database) -> None:
    await grants(database, 2)
    await tampered(
        database,
        """INSERT INTO journal_blocks (height, first_position, rows, last_hash, prev_hash, hash, sealed_at,
                                       last_seq, sealed_through)
           SELECT 1, 1, 1, sha256('a'), sha256('b'), sha256('c'), now(), max(seq), max(seq) FROM transfers""",
    )
    assert len([line for line in await audited(database) if line.startswith("an unsealed transfer")]) == 2


async def tampered(database: Database, statement: str, **values: object) -> None:
    """As a superuser can, whom no trigger stops."""
    await run_sql(database, "SET LOCAL session_replication_role = replica", statement, **values)
