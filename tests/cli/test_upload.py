from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio
from sqlalchemy import select

from cli.exits import Exit
from contracts.errors import sentence
from contracts.ids import JobId, UserId, VideoId
from contracts.media import Artifact
from contracts.settings import Settings
from db import jobs, videos
from db.engine import Database
from db.tables import Job
from dev.servers.issuer import Issuer
from dev.servers.s3 import ObjectStore
from storage.keys import source_key
from storage.parts import PART_BYTES_MIN
from storage.store import Store
from tests.api.acts import fail, media_info
from tests.api.serving import Api, served
from tests.cli.conftest import Echoshot, Start, a_clip
from tests.faulty_proxy import FaultyProxy

PARTS = 5


@pytest.fixture
def proxy(object_store: ObjectStore):
    with FaultyProxy(object_store.port) as proxy:
        yield proxy


@pytest_asyncio.fixture
async def api(platform_settings: Settings, proxy: FaultyProxy) -> AsyncIterator[Api]:
    """Clients reach the store by a road that can be broken; files above 1 MiB go in parts."""
    changed = {"s3_public_endpoint": proxy.endpoint, "single_put_bytes_max": 1024**2}
    async with served(platform_settings.model_copy(update=changed)) as running:
        yield running


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110  # what is awaited happens in other processes
        await asyncio.sleep(0.02)


async def key_of(database: Database, job: dict) -> str:
    async with database.read() as session:
        row = await jobs.get_job(session, JobId(job["id"]))
    assert row is not None
    return source_key(UserId(row.user_id), VideoId(job["source_video_id"]))


async def stored_sha256(store: Store, key: str, folder: Path) -> str:
    return (await asyncio.to_thread(store.get_file, key, folder / "stored")).sha256


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


async def test_a_small_file_is_sent_at_once_and_its_job_goes_on(
    echoshot: Echoshot, fan: str, clip: Path, database: Database, store: Store, proxy: FaultyProxy, home: Path
):
    ended = await echoshot("enhance", clip, "--no-wait", "--json")
    assert ended.exit == Exit.OK, ended
    job = ended.document("job")
    assert (job["status"], job["credits_held"]) == ("CREATED", 10)
    assert await stored_sha256(store, await key_of(database, job), home) == sha256(clip)
    assert [line.split()[0] for line in proxy.requests] == ["PUT"]
    assert list((home / "state").rglob("*.json")) == [], "nothing is pending"


async def test_wishes_reach_the_job_and_unstated_ones_are_left_to_the_platform(
    echoshot: Echoshot, fan: str, clip: Path
):
    ended = await echoshot("enhance", clip, "--no-wait", "--json", "--fps", "source", "--strength", 0.5)
    assert ended.document("job")["params"] == {
        "scale": 2,
        "fps": "source",
        "upscaler": "animevideov3",
        "strength": 0.5,
    }
    wrong = await echoshot("enhance", clip, "--no-wait", "--strength", 2)
    assert (wrong.exit, "strength" in wrong.err) == (Exit.USAGE, True)


async def test_a_broken_connection_costs_one_repetition(
    echoshot: Echoshot, fan: str, clip: Path, database: Database, store: Store, proxy: FaultyProxy, home: Path
):
    proxy.faults = 1
    ended = await echoshot("enhance", clip, "--no-wait", "--json")
    assert ended.exit == Exit.OK, ended
    assert proxy.count("PUT") == 2
    assert await stored_sha256(store, await key_of(database, ended.document("job")), home) == sha256(clip)


async def test_an_upload_that_was_interrupted_goes_on_with_the_missing_parts(
    echoshot: Echoshot,
    start: Start,
    fan: str,
    database: Database,
    store: Store,
    proxy: FaultyProxy,
    home: Path,
):
    big = a_clip(home / "videos" / "big.mp4", (PARTS - 1) * PART_BYTES_MIN + 100)
    proxy.spared, proxy.faults, proxy.stall = 2, 1, True
    running = await start("enhance", big, "--no-wait", "--fps", "source")
    await until(lambda: proxy.faults == 0)
    running.interrupt()
    interrupted = await running.ended()
    assert interrupted.exit == Exit.INTERRUPTED
    assert "run the same command again" in interrupted.err
    assert "echoshot enhance" not in interrupted.err, "without its options it would order something else"
    sent = proxy.count("PUT")
    assert sent == 3

    moved = big.rename(home / "videos" / "renamed.mp4")
    ended = await echoshot("enhance", moved, "--no-wait", "--fps", "source", "--json")
    assert ended.exit == Exit.OK, ended
    assert proxy.count("PUT") - sent == PARTS - 3, "only the parts that were missing"
    listed = (await echoshot("jobs", "--json")).document("jobs")["data"]
    assert [job["id"] for job in listed] == [ended.document("job")["id"]], "the same job"
    assert (await echoshot("balance", "--json")).document("balance")["held"] == 10, "held once"
    assert await stored_sha256(store, await key_of(database, listed[0]), home) == sha256(moved)


async def test_a_file_that_arrived_without_being_announced_is_not_sent_again(
    echoshot: Echoshot, start: Start, fan: str, clip: Path, proxy: FaultyProxy, api: Api, issuer: Issuer
):
    with FaultyProxy(int(api.url.rpartition(":")[2])) as to_api:
        by_proxy = ("--api", to_api.endpoint, "--token", issuer.signer.mint(fan))
        # The process ends between the last byte and the announcement.
        to_api.refuse = "/ingested"
        running = await start("enhance", clip, "--no-wait", *by_proxy)
        await until(lambda: to_api.count("PATCH") > 0)
        running.interrupt()
        assert (await running.ended()).exit == Exit.INTERRUPTED
        assert proxy.count("PUT") == 1
        to_api.refuse = ""
        ended = await echoshot("enhance", clip, "--no-wait", "--json", *by_proxy)
    assert ended.exit == Exit.OK, ended
    assert proxy.count("PUT") == 1
    assert "Going on with job" in ended.err


async def test_an_unfinished_upload_of_a_canceled_job_becomes_a_new_job(
    echoshot: Echoshot, start: Start, fan: str, clip: Path, proxy: FaultyProxy, database: Database
):
    proxy.faults, proxy.stall = 1, True
    running = await start("enhance", clip, "--no-wait", "--json")
    await until(lambda: proxy.faults == 0)
    running.interrupt()
    old = (await running.ended()).document("job")["id"]
    await fail(database, old, "canceled_by_user")
    ended = await echoshot("enhance", clip, "--no-wait", "--json")
    assert ended.exit == Exit.OK, ended
    assert ended.document("job")["id"] != old


@pytest.mark.parametrize("faults", [0, 1], ids=["the announcement", "a fresh URL"])
@pytest.mark.parametrize(
    ("code", "exit"), [("payment_declined", Exit.NOT_PAID), ("canceled_by_user", Exit.JOB_FAILED)]
)
async def test_a_job_that_ends_during_its_upload_is_reported_as_it_ended(
    echoshot: Echoshot,
    fan: str,
    clip: Path,
    proxy: FaultyProxy,
    database: Database,
    home: Path,
    code: str,
    exit: Exit,
    faults: int,
):
    proxy.hold = "PUT "
    running = asyncio.ensure_future(echoshot("enhance", clip, "--no-wait", "--json"))
    await until(lambda: proxy.count("PUT") == 1)
    async with database.read() as session:
        job_id = (await session.scalars(select(Job.id))).one()
    await fail(database, job_id, code)
    proxy.faults = faults
    proxy.release()
    ended = await running

    assert ended.exit == exit, ended
    assert ended.document("error")["code"] == code
    assert sentence(code, "en") in ended.err
    assert list((home / "state").rglob("*.json")) == [], "the next try is a new job"


async def test_a_video_that_is_already_there_is_not_sent_again(
    echoshot: Echoshot, fan: str, clip: Path, proxy: FaultyProxy, database: Database
):
    job = (await echoshot("enhance", clip, "--no-wait", "--json")).document("job")
    source = Artifact(
        key=await key_of(database, job), bytes=1000, sha256=sha256(clip), content_type="video/mp4"
    )
    async with database.transaction() as session:
        await videos.mark_ready(
            session, VideoId(job["source_video_id"]), media_info(clip.read_bytes()), source
        )

    ended = await echoshot("enhance", clip, "--no-wait", "--json", "--scale", 1)
    assert ended.exit == Exit.OK, ended
    assert "already there" in ended.err
    again = ended.document("job")
    assert (again["duplicate"], again["source_video_id"]) == (True, job["source_video_id"])
    assert proxy.count("PUT") == 1


async def test_a_store_that_stays_away_is_reported_and_the_upload_kept(
    echoshot: Echoshot, fan: str, clip: Path, proxy: FaultyProxy, home: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("cli.api.PATIENCE_S", 1.0)
    proxy.faults = 1000
    ended = await echoshot("enhance", clip, "--no-wait")
    assert ended.exit == Exit.UNREACHABLE
    assert "can go on" in ended.err
    proxy.faults = 0
    assert (await echoshot("enhance", clip, "--no-wait")).exit == Exit.OK
