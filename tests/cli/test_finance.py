from __future__ import annotations

import json
from pathlib import Path

import pytest
import pytest_asyncio

from cli.exits import Exit
from contracts.settings import Settings
from contracts.signing import new_key_pem, signed, signing_key
from dev.servers.issuer import Issuer
from tests.api.serving import Api
from tests.cli.conftest import Echoshot


@pytest.fixture
def platform_settings(platform_settings: Settings) -> Settings:
    return Settings.model_validate({**platform_settings.model_dump(), "signing_key": new_key_pem()})


@pytest_asyncio.fixture
async def finance(api: Api, issuer: Issuer, fan: str, echoshot: Echoshot) -> tuple[str, ...]:
    """The options with which finance is signed in, on a platform with some transfers."""
    admin = ("--api", api.url, "--token", issuer.signer.mint("root", ["admin"]))
    for reason in ('선물, "free"', "=1+1"):
        assert (
            await echoshot("admin", "grant", *admin, "--user", fan, "--credits", 5, "--reason", reason)
        ).exit == Exit.OK
    return "--api", api.url, "--token", issuer.signer.mint("books", ["finance"])


@pytest_asyncio.fixture
async def key(finance: tuple[str, ...], echoshot: Echoshot, home: Path) -> Path:
    path = home / "key.pem"
    path.write_text((await echoshot("finance", "key", *finance)).out)
    return path


@pytest.mark.parametrize("format", ["jsonl", "csv"])
async def test_an_exported_journal_verifies_offline(
    echoshot: Echoshot, finance: tuple[str, ...], key: Path, format: str
):
    exported = await echoshot("finance", "export", "--format", format, "--json", *finance)
    assert exported.exit == Exit.OK, exported
    path = Path(exported.document("export")["path"])
    assert (path.name, exported.document("export")["rows"]) == (f"journal.{format}", 3)

    # Nobody is signed in there.
    verified = await echoshot("finance", "verify", path, "--key", key, "--json")
    verdict = verified.document("verdict")
    assert (verified.exit, verdict["ok"], verdict["origin_proven"]) == (Exit.OK, True, True)
    again = await echoshot("finance", "verify", path, "--expect-hash", verdict["last_block"].upper())
    assert again.exit == Exit.OK
    assert "integrity, not origin" in again.err
    assert (await echoshot("finance", "verify", path, "--expect-hash", "ab" * 32)).exit == Exit.FAULTY


@pytest.mark.parametrize("format", ["jsonl", "csv"])
@pytest.mark.parametrize(
    ("language", "changed", "removed"),
    [
        ("en_US.UTF-8", "changed: row 2", "removed: row 2"),
        ("ko_KR.UTF-8", "내용이 바뀜: 2번 행", "빠짐: 2번 행"),
    ],
)
async def test_what_was_done_to_a_row_is_told_in_the_users_language(
    echoshot: Echoshot,
    finance: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    format: str,
    language: str,
    changed: str,
    removed: str,
):
    monkeypatch.setenv("LC_ALL", language)
    assert (await echoshot("finance", "export", "--format", format, *finance)).exit == Exit.OK
    path = Path(f"journal.{format}")
    lines = path.read_bytes().splitlines(keepends=True)
    [row] = [n for n, line in enumerate(lines) if b"free" in line]

    path.write_bytes(b"".join([*lines[:row], lines[row].replace(b"free", b"paid"), *lines[row + 1 :]]))
    told = await echoshot("finance", "verify", path)
    assert told.exit == Exit.FAULTY
    assert changed in told.out
    path.write_bytes(b"".join([*lines[:row], *lines[row + 1 :]]))
    told = await echoshot("finance", "verify", path)
    assert told.exit == Exit.FAULTY
    assert removed in told.out
    path.write_bytes(b"".join(lines[:-1]))
    assert (await echoshot("finance", "verify", path)).exit == Exit.FAULTY


async def test_a_file_that_was_saved_again_is_called_so(
    echoshot: Echoshot, finance: tuple[str, ...], key: Path
) -> None:
    path = key.parent / "books.csv"
    exported = await echoshot("finance", "export", "--format", "csv", "-o", path, *finance)
    assert exported.exit == Exit.OK
    sealed = path.read_bytes()
    path.write_bytes(b"\xef\xbb\xbf" + sealed.replace(b"\n", b"\r\n"))
    told = await echoshot("finance", "verify", path, "--key", key)
    assert told.exit == Exit.OK
    assert "saved the file again (a byte order mark, CRLF line ends)" in told.err
    path.write_bytes(sealed.replace(b",", b";"))
    told = await echoshot("finance", "verify", path, "--key", key)
    assert told.exit == Exit.FAULTY
    assert "saved again by a spreadsheet or an editor: the file (other separators" in told.out
    assert "Verify the file as it was exported" in told.out


async def test_only_finance_may_export_and_a_refused_export_leaves_no_file(
    echoshot: Echoshot, finance: tuple[str, ...], home: Path
):
    refused = await echoshot("finance", "export", "-o", home / "mine.jsonl")
    assert refused.exit == Exit.NOT_ALLOWED
    assert not [path for path in home.iterdir() if "mine" in path.name]


async def test_an_existing_file_is_replaced_only_when_that_is_asked_for(
    echoshot: Echoshot, finance: tuple[str, ...], home: Path
):
    path = home / "old.jsonl"
    path.write_text("old")
    assert (await echoshot("finance", "export", "-o", path, *finance)).exit == Exit.USAGE
    assert path.read_text() == "old"
    assert (await echoshot("finance", "export", "-f", "-o", path, *finance)).exit == Exit.OK
    assert path.read_text() != "old"


async def test_a_receipt_is_verified_too_and_a_changed_one_is_found(echoshot: Echoshot, home: Path):
    key = signing_key(new_key_pem())
    assert key is not None
    path = home / "receipt.json"
    receipt = signed({"job_id": "job_1", "amount_krw": 700, "steps": [{"name": "환불"}]}, key)
    path.write_text(json.dumps(receipt, ensure_ascii=False, indent=2))
    (home / "id.txt").write_text(key.key_id)
    assert (await echoshot("finance", "verify", path)).exit == Exit.OK
    assert (await echoshot("finance", "verify", path, "--key", home / "id.txt")).exit == Exit.OK

    (home / "id.txt").write_text("A" * 43)
    assert (await echoshot("finance", "verify", path, "--key", home / "id.txt")).exit == Exit.FAULTY
    path.write_text(json.dumps({**receipt, "amount_krw": 7000}))
    assert (await echoshot("finance", "verify", path)).exit == Exit.FAULTY


async def test_a_missing_file_or_key_is_wrong_usage(echoshot: Echoshot, home: Path):
    assert (await echoshot("finance", "verify", home / "none.jsonl")).exit == Exit.USAGE
    (home / "empty").touch()
    assert (await echoshot("finance", "verify", home / "empty", "--key", home / "empty")).exit == Exit.USAGE
    assert (await echoshot("finance", "verify", home / "empty")).exit == Exit.FAULTY
