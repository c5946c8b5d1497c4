"""`echoshot music` and `clips`: what they ask for, and what they make of what is found."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path

import httpx
import pytest
from PIL import Image

from cli.clips import file_name, seconds
from cli.exits import Exit
from cli.music import clock, strip_again
from cli.source import Source
from contracts.ids import VideoId
from contracts.kinds.clip import CLIPS_MAX, ClipSpec
from contracts.media import Artifact
from db import videos
from db.engine import Database
from db.tables import Video
from dev.clips.good import clip_silent
from dev.footage import look_at
from dev.platform import running_platform
from dev.song import write_song
from tests.api.acts import fail, media_info
from tests.cli.conftest import Echoshot, Start

NOBODYS = "vid_" + 32 * "0"


@pytest.mark.parametrize(
    ("wish", "name"),
    [
        ({"length": 30, "type": "chorus", "format": "vertical"}, "song-chorus-30s-vertical.mp4"),
        ({"length": 15, "format": "square", "rank": 1}, "song-best-15s-square-2.mp4"),
        ({"start": 61.5, "end": 90, "format": "original"}, "song-61.5-90s-original.mp4"),
    ],
)
def test_a_clips_name_says_what_it_is(wish: dict, name: str):
    assert file_name("song", wish) == name
    assert file_name("song", ClipSpec.model_validate(wish).model_dump(mode="json")) == name


@pytest.mark.parametrize(("text", "place"), [("83.5", 83.5), ("1:23.5", 83.5), ("0:05", 5), ("90:00", 5400)])
def test_a_place_in_a_video_is_written_in_seconds_or_as_a_clock_shows_it(text: str, place: float):
    assert seconds(text) == place


@pytest.mark.parametrize("text", ["", "-1", "1:5", "1:75", "nan", "inf", "1e3", "1:2:03"])
def test_what_is_no_place_in_a_video_is_wrong_usage(text: str):
    with pytest.raises(ValueError, match="no place"):
        seconds(text)


def test_a_strip_is_fetched_again_by_the_same_order_which_is_paid_already():
    source = Source(given="my song.mp4", stem="my song", file=None)
    options = Namespace(strip=Path("a strip.png"), charge="pm_1", refund_to=None)
    assert strip_again(options, source) == "echoshot music 'my song.mp4' --strip 'a strip.png' --charge pm_1"


def test_a_place_is_shown_with_tenths():
    assert [clock(at) for at in (0, 59.96, 187.5)] == ["0:00.0", "1:00.0", "3:07.5"]


async def test_wishes_for_clips_reach_their_job(echoshot: Echoshot, fan: str, clip: Path):
    ended = await echoshot(
        "clips", clip, "--length", 15, "--type", "chorus", "--format", "vertical", "--count", 2, "--no-wait", "--json"
    )  # fmt: skip
    assert ended.exit == Exit.OK, ended
    job = ended.document("job")
    wished = [ClipSpec(length=15, type="chorus", format="vertical", rank=rank) for rank in range(2)]  # pyright: ignore[reportArgumentType]
    assert [ClipSpec.model_validate(spec) for spec in job["params"]["clips"]] == wished
    assert (job["kind"], job["credits_held"]) == ("clip", 6)

    early = await echoshot("download", job["id"], "--json")
    assert (early.exit, early.document("error")["code"]) == (Exit.USAGE, "result_not_ready")

    ranged = await echoshot("clips", clip, "--start", "0:02", "--end", 5.5, "--no-wait", "--json")
    (spec,) = ranged.document("job")["params"]["clips"]
    assert (spec["start"], spec["end"], spec["length"]) == (2, 5.5, None)

    everything = await echoshot("clips", clip, "--all", "--no-wait", "--json")
    assert len(everything.document("job")["params"]["clips"]) == CLIPS_MAX


@pytest.mark.parametrize(
    "wishes",
    [
        ("--start", 1),
        ("--start", 1, "--end", 5, "--length", 30),
        ("--start", 1, "--end", 5, "--all"),
        ("--start", 5, "--end", 1),
        ("--length", 20),
        ("--all", "--count", 3),
        ("--count", 0),
        ("--output-dir", "nowhere"),
    ],
)
async def test_wishes_that_make_no_sense_cost_nothing(
    echoshot: Echoshot, fan: str, clip: Path, wishes: tuple[object, ...]
):
    assert (await echoshot("clips", clip, *wishes)).exit == Exit.USAGE
    assert (await echoshot("jobs", "--json")).document("jobs")["data"] == []


async def test_files_that_are_there_are_seen_before_anything_is_paid(
    echoshot: Echoshot, fan: str, clip: Path, home: Path
):
    (home / "videos" / "stage-best-30s-original-2.mp4").touch()
    assert (await echoshot("clips", clip, "--count", 2)).exit == Exit.USAGE
    (home / "videos" / "sections.json").touch()
    assert (await echoshot("music", clip, "-o", "sections.json")).exit == Exit.USAGE
    assert (await echoshot("jobs", "--json")).document("jobs")["data"] == []


async def test_clips_that_were_interrupted_are_asked_for_once(
    echoshot: Echoshot, start: Start, fan: str, clip: Path, database: Database
):
    job = (await echoshot("enhance", clip, "--no-wait", "--json")).document("job")
    video_id = VideoId(job["source_video_id"])
    async with database.transaction() as session:
        video = await session.get_one(Video, video_id)
        info = media_info(clip.read_bytes())
        source = Artifact(
            key=video.object_key, bytes=info.bytes, sha256=info.sha256, content_type="video/mp4"
        )
        await videos.mark_ready(session, video_id, info, source)
    wishes = ("clips", video_id, "--start", 1, "--end", 5, "--json")

    running = await start(*wishes)
    await running.first_progress()
    running.interrupt()
    interrupted = await running.ended()
    assert interrupted.exit == Exit.INTERRUPTED
    again = await echoshot(*wishes, "--no-wait")
    assert again.exit == Exit.OK, again
    assert f"Going on with job {again.document('job')['id']}" in again.err
    listed = (await echoshot("jobs", "--json", "--kind", "clip")).document("jobs")["data"]
    assert [job["credits_held"] for job in listed] == [3]


@pytest.mark.parametrize("command", ["enhance", "music", "clips"])
async def test_a_video_that_is_nobodys_is_refused(echoshot: Echoshot, fan: str, command: str):
    ended = await echoshot(command, NOBODYS, "--json")
    assert (ended.exit, ended.document("error")["code"]) == (Exit.USAGE, "not_found")


async def test_a_song_that_has_no_music_in_it_is_a_file_that_was_not_accepted(
    echoshot: Echoshot, fan: str, clip: Path, database: Database
):
    job = (await echoshot("music", clip, "--no-wait", "--json")).document("job")
    await fail(database, job["id"], "no_music")
    assert (await echoshot("download", job["id"])).exit == Exit.USAGE
    ended = await echoshot("watch", job["id"])
    assert (ended.exit, "No credits were used" in ended.err) == (Exit.BAD_FILE, True)


@pytest.mark.slow
async def test_a_song_goes_in_and_its_sections_and_clips_come_out(
    echoshot: Echoshot, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    song = write_song(home / "videos" / "song.mp4", size=(160, 90))
    silent = clip_silent(home)
    async with running_platform(tmp_path / "platform", durable=False) as platform:
        issuer = platform.stack.issuer
        assert issuer
        monkeypatch.setenv("ECHOSHOT_API_URL", platform.api.url)
        admin = issuer.signer.mint("root", ["admin"])
        gift = ("--user", "fan", "--credits", 70, "--reason", "gift")
        assert (await echoshot("admin", "grant", "--token", admin, *gift)).exit == Exit.OK
        assert (await echoshot("login", "--issuer", issuer.url, "--user", "fan")).exit == Exit.OK

        told = await echoshot("music", song, "--output", "sections.json", "--strip", "strip.png")
        assert told.exit == Exit.OK, told
        assert "120.0 bpm, 4 beats a bar" in told.out
        (chorus,) = (line.split() for line in told.out.splitlines() if line.startswith("0:24.0  0:40.0"))
        assert chorus[2:4] == ["chorus", "C"]
        assert "2 credits used" in told.out
        assert len(json.loads(Path("sections.json").read_text())["songs"][0]["beats_s"]) > 100
        with Image.open("strip.png") as strip:
            assert strip.format == "PNG"

        # A file, which is there already; fewer than five choruses are in it.
        wishes = ("--length", 15, "--type", "chorus", "--count", 5, "--format", "square")
        made = await echoshot("clips", song, *wishes, "--json")
        assert made.exit == Exit.OK, made
        assert made.document("job")["duplicate"]
        clips = [document for document in made.documents if document["type"] == "clip"]
        assert [document["clip"]["state"] for document in clips] == [
            "ready",
            "ready",
            "failed",
            "failed",
            "failed",
        ]
        assert [Path(document["path"]).name for document in clips[:2]] == [
            "song-chorus-15s-square.mp4", "song-chorus-15s-square-2.mp4",
        ]  # fmt: skip
        assert "no more such parts than 2" in made.err
        assert made.document("balance")["available"] == 70 - 2 - 2 * 3
        for document in clips[:2]:
            found = look_at(Path(document["path"]))
            assert found.width == found.height
            assert found.sha256 == document["clip"]["sha256"]

        # The video by its id: what cannot be is refused before anything is held.
        video_id = clips[0]["clip"]["video_id"]
        outside = await echoshot("clips", video_id, "--start", 50, "--end", "1:30", "--json")
        assert (outside.exit, outside.document("error")["code"]) == (Exit.USAGE, "range_outside")
        beyond = await echoshot("clips", video_id, "--type", "bridge", "--length", 15, "--json")
        assert (beyond.exit, beyond.document("error")["code"]) == (Exit.USAGE, "no_such_highlight")
        cut = await echoshot("clips", video_id, "--start", 6, "--end", "0:10")
        assert cut.exit == Exit.OK, cut
        assert "3 credits used" in cut.out
        assert round(look_at(Path("song-6-10s-original.mp4")).duration) == 4
        everything = await echoshot(
            "clips", video_id, "--length", 15, "--type", "chorus", "--all", "--no-wait", "--json"
        )
        job = everything.document("job")
        assert len(job["params"]["clips"]) < 20, "only those that there are"
        assert (await echoshot("watch", job["id"])).exit == Exit.OK

        # Downloaded once more: what is there and whole is kept, anything else is not overwritten.
        (home / "again").mkdir()
        assert (await echoshot("download", job["id"], "-o", home / "again")).exit == Exit.OK
        files = sorted((home / "again").iterdir())
        assert [file.name for file in files] == [
            "song-chorus-15s-original-2.mp4",
            "song-chorus-15s-original.mp4",
        ]
        files[0].unlink()
        assert (await echoshot("download", job["id"], "-o", home / "again")).exit == Exit.OK
        assert files[0].is_file()
        files[0].write_bytes(b"mine")
        assert (await echoshot("download", job["id"], "-o", home / "again")).exit == Exit.USAGE
        assert files[0].read_bytes() == b"mine"

        # An app has asked for what is there and for what is not.
        asked = {"video_id": video_id, "clips": [{"length": 15, "type": "bridge"}, {"start": 1, "end": 2}]}
        headers = {"Authorization": f"Bearer {issuer.signer.mint('fan')}", "Idempotency-Key": "two"}
        async with httpx.AsyncClient(trust_env=False, timeout=30) as app:
            answer = await app.post(f"{platform.api.url}/v1/clips", json=asked, headers=headers)
        job_id = answer.raise_for_status().json()["job"]["id"]
        assert (await echoshot("watch", job_id)).exit == Exit.OK
        partial = await echoshot("download", job_id)
        assert partial.exit == Exit.JOB_FAILED, partial
        assert "song-bridge-15s-original.mp4 was not made and cost nothing" in partial.err
        assert Path("song-1-2s-original.mp4").is_file()

        refused = await echoshot("music", silent, "--json")
        assert (refused.exit, refused.document("error")["code"]) == (Exit.BAD_FILE, "no_audio")
        assert (await echoshot("balance", "--json")).document("balance")["held"] == 0
