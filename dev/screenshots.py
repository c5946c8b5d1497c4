"""`python -m dev.screenshots`: takes the pictures of docs/support.md from the real Web UI, on a platform of its own.

Needs a Chromium: on PATH, or named by `--chromium`. Engines are given too little memory, so that a job waits for
support; a package is bought at the payment stand-in, so that there is a purchase to refund.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import tempfile
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

import httpx

from dev.apiclient import api_of, login
from dev.browser import Page, chromium
from dev.demo_money import Customer
from dev.footage import demo_clip
from dev.platform import running_platform

PICTURES = Path("docs/pictures/support")
PICTURE_BYTES_MAX = 200 * 1024
TOO_LITTLE_MEMORY = {"ECHOSHOT_ENGINE_MEMORY_BYTES_MAX": str(300 * 1024**2)}
WAIT_S = 120
STAFF = "김지원"
FILENAME = "생일 콘서트.mp4"
VIEW = "NeedsAttention"
DIALOG = "document.querySelector('dialog[open]')"
REFUND = '{"credits": 50, "reason": "goodwill"}'


async def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m dev.screenshots", description=__doc__)
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    parser.add_argument("--chromium", default=found, required=found is None)
    options = parser.parse_args()
    PICTURES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        async with running_platform(Path(folder), TOO_LITTLE_MEMORY, durable=False) as platform:
            customer = Customer(platform.environment, await login(platform.environment, "customer", ""))
            purchase_id = (await customer.buy())["purchase"]["id"]
            await wait_for_support(customer, Path(folder))
            async with chromium(options.chromium) as page:
                desk = Desk(page, platform.environment["ECHOSHOT_TEMPORAL_UI_URL"])
                await desk.sign_in()
                await desk.find_what_needs_attention()
                await desk.read_the_card_and_press_retry()
                await desk.refund(f"purchase/{purchase_id}")


async def wait_for_support(customer: Customer, folder: Path) -> None:
    """A job of `customer` whose engines fail until somebody is called."""
    clip = await asyncio.to_thread(demo_clip, folder / FILENAME, seconds=0.6, height_px=120)
    content = clip.read_bytes()
    upload = {"filename": FILENAME, "bytes": len(content), "content_type": "video/mp4"}
    async with api_of(customer.environment, customer.token) as api, httpx.AsyncClient(trust_env=False) as s3:
        answer = await api.post(
            "/v1/jobs",
            json={"kind": "enhance", "source": {"upload": upload}},
            headers={"Idempotency-Key": uuid4().hex},
        )
        job = answer.raise_for_status().json()
        target = job["upload"]
        (await s3.put(target["url"], content=content, headers=target["headers"])).raise_for_status()
        (await api.patch(job["ingested_url"])).raise_for_status()
    async with asyncio.timeout(WAIT_S):
        while (await customer.get(f"/v1/jobs/{job['id']}"))["attention"] is None:  # noqa: ASYNC110 (it is elsewhere)
            await asyncio.sleep(0.5)


class Desk:
    """A person of support before the Web UI at `url`."""

    def __init__(self, page: Page, url: str) -> None:
        self._page = page
        self._workflows = f"{url}/namespaces/default/workflows"

    async def sign_in(self) -> None:
        page = self._page
        await page.open(self._listed("NeedsAttention = true"))
        await page.click("Continue to SSO")
        await page.until_text("EchoShotX")
        await page.click_element("document.querySelector('input[name=username]')")
        await page.type(STAFF)
        await self._picture("sign-in", "document.querySelector('form')")
        await page.click("로그인")
        await page.until_text("job/job_")

    async def find_what_needs_attention(self) -> None:
        page = self._page
        await page.click("Save as New")
        await page.click_element("document.querySelector('dialog[open] input')")
        await page.type(VIEW)
        await page.click("Save", "dialog[open] button")
        await page.until_text(VIEW)
        await page.until("!document.querySelector('dialog[open]')")
        await page.resize(1360, 420)
        await self._picture("list")

    async def read_the_card_and_press_retry(self) -> None:
        page = self._page
        await page.resize(1360, 960)
        await page.click("job/job_")
        await page.click("User Metadata")
        await page.until_text("지원을 기다립니다", "give_up")
        await self._picture("card", "document.querySelector('main')")
        await self._choose_update("retry")
        await self._picture("retry", DIALOG)

    async def refund(self, workflow_id: str) -> None:
        page = self._page
        await page.open(f"{self._workflows}/{quote(workflow_id, safe='')}")
        await page.click("User Metadata")
        await page.until_text("refund")
        await self._picture("purchase", "document.querySelector('main')")
        await self._choose_update("refund")
        await page.click_element(f"{DIALOG}.querySelector('.cm-content')")
        await page.type(REFUND)
        await page.until_text("goodwill")
        await page.value("document.activeElement.blur()")  # upon which the text is set out anew
        await page.until_text('"credits": 50,')
        await self._picture("refund", DIALOG)
        await page.click("Submit", "dialog[open] button")
        await page.until(f"!{DIALOG}")
        # The card is asked for anew by the key R, as the page says.
        await page.press("r")
        await page.until_text("won refunded")

    async def _choose_update(self, name: str) -> None:
        page = self._page
        await page.click("More Actions")
        await page.click("Send an Update")
        await page.click_element(f"{DIALOG}.querySelector('[data-testid=update-select-button]')")
        await self._picture(f"{name}-choice", DIALOG)
        await page.click(name, "dialog[open] [role=option]")
        await page.until(f"!{DIALOG}.querySelector('[data-testid=confirm-modal-button]').disabled")
        await page.settle()

    def _listed(self, query: str) -> str:
        return f"{self._workflows}?query={quote(query)}"

    async def _picture(self, name: str, region: str | None = None) -> None:
        file = PICTURES / f"{name}.png"
        await self._page.settle()
        await self._page.picture(file, region)
        if file.stat().st_size > PICTURE_BYTES_MAX:
            raise RuntimeError(f"{file} has {file.stat().st_size} bytes")
        print(file, file.stat().st_size)


if __name__ == "__main__":
    asyncio.run(main())
