"""The demo's chapter on money: buy a package, pay a job by card, fail one on purpose, and let finance check the books.

Used from outside as the rest of the demo: the app's part of a payment is done here the way Stripe's PaymentSheet does
it, with the publishable key and the client secret, against the stand-in (or Stripe's test mode, when it is configured).
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from dev.apiclient import api_of, login
from dev.failures import DevFailure
from dev.footage import demo_clip

PACKAGE = "500"
TEST_CARD = "pm_card_visa"
WAIT_S = 60
FINISHED = ("SUCCEEDED", "FAILED", "CANCELED", "EXPIRED")


@dataclass(frozen=True)
class Customer:
    """A signed-in user of the running platform whose `environment` is given."""

    environment: Mapping[str, str]
    token: str

    async def buy(self) -> dict[str, Any]:
        """A package, paid in the app; the purchase as the API tells it once the credits are there."""
        bought = await self.post("/v1/payments/tokens", {"package": PACKAGE})
        purchase = bought["purchase"]
        await self._pay_in_app(bought["checkout"] or (await self._checkout(purchase["id"])))
        return await self._until(f"/v1/payments/{purchase['id']}", _is_paid)

    async def enhance_by_card(self, clip: Path, result: Path) -> dict[str, Any]:
        """`echoshot enhance --charge`, on this very terminal; the finished job."""
        result.unlink(missing_ok=True)
        await echoshot(
            self.environment, self.token, "enhance", str(clip), "--output", str(result), "--charge", TEST_CARD
        )
        return (await self.get("/v1/videos/jobs"))["data"][0]

    async def fail_by_card(self) -> dict[str, Any]:
        """Pays for a file that turns out to be no video; the failed job once its money is on the card again."""
        content = b"This is not a video. " * 1000
        asked = {
            "kind": "enhance",
            "source": {
                "upload": {"filename": "notes.mp4", "bytes": len(content), "content_type": "video/mp4"}
            },
            "funding": {"type": "charge", "payment_method": TEST_CARD, "refund_to": "card"},
        }
        job = await self.post("/v1/jobs", asked)
        async with httpx.AsyncClient(trust_env=False) as store:
            upload = job["upload"]
            (await store.put(upload["url"], content=content, headers=upload["headers"])).raise_for_status()
        async with api_of(self.environment, self.token) as api:
            (await api.patch(job["ingested_url"])).raise_for_status()
        return await self._until(f"/v1/jobs/{job['id']}", _is_refunded)

    async def get(self, url: str) -> Any:
        async with api_of(self.environment, self.token) as api:
            return (await api.get(url)).raise_for_status().json()

    async def post(self, url: str, body: dict[str, Any]) -> Any:
        async with api_of(self.environment, self.token) as api:
            answer = await api.post(url, json=body, headers={"Idempotency-Key": uuid4().hex}, timeout=30)
        if answer.is_error:
            raise DevFailure(f"POST {url}: {answer.status_code} {answer.text}")
        return answer.json()

    async def _checkout(self, purchase_id: str) -> dict[str, Any]:
        """Where the payment service took longer than the first answer could wait."""
        answer = await self._until(f"/v1/payments/{purchase_id}", lambda found: found["checkout"] is not None)
        return answer["checkout"]

    async def _pay_in_app(self, checkout: Mapping[str, Any]) -> None:
        base = self.environment.get("ECHOSHOT_STRIPE__API_BASE", "https://api.stripe.com")
        form = {
            "payment_method": TEST_CARD,
            "client_secret": checkout["client_secret"],
            "return_url": "app://paid",
        }
        async with httpx.AsyncClient(base_url=base, trust_env=False, timeout=30) as stripe:
            answer = await stripe.post(
                f"/v1/payment_intents/{checkout['provider_ref']}/confirm",
                data=form,
                headers={"Authorization": f"Bearer {checkout['publishable_key']}"},
            )
            answer.raise_for_status()

    async def _until(self, url: str, done: Any) -> Any:
        found = await self.get(url)
        for _ in range(WAIT_S * 5):
            if done(found):
                return found
            await asyncio.sleep(0.2)
            found = await self.get(url)
        raise DevFailure(f"{url} is not what it should be after {WAIT_S} s: {json.dumps(found)[:600]}")


async def money(environment: Mapping[str, str], customer: Customer, folder: Path) -> dict[str, Any]:
    """Writes `journal.jsonl` and `receipt.json` into `folder`; the fields that `summary.json` gains."""
    bought = (await customer.buy())["purchase"]
    clip = await asyncio.to_thread(demo_clip, folder / "paid.mp4", seconds=0.6, height_px=120)
    paid_job = await customer.enhance_by_card(clip, folder / "paid-result.mp4")
    failed_job = await customer.fail_by_card()
    books = await check_books(environment, folder)
    receipt = await customer.get(f"/v1/jobs/{failed_job['id']}/receipt")
    (folder / "receipt.json").write_text(json.dumps(receipt, indent=2, ensure_ascii=False) + "\n")
    refund = failed_job["charge"]["refunds"][0]
    return {
        "purchase": {
            "provider": bought["provider"],
            "amount_krw": bought["amount_krw"],
            "credits": bought["credits"],
            "id": bought["id"],
            "status": bought["status"],
        },
        "paid_job": {
            "job_id": paid_job["id"],
            "status": paid_job["status"],
            "amount_krw": paid_job["charge"]["amount_krw"],
        },
        "refund": {
            "amount_krw": refund["amount_krw"],
            "reason": refund["reason"],
            "job_id": failed_job["id"],
            "status": refund["status"],
        },
        "books": books,
    }


async def check_books(environment: Mapping[str, str], folder: Path) -> dict[str, Any]:
    """What finance does: reconcile with the provider, export the sealed journal, verify it offline."""
    token = await login(environment, "demo-finance", "finance")
    finance = Customer(environment, token)
    started = await finance.post("/v1/finance/reconciliations", {})
    async with api_of(environment, token) as api:
        answer = await api.get(started["status_url"])
        for _ in range(WAIT_S * 5):
            if answer.status_code != 404:
                break
            await asyncio.sleep(0.2)
            answer = await api.get(started["status_url"])
    report = answer.raise_for_status().json()
    journal = folder / "journal.jsonl"
    key = folder / "journal-key.pem"
    key.write_text((await finance.get("/v1/finance/journal/key"))["public_key_pem"])
    journal.unlink(missing_ok=True)
    await echoshot(environment, token, "finance", "export", "--force", "--output", str(journal))
    told = await echoshot(
        environment, token, "finance", "verify", str(journal), "--key", str(key), "--json", quiet=True
    )
    verdict = json.loads(told)
    violations = await _audit(environment)
    return {
        "rows": verdict["rows"],
        "last_block_hash": verdict["last_block"],
        "balanced": verdict["ok"] and not violations and _is_balanced(journal),
        "reconciliation_differences": len(report["differences"]),
        "reconciliation_id": report["id"],
        "differences": [found["difference"] for found in report["differences"]],
        "audit": violations or "no violation",
    }


async def echoshot(environment: Mapping[str, str], token: str, *arguments: str, quiet: bool = False) -> str:
    """The command line, on this very terminal so that its bars are live. Raises `DevFailure` when it fails."""
    command = shutil.which("echoshot", path=str(Path(sys.executable).parent)) or "echoshot"
    process = await asyncio.create_subprocess_exec(
        *(command, *arguments),
        env={**os.environ, "ECHOSHOT_API_URL": environment["ECHOSHOT_PUBLIC_URL"], "ECHOSHOT_TOKEN": token},
        stdout=asyncio.subprocess.PIPE if quiet else None,
    )
    output, _ = await process.communicate()
    if process.returncode:
        raise DevFailure(f"echoshot {' '.join(arguments[:2])} ended with status {process.returncode}")
    return (output or b"").decode()


async def _audit(environment: Mapping[str, str]) -> str:
    """What `python -m db check` finds wrong; empty: nothing."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "db", "check"),
        cwd=Path(__file__).parent.parent,
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return output.decode() if process.returncode else ""


def _is_balanced(journal: Path) -> bool:
    """Every transfer of the export sums to zero in each unit and bucket: added up here, by nothing of the platform."""
    for line in journal.read_text().splitlines():
        transfer = json.loads(line).get("transfer")
        if transfer is None:
            continue
        sums: dict[tuple[str, ...], int] = {}
        for posting in transfer["postings"]:
            unit_and_bucket = tuple(posting["account"].split("/")[1:3])
            sums[unit_and_bucket] = sums.get(unit_and_bucket, 0) + posting["amount"]
        if any(sums.values()):
            return False
    return True


def _is_paid(found: Mapping[str, Any]) -> bool:
    return found["purchase"]["status"] == "PAID"


def _is_refunded(job: Mapping[str, Any]) -> bool:
    refunds = (job["charge"] or {}).get("refunds", ())
    return job["status"] in FINISHED and any(refund["status"] == "SUCCEEDED" for refund in refunds)
