"""Buying credits and paying jobs by card, on the running platform, with Stripe's and PortOne's stand-ins behind it.

After every story the books, finance's reconciliation and the providers' own ledgers must agree.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from dev.clips.writer import steady, write
from dev.platform import Api, Platform
from dev.servers.ports import free_port
from tests.e2e.money import (
    ASKS_BANK,
    DECLINED,
    VISA,
    Buyer,
    assert_agreed,
    buyer,
    charge,
    payment_ref,
    stripe_of,
)
from tests.workflows.house import until

pytestmark = pytest.mark.slow


@pytest_asyncio.fixture
async def fan(platform: Platform) -> AsyncIterator[Buyer]:
    async with buyer(platform) as fan:
        yield fan


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fifth of a second."""
    return write(tmp_path_factory.mktemp("clips") / "tiny.mp4", steady(6, 30, (64, 48)))


@pytest.fixture(scope="module")
def no_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("clips") / "notes.mp4"
    file.write_bytes(b"This is not a video. " * 100)
    return file


# ---- packages -------------------------------------------------------------------------------------------


async def test_a_package_is_paid_in_the_app(platform: Platform, fan: Buyer) -> None:
    answer = await fan.buy("500")
    assert (answer["purchase"]["amount_krw"], answer["purchase"]["credits"]) == (40_000, 500)
    assert (await fan.pay(answer["checkout"])).json()["status"] == "succeeded"

    purchase = await fan.until_purchase(answer["purchase"], "PAID")

    assert await fan.balance() == (500, 0)
    receipt = (await fan.http.get(purchase["receipt_url"])).raise_for_status().json()
    assert (receipt["amount_krw"], receipt["refunded_krw"]) == (40_000, 0)
    assert receipt["signature"]
    await assert_agreed(platform)


async def test_a_saved_card_pays_without_the_app(platform: Platform, fan: Buyer) -> None:
    await fan.bought("1000")
    assert await fan.balance() == (1_000, 0)
    await assert_agreed(platform)


async def test_a_declined_customer_pays_with_another_card(platform: Platform, fan: Buyer) -> None:
    answer = await fan.buy()
    assert (await fan.pay(answer["checkout"], DECLINED)).status_code == 402

    async def is_told() -> bool:
        return (await fan.payment(answer["purchase"]))["declined"] is not None

    await until(is_told)
    assert (await fan.payment(answer["purchase"]))["declined"]["reason"] == "refused"
    assert await fan.balance() == (0, 0)
    checkout = (await fan.payment(answer["purchase"]))["checkout"]
    assert (await fan.pay(checkout)).json()["status"] == "succeeded"
    await fan.until_purchase(answer["purchase"], "PAID")
    assert await fan.balance() == (100, 0)
    await assert_agreed(platform)


async def test_the_bank_asks_the_customer_first(platform: Platform, fan: Buyer) -> None:
    answer = await fan.buy()
    ref = answer["checkout"]["provider_ref"]
    for outcome in ("fail", "succeed"):
        assert (await fan.pay(answer["checkout"], ASKS_BANK)).json()["status"] == "requires_action"
        assert await fan.balance() == (0, 0)
        await fan.stripe.post(f"3ds/{ref}", outcome=outcome)
    await fan.until_purchase(answer["purchase"], "PAID")
    assert await fan.balance() == (100, 0)
    await assert_agreed(platform)


async def test_portone_sells_too_and_its_console_cancels(platform: Platform, fan: Buyer) -> None:
    portone = platform.stack.portone
    assert portone is not None
    answer = await fan.buy(provider="portone")
    window = {"paymentId": answer["checkout"]["payment_id"], "amount": 10_000}
    await portone.control.post("pay", **window, card="declined")
    assert await fan.balance() == (0, 0)
    await portone.control.post("pay", **window, card="ok")
    await fan.until_purchase(answer["purchase"], "PAID")

    await portone.control.post("cancel", paymentId=window["paymentId"], amount=4_000)

    await fan.until_refunds(answer["purchase"], (4_000, 40, "provider_dashboard", "SUCCEEDED"))
    assert await fan.balance() == (60, 0)
    await assert_agreed(platform)


async def test_a_purchase_that_is_canceled_can_no_longer_be_paid(platform: Platform, fan: Buyer) -> None:
    answer = await fan.buy()
    assert (await fan.post(f"/v1/payments/{answer['purchase']['id']}/cancel")).status_code == 202
    ended = await fan.until_purchase(answer["purchase"], "CANCELED")
    assert ended["failure"]["code"] == "payment_canceled"
    assert (await fan.pay(answer["checkout"])).status_code == 400
    assert await fan.balance() == (0, 0)
    await assert_agreed(platform)


# ---- jobs paid by card ----------------------------------------------------------------------------------


async def test_a_charged_job_succeeds_and_what_it_costs_less_goes_back(
    platform: Platform, fan: Buyer, tiny: Path, tmp_path: Path
) -> None:
    job = await fan.open_job(
        tiny, announce={"duration_ms": 61_000}, funding=charge(), upscaler="lanczos", fps="source"
    )
    assert job["charge"]["amount_krw"] == 2_000
    await fan.upload(job, tiny)

    ended = await fan.wait(job["id"])

    assert (ended["status"], ended["credit_effect"]) == ("SUCCEEDED", "captured"), ended
    await fan.download(job["id"], tmp_path / "result.mp4")
    await fan.until_refunds(purchase_of(job), (1_000, 10, "job_cheaper", "SUCCEEDED"))
    assert await fan.balance() == (0, 0)
    receipt = (await fan.http.get(f"/v1/jobs/{job['id']}/receipt")).raise_for_status().json()
    assert (receipt["captured_credits"], receipt["paid_krw"], receipt["refunded_krw"]) == (10, 2_000, 1_000)
    await assert_agreed(platform)


async def test_a_charged_job_that_fails_gives_the_money_back(
    platform: Platform, fan: Buyer, no_video: Path
) -> None:
    job = await fan.start_charged(no_video)
    ended = await fan.wait(job["id"])
    assert (ended["status"], ended["failure"]["code"]) == ("FAILED", "not_a_video")
    await fan.until_refunds(purchase_of(job), (1_000, 10, "job_failed", "SUCCEEDED"))
    assert (await fan.job(job["id"]))["credit_effect"] == "refunded"
    assert await fan.balance() == (0, 0)
    await assert_agreed(platform)


async def test_or_keeps_the_credits_when_the_customer_wished_so(
    platform: Platform, fan: Buyer, no_video: Path
) -> None:
    job = await fan.start_charged(no_video, refund_to="credits")
    ended = await fan.wait(job["id"])
    assert (ended["status"], ended["credit_effect"]) == ("FAILED", "released")
    await fan.until_refunds(purchase_of(job))
    assert await fan.balance() == (10, 0)
    await assert_agreed(platform)


async def test_a_charged_job_is_canceled_while_it_is_processed(
    platform: Platform, fan: Buyer, tmp_path: Path
) -> None:
    source = write(tmp_path / "long.mp4", steady(60, 30))
    job = await fan.start_charged(source)
    await fan.wait(job["id"], {"RUNNING"})
    assert (await fan.post(f"/v1/jobs/{job['id']}/cancel")).status_code == 202
    ended = await fan.wait(job["id"])
    assert ended["status"] == "CANCELED"
    await fan.until_refunds(purchase_of(job), (1_000, 10, "job_canceled", "SUCCEEDED"))
    assert await fan.balance() == (0, 0)
    await assert_agreed(platform)


async def test_a_declined_card_ends_its_job_and_costs_nothing(
    platform: Platform, fan: Buyer, tiny: Path
) -> None:
    job = await fan.open_job(tiny, funding=charge(DECLINED))
    ended = await fan.wait(job["id"])
    assert (ended["status"], ended["failure"]["code"]) == ("FAILED", "payment_declined")
    assert (ended["charge"]["status"], ended["credit_effect"]) == ("FAILED", "none")
    await assert_agreed(platform)


# ---- time is up -----------------------------------------------------------------------------------------


class HurriedApi(Api):
    """Gives people seconds where the platform gives them hours."""

    name = "api-hurried"


@asynccontextmanager
async def hurried_buyer(platform: Platform, **deadlines: int) -> AsyncIterator[Buyer]:
    """Of an API with these deadlines, in seconds; all others are long, so that no test meets one that it is not of."""
    port = free_port()
    environment = {
        **platform.environment,
        **{f"ECHOSHOT_{name.upper()}": str(seconds) for name, seconds in deadlines.items()},
        "ECHOSHOT_API_PORT": str(port),
        "ECHOSHOT_PUBLIC_URL": f"http://127.0.0.1:{port}",
    }
    api = HurriedApi(platform.api.log_path.parent, port, environment)
    await api.start()
    try:
        async with buyer(platform, url=api.url) as fan:
            yield fan
    finally:
        await api.stop()


LONG_ENOUGH_S = 10
"""For the provider to hear of a payment before its time is up."""


async def test_a_job_whose_card_is_never_confirmed_expires_unpaid(platform: Platform, tiny: Path) -> None:
    async with hurried_buyer(platform, deadlines__payment_s=LONG_ENOUGH_S) as fan:
        job = await fan.open_job(tiny, funding=charge(ASKS_BANK))
        asked = await fan.until_answered(purchase_of(job))
        assert asked["action_required"]
        ended = await fan.wait(job["id"])
        assert (ended["status"], ended["failure"]["code"]) == ("EXPIRED", "payment_expired")
        await fan.until_purchase(purchase_of(job), "CANCELED", "EXPIRED")
        assert (await fan.pay(asked["checkout"], VISA)).status_code == 400
        assert await fan.balance() == (0, 0)
    await assert_agreed(platform)


async def test_a_paid_job_whose_file_never_comes_expires_and_is_refunded(
    platform: Platform, tiny: Path
) -> None:
    async with hurried_buyer(platform, deadlines__upload_s=1) as fan:
        job = await fan.open_job(tiny, funding=charge())
        ended = await fan.wait(job["id"])
        assert (ended["status"], ended["failure"]["code"]) == ("EXPIRED", "upload_expired")
        await fan.until_refunds(purchase_of(job), (1_000, 10, "job_expired", "SUCCEEDED"))
        assert await fan.balance() == (0, 0)
    await assert_agreed(platform)


async def test_a_package_that_nobody_pays_expires_at_the_provider_too(platform: Platform) -> None:
    async with hurried_buyer(platform, purchase_deadlines__payment_s=LONG_ENOUGH_S) as fan:
        answer = await fan.buy()
        await fan.until_purchase(answer["purchase"], "EXPIRED")
        ref = await payment_ref(platform, answer["purchase"])
        payments = (await stripe_of(platform).get("ledger"))["payments"]
        assert [each["status"] for each in payments if each["id"] == ref] == ["canceled"]
    await assert_agreed(platform)


def purchase_of(job: dict) -> dict[str, str]:
    return {"id": job["charge"]["purchase_id"]}
