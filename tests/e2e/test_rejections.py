"""Files that are no good: a code, a sentence in the user's language, the hold released, nothing left behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from dev.clips import BAD, SOUNDS
from dev.clips.bad import REFUSALS
from dev.platform import Platform
from dev.stack import BUCKET
from tests.e2e.driver import books_violations, customer, object_store

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("clip", [clip for clip in REFUSALS if clip != "empty"])
async def test_a_bad_file_is_rejected_with_its_code_and_its_hold_released(
    platform: Platform, tmp_path: Path, clip: str
) -> None:
    source = BAD[clip](tmp_path)
    async with customer(platform, credits=10) as fan:
        job = await fan.start(source)
        ended = await fan.wait(job["id"])
        korean = await fan.http.get(f"/v1/jobs/{job['id']}", headers={"Accept-Language": "ko"})
        assert await fan.balance() == (10, 0)
        assert (ended["status"], ended["failure"]["code"]) == ("FAILED", REFUSALS[clip]), ended
        assert ended["credit_effect"] == "released"
        assert any("가" <= letter <= "힣" for letter in korean.json()["failure"]["message"])
        await fan.until(job["id"], lambda _: not objects_of(platform, job))


async def test_a_song_cannot_be_enhanced_and_costs_nothing_but_stays_for_other_kinds(
    platform: Platform, tmp_path: Path
) -> None:
    async with customer(platform, credits=10) as fan:
        job = await fan.start(SOUNDS["mp3_with_cover"](tmp_path))
        ended = await fan.wait(job["id"])
        source = (await fan.http.get(f"/v1/videos/{job['source_video_id']}")).json()
        again = await fan.post("/v1/jobs", {"kind": "enhance", "source": {"video_id": source["id"]}})
        assert await fan.balance() == (10, 0)
    assert (ended["status"], ended["failure"]["code"]) == ("FAILED", "no_video"), ended
    assert (ended["credit_effect"], ended["attention"]) == ("released", None)
    assert (source["state"], source["info"]["video"]) == ("ready", None)
    assert (again.status_code, again.json()["code"]) == (422, "no_video")
    assert await books_violations(platform) == []


async def test_an_empty_file_is_refused_before_any_upload(platform: Platform, tmp_path: Path) -> None:
    async with customer(platform, credits=10) as fan:
        upload = {"filename": "empty.mp4", "bytes": 0, "content_type": "video/mp4"}
        answer = await fan.post("/v1/jobs", {"kind": "enhance", "source": {"upload": upload}})
        assert await fan.balance() == (10, 0)
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"sha256": "0" * 64}, "hash_mismatch"),
        ({"content_type": "video/webm"}, "type_mismatch"),
    ],
)
async def test_a_file_that_is_not_what_was_announced_is_rejected(
    platform: Platform, tmp_path: Path, said: dict[str, str], code: str
) -> None:
    source = BAD["too_fast"](tmp_path)
    async with customer(platform, credits=10) as fan:
        job = await fan.open_job(source, announce=said)
        await fan.upload(job, source)
        ended = await fan.wait(job["id"])
        assert await fan.balance() == (10, 0)
    assert (ended["status"], ended["failure"]["code"]) == ("FAILED", code)
    assert await books_violations(platform) == []


def objects_of(platform: Platform, job: dict[str, object]) -> list[str]:
    """Keys of every object that the job has in the store."""
    with object_store(platform) as client:
        found = client.list_objects_v2(Bucket=BUCKET).get("Contents", [])
    ids = (str(job["id"]), str(job["source_video_id"]))
    return [item["Key"] for item in found if any(each in item["Key"] for each in ids)]
