"""docs/new-job-kind.md is the whole of what a new kind of job takes: its code is applied to a copy of the repository,
and the API and the workers of that copy carry out a job of the new kind."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import cv2
import httpx
import numpy as np
import pytest

from contracts.queues import Queue
from contracts.settings import Settings
from db.engine import Database
from dev.clips import GOOD
from dev.platform import Api, Worker
from dev.servers.issuer import Issuer
from dev.servers.ports import free_port
from dev.servers.process import together
from tests.api.acts import Person, create_job, grant, upload
from tests.books import assert_books_coherent
from tests.workflows.house import until
from tests.workflows.surroundings import environment_of

ROOT = Path(__file__).parent.parent.parent
RECIPE = (ROOT / "docs" / "new-job-kind.md").read_text()
ROOMS = (
    "activities", "api", "cli", "contracts", "db", "media", "providers", "storage", "worker", "workflows",
)  # fmt: skip
WORDS_TEST = Path("tests/cli/test_messages.py")
SETTLED = {"SUCCEEDED", "FAILED", "CANCELED", "EXPIRED"}


def follow(recipe: str, tree: Path) -> None:
    """New files are written; in files that exist, each hunk takes the place of the lines by which it is found."""
    for language, name, code in re.findall(r"^```(python|diff) (\S+)\n(.*?)^```$", recipe, re.M | re.S):
        file = tree / name
        if language == "python":
            assert not file.exists()
            file.write_text(code)
            continue
        text = file.read_text()
        for hunk in code.split("@@\n"):
            lines = hunk.splitlines(keepends=True)
            before = "".join(line[1:] for line in lines if line[0] != "+")
            after = "".join(line[1:] for line in lines if line[0] != "-")
            assert f"\n{text}".count(f"\n{before}") == 1, (
                f"{name} has changed: the recipe looks for\n{before}"
            )
            text = text.replace(before, after)
        file.write_text(text)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository after the recipe."""
    copy = tmp_path_factory.mktemp("tree")
    for room in ROOMS:
        shutil.copytree(ROOT / room, copy / room, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    (copy / WORDS_TEST).parent.mkdir(parents=True)
    shutil.copy(ROOT / WORDS_TEST, copy / WORDS_TEST)
    follow(RECIPE, copy)
    return copy


def of(tree: Path) -> dict[str, str]:
    """For processes that run the code of `tree`, wherever they are started."""
    return {"PYTHONPATH": str(tree), "PYTHONSAFEPATH": "1"}


@pytest.mark.parametrize(
    "tool",
    [
        ("ruff", "check", "."),
        ("ruff", "format", "--check", "."),
        ("pytest", "--noconftest", "-q", "-p", "no:cacheprovider", str(WORDS_TEST)),
    ],
    ids=lambda tool: " ".join(tool[:2]),
)
def test_the_recipe_leaves_the_house_in_order(tree: Path, tool: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", *tool]
    done = subprocess.run(
        command, cwd=tree, env={"PATH": "", **of(tree)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@asynccontextmanager
async def served(tree: Path, settings: Settings, logs: Path) -> AsyncIterator[str]:
    """The API and the workers of `tree`; the API's address."""
    port = free_port()
    environment = {
        **environment_of(settings),
        **of(tree),
        "ECHOSHOT_OIDC_ISSUER": settings.oidc_issuer,
        "ECHOSHOT_API_PORT": str(port),
        "ECHOSHOT_PUBLIC_URL": f"http://127.0.0.1:{port}",
    }
    api = Api(logs, port, environment)
    processes = [
        api, *(Worker(logs, role, environment) for role in (Queue.CORE, Queue.TRANSFER, Queue.PROVIDERS))
    ]  # fmt: skip
    try:
        await together(process.start for process in processes)
        yield api.url
    finally:
        await asyncio.gather(*(process.stop() for process in processes))


@pytest.mark.slow
async def test_a_job_of_the_new_kind_goes_through_the_api_and_the_saga_to_a_captured_credit(
    tree: Path, platform_settings: Settings, issuer: Issuer, tmp_path: Path
) -> None:
    film = GOOD["plain"](tmp_path).read_bytes()
    async with served(tree, platform_settings, tmp_path / "logs") as url, AsyncExitStack() as clients:

        async def person(*roles: str) -> Person:
            subject = uuid4().hex
            token = issuer.signer.mint(subject, roles)
            someone = Person(base_url=url, headers={"Authorization": f"Bearer {token}"}, trust_env=False)
            someone.subject = subject
            return await clients.enter_async_context(someone)

        fan = await person()
        await grant(await person("admin"), fan)
        spec = {"filename": "stage.mp4", "bytes": len(film), "content_type": "video/mp4"}
        order = {"kind": "poster", "params": {"at_percent": 10}, "source": {"upload": spec}}
        wrong = order | {"params": {"at_percent": 101}}
        refused = await fan.post("/v1/jobs", json=wrong, headers={"Idempotency-Key": uuid4().hex})
        assert (refused.status_code, refused.json()["code"]) == (422, "validation_failed")

        taken = await create_job(fan, order)
        assert (taken["quote"]["credits"], taken["credits_held"]) == (1, 1)
        assert (await upload(taken["upload"], film)).status_code == 200
        (await fan.patch(taken["ingested_url"])).raise_for_status()
        job: dict[str, Any] = {}

        async def settled() -> bool:
            job.update((await fan.get(taken["status_url"])).json())
            return job["status"] in SETTLED

        await until(settled, seconds=180)
        assert (job["status"], job["failure"], job["credit_effect"]) == ("SUCCEEDED", None, "captured")
        assert {stage["name"]: stage["percent"] for stage in job["stages"]} == {"ingest": 100, "draw": 100}
        balance = (await fan.get("/v1/credits/balance")).json()
        assert (balance["available"], balance["held"]) == (99, 0)
        result = (await fan.get(job["result_url"], headers={"Accept": "application/json"})).raise_for_status()
        async with httpx.AsyncClient(trust_env=False) as plain:
            poster = (await plain.get(result.json()["url"])).raise_for_status()
        assert poster.headers["content-type"] == "image/jpeg"
        picture = cv2.imdecode(np.frombuffer(poster.content, np.uint8), cv2.IMREAD_COLOR)
        assert picture is not None
        assert picture.shape == (120, 160, 3)

    database = Database.from_settings(platform_settings)
    await assert_books_coherent(database)
    await database.aclose()
