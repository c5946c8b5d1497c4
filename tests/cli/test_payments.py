"""Buying and paying by card from the command line, against the real API, workflows and a payment stand-in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
import pytest_asyncio
from temporalio.client import Client

from cli.exits import Exit
from contracts.queues import Queue
from contracts.settings import Settings
from dev.servers.issuer import Issuer
from dev.servers.standins import StripeStandIn
from tests.api.till import ASKS_BANK, DECLINED, VISA, WITHOUT_MONEY, Till, let_api_wait, open_till
from tests.cli.conftest import Echoshot, Start
from tests.faulty_proxy import FaultyProxy
from tests.workflows.house import until, workers


@pytest_asyncio.fixture
async def closed_till(
    platform_settings: Settings,
    temporal_client: Client,
    stripe_standin: StripeStandIn,
    issuer: Issuer,
    echoshot: Echoshot,
) -> AsyncIterator[Till]:
    """A customer without credits is signed in; no worker answers yet."""
    async with open_till(platform_settings, temporal_client, stripe_standin, issuer) as opened:
        signed_in = await echoshot(
            "login", "--api", opened.api.url, "--issuer", issuer.url, "--user", uuid4().hex
        )
        assert signed_in.exit == Exit.OK
        yield opened


@pytest_asyncio.fixture
async def till(closed_till: Till, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Till]:
    let_api_wait(monkeypatch)
    async with workers(closed_till.shop.house):
        yield closed_till


async def test_packages_are_listed_bought_and_found_again(till: Till, echoshot: Echoshot, home: Path):
    listed = await echoshot("credits", "packages")
    assert listed.exit == Exit.OK
    assert "10,000 won" in listed.out

    bought = await echoshot("credits", "buy", "100", "--payment-method", VISA, "--json")
    assert bought.exit == Exit.OK, bought
    purchase = bought.document("purchase")["purchase"]
    assert (purchase["status"], purchase["amount_krw"]) == ("PAID", 10_000)
    assert bought.document("balance")["available"] == 100
    assert list((home / "state").rglob("*.json")) == []

    payments = await echoshot("payments", "list", "--json")
    assert [p["id"] for p in payments.document("payments")["data"]] == [purchase["id"]]
    shown = await echoshot("payments", "show", purchase["id"])
    assert purchase["id"] in shown.out
    assert "paid" in shown.out


async def test_without_a_saved_card_the_app_is_told_how_to_pay(till: Till, echoshot: Echoshot):
    ended = await echoshot("credits", "buy", "500", "--json")
    assert ended.exit == Exit.NOT_PAID
    assert "Complete the payment in the app" in ended.document("error")["message"]
    answer = ended.document("purchase")
    assert answer["checkout"]["client_secret"]
    assert answer["purchase"]["status"] == "AWAITING_PAYMENT"
    assert (
        "Complete the payment in the app"
        in (await echoshot("payments", "show", answer["purchase"]["id"])).out
    )


async def test_a_card_that_asks_the_bank_is_handed_back_to_its_owner(till: Till, echoshot: Echoshot):
    ended = await echoshot("credits", "buy", "100", "--payment-method", ASKS_BANK, "--json")
    assert ended.exit == Exit.NOT_PAID
    assert "Complete the payment in the app" in ended.err
    assert ended.document("purchase")["action_required"] is True


async def test_a_declined_card_ends_with_7_and_leaves_no_trace(till: Till, echoshot: Echoshot, home: Path):
    ended = await echoshot("credits", "buy", "100", "--payment-method", DECLINED, "--json")
    assert ended.exit == Exit.NOT_PAID
    assert ended.document("error")["code"] == "payment_declined"
    assert list((home / "state").rglob("*.json")) == []


@pytest.mark.parametrize(
    ("language", "words"),
    [("en_US.UTF-8", "not enough money"), ("ko_KR.UTF-8", "잔액이나 한도가 부족합니다")],
)
async def test_a_card_without_money_says_so_in_the_users_language(
    till: Till, echoshot: Echoshot, clip: Path, monkeypatch: pytest.MonkeyPatch, language: str, words: str
):
    monkeypatch.setenv("LC_ALL", language)
    bought = await echoshot("credits", "buy", "100", "--payment-method", WITHOUT_MONEY, "--json")
    assert words in bought.document("error")["message"]
    purchase = bought.document("purchase")["purchase"]["id"]
    assert words in (await echoshot("payments", "show", purchase)).out
    charged = await echoshot("enhance", clip, "--charge", WITHOUT_MONEY, "--json")
    assert words in charged.document("error")["message"]


async def test_a_purchase_that_nobody_has_answered_yet_is_not_called_done(
    closed_till: Till, echoshot: Echoshot, monkeypatch: pytest.MonkeyPatch
):
    wish = ("credits", "buy", "100", "--payment-method", VISA, "--json")
    with monkeypatch.context() as patched:
        patched.setattr("cli.payments.WAIT_S", 1.0)
        waiting = await echoshot(*wish)
    assert waiting.exit == Exit.NOT_PAID, waiting
    purchase = waiting.document("purchase")["purchase"]
    assert purchase["status"] == "CREATED"
    assert "Waiting for the payment service" in waiting.err
    assert "has not answered yet" in waiting.document("error")["message"]

    async with workers(closed_till.shop.house):
        again = await echoshot(*wish)

    assert again.exit == Exit.OK, again
    assert again.document("purchase")["purchase"]["id"] == purchase["id"]
    assert len(await closed_till.shop.payments()) == 1


async def test_a_wrong_package_is_wrong_usage(till: Till, echoshot: Echoshot, home: Path):
    ended = await echoshot("credits", "buy", "7", "--json")
    assert (ended.exit, ended.document("error")["code"]) == (Exit.USAGE, "package_unknown")
    assert list((home / "state").rglob("*.json")) == []


async def test_a_run_that_was_cut_off_is_not_paid_twice(closed_till: Till, echoshot: Echoshot, start: Start):
    wish = ("credits", "buy", "100", "--payment-method", VISA, "--json")
    running = await start(*wish)
    assert running.process.stderr is not None
    assert b"Waiting for the payment service" in await running.process.stderr.readline()
    running.interrupt()
    assert (await running.ended()).exit == Exit.INTERRUPTED

    async with workers(closed_till.shop.house):
        again = await echoshot(*wish)

    assert again.exit == Exit.OK
    assert "which was interrupted before" in again.err
    assert again.document("balance")["available"] == 100
    assert len(await closed_till.shop.payments()) == 1


async def test_a_job_is_charged_to_a_card(till: Till, echoshot: Echoshot, clip: Path):
    ended = await echoshot("enhance", clip, "--charge", VISA, "--refund-to", "credits", "--no-wait", "--json")
    assert ended.exit == Exit.OK, ended
    charge = ended.document("job")["charge"]
    assert (charge["amount_krw"], charge["refund_to"]) == (1_000, "credits")
    assert "1,000 won are charged to the card" in ended.err


async def test_a_charged_job_without_a_result_says_where_the_money_is(
    closed_till: Till, echoshot: Echoshot, clip: Path, monkeypatch: pytest.MonkeyPatch
):
    # Nobody checks the file, so that the job is still under way when it is cancelled.
    async with workers(closed_till.shop.house, Queue.CORE, Queue.PROVIDERS):
        started = await echoshot(
            "enhance", clip, "--charge", VISA, "--refund-to", "credits", "--no-wait", "--json"
        )
        job, purchase = (started.document("job")[name] for name in ("id", "charge"))

        async def paid() -> bool:
            shown = await echoshot("payments", "show", purchase["purchase_id"], "--json")
            return shown.document("purchase")["purchase"]["status"] == "PAID"

        await until(paid)
        assert (await echoshot("cancel", job)).exit == Exit.OK
        ended = await echoshot("watch", job)
    assert ended.exit == Exit.JOB_FAILED, ended
    assert "No credits were used. The payment stays with you as credits." in ended.err
    monkeypatch.setenv("LC_ALL", "ko_KR.UTF-8")
    assert "결제 금액은 크레딧으로 남아 있습니다." in (await echoshot("watch", job)).err


@pytest.mark.parametrize("wait", [(), ("--no-wait",)])
async def test_a_job_whose_card_is_declined_ends_with_7_and_says_so(
    till: Till, echoshot: Echoshot, clip: Path, home: Path, wait: tuple[str, ...]
):
    ended = await echoshot("enhance", clip, "--charge", DECLINED, "--json", *wait)
    assert ended.exit == Exit.NOT_PAID, ended
    error = ended.document("error")
    assert error["code"] == "payment_declined"
    assert "The card was declined. Nothing was charged." in error["message"]
    assert list((home / "state").rglob("*.json")) == []


async def test_nothing_is_uploaded_once_the_card_is_known_to_be_declined(
    till: Till, echoshot: Echoshot, clip: Path, issuer: Issuer
):
    async def declined() -> bool:
        return [row["status"] for row in await till.rows("SELECT status FROM purchases")] == ["FAILED"]

    with FaultyProxy(int(till.api.url.rpartition(":")[2])) as proxy:
        # The answer is lost on its way; by the time the request is repeated, the card has been declined.
        proxy.lose = proxy.hold = "POST /v1/jobs "
        by_proxy = ("--api", proxy.endpoint, "--token", issuer.signer.mint(f"fan-{uuid4().hex}"))
        running = asyncio.ensure_future(echoshot("enhance", clip, "--charge", DECLINED, "--json", *by_proxy))
        await until(declined)
        proxy.release()
        ended = await running

    assert ended.exit == Exit.NOT_PAID, ended
    assert "are charged" not in ended.err
    [video] = await till.rows(
        "SELECT object_key FROM videos WHERE id = :id", id=ended.document("job")["source_video_id"]
    )
    assert await asyncio.to_thread(till.shop.house.rooms.store.head, video["object_key"]) is None


async def test_where_a_refund_goes_is_asked_only_of_a_charge(echoshot: Echoshot, clip: Path):
    ended = await echoshot("enhance", clip, "--refund-to", "card")
    assert (ended.exit, "belongs to --charge" in ended.err) == (Exit.USAGE, True)
