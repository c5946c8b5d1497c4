from __future__ import annotations

import subprocess
import sys

import pytest

from cli.exits import Exit
from dev.servers.issuer import Issuer
from dev.servers.ports import free_port
from tests.api.serving import Api
from tests.cli.conftest import Echoshot


def test_importing_the_command_line_loads_nothing_heavy():
    heavy = {"av", "cv2", "ncnn", "numpy", "temporalio", "sqlalchemy", "psycopg", "boto3", "fastapi"}
    code = f"import sys, cli.main; print(sorted({heavy!r} & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


@pytest.mark.parametrize("arguments", [(), ("dance",), ("enhance",), ("enhance", "a.mp4", "--fps", "61")])
async def test_wrong_usage_ends_with_2(echoshot: Echoshot, arguments: tuple[str, ...]):
    ended = await echoshot(*arguments)
    assert ended.exit == Exit.USAGE
    assert "usage: echoshot" in ended.err


async def test_help_names_every_exit_code(echoshot: Echoshot):
    ended = await echoshot("--help")
    assert ended.exit == Exit.OK
    for exit in Exit:
        assert f" {int(exit)} " in ended.out.replace("\n", " ")


async def test_help_speaks_korean(echoshot: Echoshot, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LANG", "ko_KR.UTF-8")
    assert "종료 코드" in (await echoshot("enhance", "--help")).out


async def test_without_an_address_or_a_token_it_says_what_to_do(echoshot: Echoshot):
    nowhere = await echoshot("balance")
    assert (nowhere.exit, "--api" in nowhere.err) == (Exit.USAGE, True)
    nobody = await echoshot("balance", "--api", "http://127.0.0.1:9")
    assert (nobody.exit, "echoshot login" in nobody.err) == (Exit.NOT_ALLOWED, True)


@pytest.mark.parametrize("url", ["not an address", "ftp://example.com", "http://", "http://[::1"])
async def test_what_is_no_address_is_said_to_be_none(echoshot: Echoshot, url: str):
    ended = await echoshot("balance", "--api", url, "--token", "t")
    assert (ended.exit, "Not a usable address" in ended.err) == (Exit.USAGE, True)
    ended = await echoshot("login", "--api", "http://127.0.0.1:9", "--issuer", url, "--user", "alice")
    assert ended.exit == Exit.USAGE


async def test_a_server_that_is_away_is_asked_again_and_then_reported(
    echoshot: Echoshot, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("cli.api.PATIENCE_S", 1.0)
    address = f"http://127.0.0.1:{free_port()}"
    ended = await echoshot("balance", "--api", address, "--token", "t", "--json")
    assert ended.exit == Exit.UNREACHABLE
    assert address.removeprefix("http://") in ended.err
    assert ended.documents == [
        {"type": "error", "exit": 6, "code": "", "message": ended.err.strip()},
    ]


async def test_a_server_that_is_something_else_is_reported_as_such(echoshot: Echoshot, issuer: Issuer):
    ended = await echoshot("balance", "--api", issuer.url, "--token", "t")
    assert ended.exit == Exit.UNREACHABLE
    assert "404" in ended.err


async def test_signing_in_with_a_token_is_remembered(echoshot: Echoshot, api: Api, issuer: Issuer):
    token = issuer.signer.mint("alice")
    ended = await echoshot("login", "--api", f"{api.url}/", "--token", token, "--json")
    assert ended.exit == Exit.OK
    assert ended.document("me")["subject"] == "alice"
    assert (await echoshot("balance")).exit == Exit.OK


async def test_a_token_that_the_api_refuses_is_not_remembered(echoshot: Echoshot, api: Api, issuer: Issuer):
    expired = issuer.signer.mint("alice", ttl_s=-60)
    ended = await echoshot("login", "--api", api.url, "--token", expired)
    assert ended.exit == Exit.NOT_ALLOWED
    assert (await echoshot("balance", "--api", api.url)).exit == Exit.NOT_ALLOWED


async def test_the_issuer_must_be_there_and_know_the_user(echoshot: Echoshot, api: Api, issuer: Issuer):
    no_user = await echoshot("login", "--api", api.url, "--issuer", issuer.url, "--user", " ")
    assert no_user.exit == Exit.NOT_ALLOWED
    nobody = await echoshot(
        "login", "--api", api.url, "--issuer", f"http://127.0.0.1:{free_port()}", "--user", "a"
    )
    assert nobody.exit == Exit.UNREACHABLE
    nothing = await echoshot("login", "--api", api.url)
    assert nothing.exit == Exit.USAGE


async def test_answers_of_the_api_come_in_the_users_language(
    echoshot: Echoshot, fan: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("LANG", "ko_KR.UTF-8")
    ended = await echoshot("job", f"job_{'0' * 32}")
    assert (ended.exit, "찾을 수 없습니다" in ended.err) == (Exit.USAGE, True)
