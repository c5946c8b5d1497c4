"""Songs go in by HTTP and their structure and clips come out; whatever cannot be done is said, and costs nothing."""

from __future__ import annotations

import io
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from imageio_ffmpeg import get_ffmpeg_exe
from PIL import Image

from dev.clips.writer import Sound, steady, write
from dev.platform import Platform
from tests.e2e.driver import Customer, books_violations, customer
from tests.e2e.footage import facts
from tests.media.music import songs

pytestmark = pytest.mark.slow

FORM = [("C", 4), ("A", 8), ("B", 8), ("A", 8), ("B", 8), ("B", 8), ("C", 4)]
BAR_S = 2.0
CLICK_TOLERANCE_S = 0.003
FADED_FRAMES = 9
"""At each end, at 30 frames a second: too dark for their numbers to be read."""


def filmed(folder: Path, *pieces: np.ndarray, rate: int = songs.RATE) -> Path:
    """The sound with a small moving picture."""
    sound = songs.write(folder / "sound.wav", *pieces, rate=rate)
    film = folder / "film.mp4"
    subprocess.run(
        [
            *(get_ffmpeg_exe(), "-v", "error", "-y", "-f", "lavfi", "-i", "testsrc=s=320x180:r=30"),
            *(
                "-i",
                str(sound),
                "-shortest",
                "-c:v",
                "libx264",
                "-preset",
                "ultrafast",
                "-pix_fmt",
                "yuv420p",
            ),
            *("-c:a", "aac", str(film)),
        ],
        check=True,
    )
    return film


async def uploaded(fan: Customer, film: Path, kind: str = "music", **params: Any) -> dict[str, Any]:
    """A settled job on a new upload."""
    upload = {"filename": film.name, "bytes": film.stat().st_size, "content_type": "video/mp4"}
    answer = await fan.post("/v1/jobs", {"kind": kind, "params": params, "source": {"upload": upload}})
    assert answer.status_code == 201, answer.text
    await fan.upload(answer.json(), film)
    return await fan.wait(answer.json()["id"])


async def clips_of(fan: Customer, video_id: str, **wish: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A settled clip job and its clips, in the order of the wishes."""
    answer = await fan.post("/v1/clips", {"video_id": video_id, **wish})
    assert answer.status_code == 201, answer.text
    job = await fan.wait(answer.json()["job"]["id"])
    ids = [clip["id"] for clip in answer.json()["clips"]]
    return job, [(await fan.http.get(f"/v1/clips/{id}")).raise_for_status().json() for id in ids]


async def fetched(fan: Customer, url: str) -> bytes:
    """What a presigned redirect leads to."""
    answer = await fan.http.get(url)
    assert answer.status_code == 302, answer.text
    async with httpx.AsyncClient(trust_env=False) as plain:
        return (await plain.get(answer.headers["Location"])).raise_for_status().content


async def test_a_song_is_analysed_edited_and_cut_by_its_sections(platform: Platform, tmp_path: Path) -> None:
    async with customer(platform) as fan:
        job = await uploaded(fan, filmed(tmp_path, songs.song(FORM)))
        assert (job["status"], job["credit_effect"]) == ("SUCCEEDED", "captured")
        video = job["source_video_id"]
        assert await fan.balance() == (98, 0)  # 96 s are two started minutes

        found = (await fan.http.get(f"/v1/videos/{video}/music")).raise_for_status().json()
        assert found["summary"]["songs"][0]["tempo_bpm"] == pytest.approx(120, abs=1)
        async with httpx.AsyncClient(trust_env=False) as plain:
            strip = Image.open(io.BytesIO((await plain.get(found["strip_url"])).content))
            beats = (await plain.get(found["music_url"])).json()["songs"][0]["beats_s"]
        assert strip.size == (1200, 160)
        assert np.median(np.diff(beats)) == pytest.approx(0.5, abs=0.01)

        answer = await fan.http.get(f"/v1/videos/{video}/sections")
        sections = answer.json()["sections"]
        changes = {4 * BAR_S, 12 * BAR_S, 20 * BAR_S, 28 * BAR_S, 44 * BAR_S}
        starts = np.array([section["start_s"] for section in sections])
        assert all(np.abs(starts - change).min() < 0.5 for change in changes), sections

        # What the engine calls it is replaced by what its owner calls it, and clips go by that.
        edited = [
            {name: section[name] for name in ("start_s", "end_s", "type", "label")} for section in sections
        ]
        for section in edited:
            section["type"] = "verse"
        edited[1]["type"] = "bridge"
        wrong = await fan.http.patch(
            f"/v1/videos/{video}/sections", json={"sections": edited}, headers={"If-Match": '"7"'}
        )
        assert wrong.status_code == 412
        saved = await fan.http.patch(
            f"/v1/videos/{video}/sections",
            json={"sections": edited},
            headers={"If-Match": answer.headers["ETag"]},
        )
        assert saved.status_code == 200, saved.text
        original = (await fan.http.get(f"/v1/videos/{video}/sections?version=1")).json()
        assert original["sections"] == sections

        job, [bridge, chorus] = await clips_of(
            fan,
            video,
            clips=[{"length": 15, "type": "bridge", "format": "vertical"}, {"length": 15, "type": "chorus"}],
        )
        assert (bridge["state"], bridge["type"], bridge["credit_effect"], bridge["credits"]) == (
            *("ready", "bridge", "captured"),
            3,
        )
        assert (bridge["width"] / bridge["height"]) == pytest.approx(9 / 16, abs=0.01)
        shared = min(bridge["end"], edited[1]["end_s"]) - max(bridge["start"], edited[1]["start_s"])
        assert shared > bridge["duration"] / 2
        assert (chorus["state"], chorus["credit_effect"]) == ("failed", "released")
        assert chorus["failure"]["code"] == "no_such_highlight"
        assert await fan.balance() == (95, 0)
        assert job["credit_effect"] == "captured"
        preview = Image.open(io.BytesIO(await fetched(fan, f"/v1/clips/{bridge['id']}/preview")))
        assert (preview.width, getattr(preview, "n_frames", 1) > 10) == (320, True)
    assert await books_violations(platform) == []


@pytest.mark.parametrize("format", ["original", "square"])
async def test_a_clip_shows_the_frames_and_sounds_the_clicks_of_its_range(
    platform: Platform, tmp_path: Path, format: str
) -> None:
    source = write(tmp_path / "timed.mp4", steady(240), sounds=[Sound(duration_s=8)])  # pyright: ignore[reportArgumentType]
    async with customer(platform) as fan:
        job = await uploaded(fan, source, "clip", clips=[{"start": 0, "end": 1}])
        _, [clip] = await clips_of(fan, job["source_video_id"], start=2.1, end=5.6, format=format)
        assert clip["state"] == "ready", clip
        (tmp_path / "clip.mp4").write_bytes(await fetched(fan, f"/v1/clips/{clip['id']}/download"))
    cut = facts(tmp_path / "clip.mp4")
    assert cut.frames == 105
    inner = cut.numbers[FADED_FRAMES:-FADED_FRAMES]
    if format == "original":
        assert inner == tuple(range(63 + FADED_FRAMES, 168 - FADED_FRAMES))
    [heard] = cut.clicks
    expected = [0.25 + 0.5 * k - 2.1 for k in range(20) if 2.1 + 0.3 <= 0.25 + 0.5 * k < 5.6 - 0.3]
    heard = tuple(time for time in heard if 0.3 <= time - float(cut.times[0]) < 3.2)
    assert [time - float(cut.times[0]) for time in heard] == pytest.approx(expected, abs=CLICK_TOLERANCE_S)


@pytest.mark.parametrize(
    ("sound", "code"),
    [
        (lambda: songs.silence(20), "silent"),
        (lambda: songs.speech(40), "no_music"),
        (lambda: songs.song([("A", 2)])[: 5 * songs.RATE], "too_short"),
    ],
    ids=["silence", "speech only", "five seconds"],
)
async def test_sound_without_music_is_told_as_such_and_costs_nothing(
    platform: Platform, tmp_path: Path, sound: Callable[[], np.ndarray], code: str
) -> None:
    film = filmed(tmp_path, sound())
    async with customer(platform, credits=10) as fan:
        job = await uploaded(fan, film)
        assert (job["status"], job["failure"]["code"], job["credit_effect"]) == ("FAILED", code, "released")
        assert await fan.balance() == (10, 0)
        if code == "too_short":
            return  # as the video is for a highlight, too, which is known before a job is taken on
        # A wish by section has the same answer; a range beside it is cut all the same.
        ended, [by_section, by_range] = await clips_of(
            fan, job["source_video_id"], clips=[{"length": 15}, {"start": 1, "end": 3}]
        )
        assert ended["status"] == "SUCCEEDED", ended
        assert (by_section["state"], by_section["failure"]["code"]) == ("failed", code)
        assert by_range["state"] == "ready"
        assert await fan.balance() == (7, 0)


async def test_a_video_without_sound_has_no_music_but_can_be_cut(platform: Platform, tmp_path: Path) -> None:
    async with customer(platform, credits=10) as fan:
        job = await uploaded(fan, write(tmp_path / "mute.mp4", steady(600)))
        assert (job["status"], job["failure"]["code"]) == ("FAILED", "no_audio")
        video = job["source_video_id"]
        refused = await fan.post("/v1/clips", {"video_id": video, "length": 15})
        assert (refused.status_code, refused.json()["code"]) == (422, "no_audio")
        assert (await fan.http.get(f"/v1/videos/{video}/music")).json()["code"] == "not_analysed"
        assert await fan.balance() == (10, 0)


async def test_a_phones_poor_sound_is_still_music(platform: Platform, tmp_path: Path) -> None:
    """8 kHz, one channel, and a stretch of the file's bytes overwritten in the middle."""
    film = filmed(tmp_path, songs.song(FORM[:5]), rate=8000)
    content = bytearray(film.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 2000] = bytes(2000)
    film.write_bytes(content)
    async with customer(platform) as fan:
        job = await uploaded(fan, film)
        assert job["status"] == "SUCCEEDED", job
        found = (await fan.http.get(f"/v1/videos/{job['source_video_id']}/music")).json()
        assert found["summary"]["songs"][0]["tempo_bpm"] == pytest.approx(120, abs=1)


async def test_impossible_ranges_and_lost_sources_are_refused_before_anything_is_held(
    platform: Platform, tmp_path: Path
) -> None:
    async with customer(platform, credits=10) as fan:
        film = write(tmp_path / "short.mp4", steady(90))
        job = await uploaded(fan, film, "clip", clips=[{"start": 0, "end": 1}])
        video, held = job["source_video_id"], await fan.balance()
        for wish, code in (
            ({"start": 0.9, "end": 0.2}, "validation_failed"),
            ({"start": 5, "end": 7}, "range_outside"),
            ({"start": 0, "end": 30}, "clip_longer_than_video"),
            ({"length": 15}, "clip_longer_than_video"),
            ({"start": 0, "end": 181}, "validation_failed"),
            ({"length": 20}, "validation_failed"),
            ({"start": 0, "end": 1, "format": "round"}, "validation_failed"),
            ({"clips": [{"start": 0, "end": 1}] * 21}, "validation_failed"),
        ):
            refused = await fan.post("/v1/clips", {"video_id": video, **wish})
            assert refused.json().get("code") == code, (wish, refused.text)
        assert (await fan.http.delete(f"/v1/videos/{video}")).status_code == 204
        gone = await fan.post("/v1/clips", {"video_id": video, "start": 0, "end": 1})
        assert (gone.status_code, gone.json()["code"]) == (404, "not_found")
        assert await fan.balance() == held
    assert await books_violations(platform) == []
