"""The lines that the Web UI shows must never keep a job from running: the server refuses long ones."""

from __future__ import annotations

import json

import pytest

from tests.workflows.clipping import CHORUS, VERSE, open_clips
from tests.workflows.house import House

SUMMARY_BYTES_MAX = 400
"""Temporal's `limit.userMetadataSummarySize`; a server may enforce it."""


@pytest.mark.parametrize("filename", ["콘" * 251 + ".mp4", '"' * 251 + ".mp4", "a" * 251 + ".mp4"])
async def test_a_job_whose_file_has_the_longest_name_runs(house: House, filename: str) -> None:
    job = (await house.open_job()).model_copy(update={"filename": filename})
    handle = await house.start(job)
    await handle.result()
    await house.assert_captured(job)
    summaries = [event.user_metadata.summary async for event in handle.fetch_history_events()]
    assert max(summary.ByteSize() for summary in summaries) in range(200, SUMMARY_BYTES_MAX + 1)


async def test_the_steps_of_clips_say_which_clip_and_how_many(house: House) -> None:
    handle = await house.start(await open_clips(house, VERSE, CHORUS))
    await handle.result()
    events = [event async for event in handle.fetch_history_events()]
    shown = [
        json.loads(event.user_metadata.summary.data) for event in events if event.user_metadata.summary.data
    ]
    cuts = {"clip 1: 1.0 to 3.0 s, original", "clip 2: 0.0 to 15.0 s, original"}
    assert {"wishes: 2", *cuts, "2 made, 0 failed"} <= set(shown)
