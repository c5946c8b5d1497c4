from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from cli.exits import Exit
from contracts.ids import JobId
from contracts.jobs import Attention, JobStatus
from contracts.kinds import ENHANCE
from contracts.settings import Settings
from contracts.video_job import StatusChange
from db import jobs, progress
from db.engine import Database
from dev.platform import Api as ApiProcess
from dev.servers.issuer import Issuer
from dev.servers.ports import free_port
from storage.store import Store
from tests.api.acts import fail, run, succeed
from tests.api.serving import Api
from tests.cli.conftest import CREDITS, Echoshot, Start
from tests.faulty_proxy import FaultyProxy

RESULT = os.urandom(3 * 1024**2)


@pytest.fixture
async def job_id(echoshot: Echoshot, fan: str, clip: Path) -> str:
    """A job that is uploaded and waits for its worker, which these tests play."""
    ended = await echoshot("enhance", clip, "--no-wait", "--json")
    return ended.document("job")["id"]


async def upscaled(database: Database, job_id: str, percent: int) -> None:
    async with database.transaction() as session:
        await progress.declare_stages(session, JobId(job_id), dict.fromkeys(ENHANCE.stages, 100))
    async with database.transaction() as session:
        await progress.report(session, JobId(job_id), "upscale", 0, percent, 100)


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110  # what is awaited happens in other processes
        await asyncio.sleep(0.02)


async def test_watching_tells_every_change_until_the_job_is_done(
    echoshot: Echoshot, start: Start, job_id: str, database: Database, store: Store
):
    running = await start("watch", job_id, "--json")
    await running.first_progress()
    await run(database, job_id)
    await upscaled(database, job_id, 50)
    await succeed(database, store, job_id, RESULT)
    ended = await running.ended()
    assert ended.exit == Exit.OK, ended
    seen = [document for document in ended.documents if document["type"] == "progress"]
    assert [stage["percent"] for stage in seen[-1]["stages"] if stage["name"] == "upscale"] >= [50]
    assert (seen[-1]["status"], seen[-1]["credits"]) == ("SUCCEEDED", 10)
    assert {"QUEUED", "RUNNING"} <= {document["status"] for document in seen}


async def test_people_are_told_what_it_cost_and_how_to_get_it(
    echoshot: Echoshot, job_id: str, database: Database, store: Store
):
    await succeed(database, store, job_id, RESULT)
    ended = await echoshot("watch", job_id)
    assert ended.exit == Exit.OK
    assert "10 credits used" in ended.out
    assert f"echoshot download {job_id}" in ended.out


@pytest.mark.parametrize(("code", "exit"), [("corrupt", Exit.BAD_FILE), ("engine_crashed", Exit.JOB_FAILED)])
async def test_a_job_that_fails_says_why_and_ends_with_its_code(
    echoshot: Echoshot, job_id: str, database: Database, code: str, exit: Exit
):
    await run(database, job_id)
    await fail(database, job_id, code)
    ended = await echoshot("watch", job_id, "--json")
    assert ended.exit == exit
    assert ended.document("error")["code"] == code
    assert ended.document("error")["message"].endswith("No credits were used.")
    assert (await echoshot("balance", "--json")).document("balance")["available"] == CREDITS


async def test_a_job_that_needs_credits_says_how_to_go_on(
    echoshot: Echoshot, job_id: str, database: Database
):
    change = StatusChange(job_id=JobId(job_id), status=JobStatus.INGESTED, attention=Attention.FUNDS)
    async with database.transaction() as session:
        await jobs.set_status(session, change)
    ended = await echoshot("watch", job_id)
    assert ended.exit == Exit.CREDITS_SHORT
    assert f"echoshot resume {job_id}" in ended.err
    assert (await echoshot("resume", job_id)).exit == Exit.OK


async def test_ctrl_c_leaves_the_job_alone_and_says_how_to_come_back(
    echoshot: Echoshot, start: Start, job_id: str, database: Database, store: Store
):
    await run(database, job_id)
    running = await start("watch", job_id, "--json")
    await running.first_progress()
    running.interrupt()
    ended = await running.ended()
    assert ended.exit == Exit.INTERRUPTED
    assert f"echoshot watch {job_id}" in ended.err
    assert (await echoshot("job", job_id, "--json")).document("job")["status"] == "RUNNING"
    await succeed_running(database, store, job_id)
    assert (await echoshot("watch", job_id)).exit == Exit.OK


async def test_repeating_an_interrupted_command_pays_for_no_second_job(
    echoshot: Echoshot, start: Start, fan: str, clip: Path, database: Database, store: Store, home: Path
):
    running = await start("enhance", clip, "--json")
    await running.first_progress()
    running.interrupt()
    interrupted = await running.ended()
    assert interrupted.exit == Exit.INTERRUPTED
    job_id = interrupted.err.partition("echoshot watch ")[2].split()[0]
    await run(database, job_id)
    await succeed_running(database, store, job_id)

    repeated = await echoshot("enhance", clip, "-o", home / "out.mp4", "--json")
    assert repeated.exit == Exit.OK, repeated
    assert repeated.document("job")["id"] == job_id
    assert (home / "out.mp4").read_bytes() == RESULT
    assert len((await echoshot("jobs", "--json")).document("jobs")["data"]) == 1

    # Now that the result is there, the same command means a new job.
    another = await echoshot("enhance", clip, "--no-wait", "--json")
    assert another.document("job")["id"] != job_id


async def test_a_wait_survives_the_death_of_the_api(
    start: Start,
    job_id: str,
    api: Api,
    database: Database,
    store: Store,
    issuer: Issuer,
    fan: str,
    tmp_path: Path,
):
    server = api_process(api.settings, tmp_path)
    await server.start()
    running = await start("watch", job_id, "--json", "--api", server.url, "--token", issuer.signer.mint(fan))
    await running.first_progress()
    server.kill()
    await succeed(database, store, job_id, RESULT)
    await server.restart()
    ended = await running.ended()
    assert ended.exit == Exit.OK, ended
    await server.stop()


async def test_a_proxy_that_lets_no_event_stream_through_is_worked_round(
    echoshot: Echoshot,
    start: Start,
    job_id: str,
    api: Api,
    issuer: Issuer,
    fan: str,
    database: Database,
    store: Store,
):
    with FaultyProxy(int(api.url.rpartition(":")[2])) as proxy:
        proxy.refuse = "/events"
        running = await start(
            "watch", job_id, "--json", "--api", proxy.endpoint, "--token", issuer.signer.mint(fan)
        )
        await running.first_progress()
        await succeed(database, store, job_id, RESULT)
        ended = await running.ended()
    assert ended.exit == Exit.OK, ended
    assert ended.document("progress")["status"] == "SUCCEEDED"
    assert proxy.count(f"GET /v1/jobs/{job_id} ") >= 2


async def test_a_token_that_expires_is_renewed_where_no_person_is_needed(
    echoshot: Echoshot,
    job_id: str,
    fan: str,
    api: Api,
    issuer: Issuer,
    home: Path,
    database: Database,
    store: Store,
):
    file = home / "config" / "echoshot" / "login.json"
    stored = json.loads(file.read_text())
    stored["logins"][api.url]["token"] = expired = issuer.signer.mint(fan, ttl_s=-60)
    file.write_text(json.dumps(stored))
    await succeed(database, store, job_id, RESULT)
    assert (await echoshot("watch", job_id)).exit == Exit.OK
    assert json.loads(file.read_text())["logins"][api.url]["token"] != expired
    assert (await echoshot("balance", "--token", expired)).exit == Exit.NOT_ALLOWED, "a bare token cannot be"


async def test_a_download_is_whole_and_checked(
    echoshot: Echoshot, job_id: str, database: Database, store: Store, home: Path
):
    early = await echoshot("download", job_id)
    assert (early.exit, (home / "videos" / f"{job_id}.mp4").exists()) == (Exit.USAGE, False)
    await succeed(database, store, job_id, RESULT)
    ended = await echoshot("download", job_id, "-o", "out.mp4", "--json")
    assert ended.exit == Exit.OK, ended
    assert Path("out.mp4").read_bytes() == RESULT
    assert ended.document("result")["sha256"] == hashlib.sha256(RESULT).hexdigest()
    assert [path.name for path in Path.cwd().iterdir() if path.suffix == ".part"] == []


async def test_a_file_that_is_there_is_only_replaced_by_force(
    echoshot: Echoshot, job_id: str, database: Database, store: Store
):
    await succeed(database, store, job_id, RESULT)
    Path("out.mp4").write_bytes(b"mine")
    assert (await echoshot("download", job_id, "-o", "out.mp4")).exit == Exit.USAGE
    assert Path("out.mp4").read_bytes() == b"mine"
    assert (await echoshot("download", job_id, "-o", "out.mp4", "--force")).exit == Exit.OK
    assert Path("out.mp4").read_bytes() == RESULT


async def test_a_download_goes_on_where_an_earlier_run_stopped(
    echoshot: Echoshot, job_id: str, database: Database, store: Store
):
    await succeed(database, store, job_id, RESULT)
    partial = Path(f".out.mp4.{hashlib.sha256(RESULT).hexdigest()[:16]}.part")
    partial.write_bytes(RESULT[: 2 * 1024**2])
    ended = await echoshot("download", job_id, "-o", "out.mp4")
    assert ended.exit == Exit.OK, ended
    assert Path("out.mp4").read_bytes() == RESULT


async def test_a_download_that_turns_out_damaged_is_thrown_away(
    echoshot: Echoshot, job_id: str, database: Database, store: Store
):
    await succeed(database, store, job_id, RESULT)
    partial = Path(f".out.mp4.{hashlib.sha256(RESULT).hexdigest()[:16]}.part")
    partial.write_bytes(b"x" * 1000)
    ended = await echoshot("download", job_id, "-o", "out.mp4")
    assert ended.exit == Exit.UNREACHABLE
    assert not partial.exists()
    assert not Path("out.mp4").exists()
    assert (await echoshot("download", job_id, "-o", "out.mp4")).exit == Exit.OK


async def test_a_job_can_be_canceled_and_a_settled_one_cannot(
    echoshot: Echoshot, job_id: str, database: Database
):
    assert (await echoshot("cancel", job_id)).exit == Exit.OK
    await fail(database, job_id, "corrupt")
    ended = await echoshot("cancel", job_id, "--json")
    assert (ended.exit, ended.document("error")["code"]) == (Exit.USAGE, "job_settled")


async def test_jobs_are_listed_filtered_and_paged(
    echoshot: Echoshot, job_id: str, clip: Path, database: Database
):
    second = (await echoshot("enhance", clip, "--no-wait", "--json", "--scale", 1)).document("job")["id"]
    await fail(database, job_id)
    listed = await echoshot("jobs")
    assert [line.split()[0] for line in listed.out.splitlines()[1:]] == [second, job_id]

    async def ids(*filters: object) -> list[str]:
        document = (await echoshot("jobs", "--json", *filters)).document("jobs")
        return [job["id"] for job in document["data"]]

    assert await ids("--status", "failed") == [job_id]
    assert await ids("--status", "failed", "--status", "created", "--kind", "enhance", "--limit", 1) == [
        second
    ]
    assert await ids("--after", second) == [job_id]


async def succeed_running(database: Database, store: Store, job_id: str) -> None:
    await succeed(database, store, job_id, RESULT)


def api_process(settings: Settings, folder: Path) -> ApiProcess:
    """The API as a process of its own, which can be killed."""
    port = free_port()
    environment = {
        "ECHOSHOT_API_PORT": str(port),
        "ECHOSHOT_DATABASE_URL": settings.database_url.get_secret_value(),
        "TEMPORAL_ADDRESS": settings.temporal_address,
        "TEMPORAL_NAMESPACE": settings.temporal_namespace,
        "ECHOSHOT_QUEUE_PREFIX": settings.queue_prefix,
        "ECHOSHOT_S3_ENDPOINT": settings.s3_endpoint,
        "ECHOSHOT_S3_REGION": settings.s3_region,
        "ECHOSHOT_S3_BUCKET": settings.s3_bucket,
        "ECHOSHOT_S3_ACCESS_KEY": settings.s3_access_key.get_secret_value(),
        "ECHOSHOT_S3_SECRET_KEY": settings.s3_secret_key.get_secret_value(),
        "ECHOSHOT_OIDC_ISSUER": settings.oidc_issuer,
    }
    return ApiProcess(folder / "logs", port, environment)
