from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from pydantic import SecretStr

from contracts.journal.verify import verify
from contracts.settings import Settings
from contracts.signing import key_id_of, new_key_pem
from db.engine import Database
from dev.servers.issuer import Issuer
from tests.api.acts import Login, Person, assert_problem, grant
from tests.api.serving import Api, served
from tests.books import run_sql

JOURNAL = "/v1/finance/journal"


@pytest_asyncio.fixture(scope="module")
async def signing_api(api_settings: Settings) -> AsyncIterator[Api]:
    key = SecretStr(new_key_pem())
    async with served(api_settings.model_copy(update={"signing_key": key})) as running:
        yield running


@pytest_asyncio.fixture
async def finance(signing_api: Api, issuer: Issuer) -> AsyncIterator[Person]:
    token = issuer.signer.mint("books", ["finance"])
    async with Person(
        base_url=signing_api.url, headers={"Authorization": f"Bearer {token}"}, trust_env=False
    ) as person:
        yield person


async def test_the_export_is_complete_up_to_now_and_signed(
    finance: Person, admin: Person, login: Login, database: Database
) -> None:
    await finance.get(JOURNAL)
    await grant(admin, login("newcomer"), 7)
    answer = await finance.get(JOURNAL)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/jsonl"
    key = (await finance.get(f"{JOURNAL}/key")).json()
    assert key_id_of(key["public_key_pem"]) == key["key_id"]
    verdict = verify(answer.content.splitlines(keepends=True), trusted=frozenset({key["key_id"]}))
    assert verdict.origin_proven, verdict
    [count] = await run_sql(database, "SELECT count(*) AS transfers FROM transfers")
    assert verdict.rows == count.transfers == int(answer.headers["journal-rows"])


@pytest.mark.parametrize("how", [{"params": {"format": "csv"}}, {"headers": {"Accept": "text/csv"}}])
async def test_a_spreadsheet_gets_csv(finance: Person, how: dict[str, Any]) -> None:
    answer = await finance.get(JOURNAL, **how)
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.headers["content-disposition"] == 'attachment; filename="journal.csv"'
    assert verify(answer.content.splitlines(keepends=True)).ok


async def test_a_part_is_exported_in_whole_blocks(finance: Person, admin: Person, login: Login) -> None:
    await finance.get(JOURNAL)
    before = verify((await finance.get(JOURNAL)).content.splitlines(keepends=True))
    await grant(admin, login("newcomer"), 7)
    answer = await finance.get(JOURNAL, params={"from_position": before.last_position + 1})
    verdict = verify(answer.content.splitlines(keepends=True), expected_block=before.last_block)
    assert (verdict.ok, verdict.first_position) == (True, before.last_position + 1)
    assert verdict.rows >= 1


async def test_each_export_is_in_the_log_of_staff(finance: Person, database: Database) -> None:
    counted = (
        "SELECT count(*) AS rows FROM staff_log WHERE action LIKE '%/finance/journal' AND role = 'finance'"
    )
    [before] = await run_sql(database, counted)
    await finance.get(JOURNAL)
    [after] = await run_sql(database, counted)
    assert after.rows == before.rows + 1


async def test_support_and_users_may_not_export_the_books(login: Login, api: Api) -> None:
    for person in (login("agent", "support"), login("fan")):
        assert_problem(await person.get(JOURNAL), 403, "forbidden")
        assert_problem(await person.get(f"{JOURNAL}/key"), 403, "forbidden")


async def test_a_platform_without_a_key_says_so(
    login: Login, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api.services.settings, "signing_key", SecretStr(""))
    unsigned = await login("books", "finance").get(f"{JOURNAL}/key")
    assert_problem(unsigned, 503, "signing_unavailable")
    assert "retry-after" not in unsigned.headers, "trying again does not help"


async def test_positions_are_positive(finance: Person) -> None:
    assert_problem(await finance.get(JOURNAL, params={"from_position": 0}), 422, "validation_failed")
    beyond = await finance.get(JOURNAL, params={"from_position": 10**12})
    assert verify(beyond.content.splitlines(keepends=True)).rows == 0
