from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from cli.exits import Exit
from contracts.finance import CorrectionLeg
from contracts.ledger import AccountKind, Bucket
from db import corrections
from db.engine import Database
from tests.cli.conftest import CREDITS, Echoshot


async def test_the_balance_is_told_to_people_and_to_scripts(echoshot: Echoshot, fan: str):
    assert f"{CREDITS} credits available" in (await echoshot("balance")).out
    document = (await echoshot("balance", "--json")).document("balance")
    assert (document["available"], document["held"]) == (CREDITS, 0)


async def test_a_debt_is_told_with_the_balance(
    echoshot: Echoshot, fan: str, database: Database, monkeypatch: pytest.MonkeyPatch
):
    assert "owed" not in (await echoshot("balance")).out
    async with database.transaction() as session:
        query = text("SELECT id FROM users WHERE subject = :subject")
        user_id = (await session.execute(query, {"subject": fan})).scalar_one()
        legs = (
            CorrectionLeg(account=AccountKind.DEBT, bucket=Bucket.PAID, user_id=user_id, amount=40),
            CorrectionLeg(account=AccountKind.LOSSES, bucket=Bucket.PAID, amount=-40),
        )
        asked = await corrections.propose(session, legs=legs, reason="a test", actor="finance:kim")
        await corrections.approve(session, asked.id, "finance:lee")
    assert "40 credits are owed" in (await echoshot("balance")).out
    monkeypatch.setenv("LANG", "ko_KR.UTF-8")
    assert "갚아야 할 크레딧 40개" in (await echoshot("balance")).out
    assert (await echoshot("balance", "--json")).document("balance")["debt"] == 40


async def test_only_an_administrator_can_give_credits(echoshot: Echoshot, fan: str):
    ended = await echoshot("admin", "grant", "--user", fan, "--credits", 5, "--reason", "mine")
    assert ended.exit == Exit.NOT_ALLOWED
    assert (await echoshot("balance", "--json")).document("balance")["available"] == CREDITS


async def test_the_history_tells_every_change_and_goes_on_by_pages(echoshot: Echoshot, fan: str, clip: Path):
    assert (await echoshot("enhance", clip, "--no-wait")).exit == Exit.OK
    first = (await echoshot("history", "--limit", 1, "--json")).document("history")
    assert first["has_more"]
    assert (first["data"][0]["kind"], first["data"][0]["available_change"]) == ("hold", -10)
    rest = (await echoshot("history", "--after", first["data"][0]["id"], "--json")).document("history")
    assert [line["kind"] for line in rest["data"]] == ["grant"]
    assert "echoshot history --after" in (await echoshot("history", "--limit", 1)).out


async def test_a_job_that_costs_more_than_there_is_ends_with_4_and_leaves_no_trace(
    echoshot: Echoshot, fan: str, clip: Path, home: Path
):
    eleven_minutes = clip.with_name("long.mp4")
    header = (20).to_bytes(4, "big") + b"ftypmp42\0\0\0\0mp42"
    movie = bytes(12) + (1000).to_bytes(4, "big") + (660_000).to_bytes(4, "big") + bytes(12)
    movie = (len(movie) + 8).to_bytes(4, "big") + b"mvhd" + movie
    eleven_minutes.write_bytes(header + (len(movie) + 8).to_bytes(4, "big") + b"moov" + movie)

    ended = await echoshot("enhance", eleven_minutes, "--json")
    assert ended.exit == Exit.CREDITS_SHORT
    assert ended.document("error")["code"] == "credits_short"
    assert f"110 credits are needed, {CREDITS} are available." in ended.document("error")["message"]
    assert (await echoshot("jobs", "--json")).document("jobs")["data"] == []
    assert list((home / "state").rglob("*.json")) == []
