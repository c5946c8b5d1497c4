"""The longest video that is accepted stays within what Temporal allows one workflow to be."""

from __future__ import annotations

import os

import pytest

from contracts.ids import JobId
from contracts.kinds.clip import CLIPS_MAX, ClipSpec
from contracts.settings import Settings
from media.plan import SEGMENT_S, SEGMENTS_MAX
from tests.workflows.house import House
from tests.workflows.stand_ins import ANALYSIS, choice, clip_made, plan, segment_result

EVENTS_MAX = 51_200
BYTES_MAX = 50 * 1024**2
MESSAGE_BYTES_MAX = 4 * 1024**2
"""gRPC's limit, which all segments scheduled in one workflow task share."""
PAYLOAD_BYTES_MAX = 2 * 1024**2

SECTION_S_MIN = 2
"""A bar of 120 bpm: no song has so many."""

SAMPLE = int(os.environ.get("ECHOSHOT_TEST_SEGMENTS", "100"))
"""Segments that are really run; their cost is the same for each. Set it to SEGMENTS_MAX for the whole thing."""


async def test_as_many_segments_as_a_plan_may_have_fit_into_one_workflow(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    house.stand_ins.segments = SAMPLE
    job = await house.open_job()
    handle = await house.start(job)
    await handle.result()
    await house.assert_captured(job)

    all_events = [event async for event in handle.fetch_history_events()]
    size = sum(event.ByteSize() for event in all_events)
    scheduled = sum(
        event.ByteSize()
        for event in all_events
        if event.activity_task_scheduled_event_attributes.activity_type.name == "enhance_segment"
    )
    factor = SEGMENTS_MAX / SAMPLE
    with capsys.disabled():
        print(
            f"\n{SAMPLE} segments: {len(all_events)} events, {size / 1024**2:.2f} MiB of history,"
            f" {scheduled / 1024**2:.2f} MiB to schedule them; at {SEGMENTS_MAX} segments"
            f" {len(all_events) * factor:.0f} events, {size * factor / 1024**2:.1f} MiB,"
            f" {scheduled * factor / 1024**2:.2f} MiB"
        )
    assert len(all_events) * factor < EVENTS_MAX / 4
    assert size * factor < BYTES_MAX / 2
    assert scheduled * factor < MESSAGE_BYTES_MAX * 0.9


def test_the_longest_video_has_no_more_segments_than_a_plan_may_have() -> None:
    assert Settings().limits.duration_s_max / SEGMENT_S <= SEGMENTS_MAX


def test_the_lists_of_all_segments_fit_into_one_payload() -> None:
    assert len(plan(SEGMENTS_MAX).model_dump_json()) < PAYLOAD_BYTES_MAX * 0.9
    assert SEGMENTS_MAX * len(segment_result(1).model_dump_json()) < PAYLOAD_BYTES_MAX * 0.9


def test_the_most_clips_of_the_longest_concert_fit_into_one_payload() -> None:
    """Each is in the step that lists them, in its result and in the capture."""
    one = choice(0, ClipSpec(start=0.0, end=180.0), ANALYSIS)
    made = len(clip_made(JobId("job_01jd7xk3v8q2m4n6p8r0s2t4v6"), one).model_dump_json())
    section = ANALYSIS.summary.sections[0].model_dump_json()
    sections = Settings().limits.duration_s_max // SECTION_S_MIN * len(section)
    assert CLIPS_MAX * made + sections < PAYLOAD_BYTES_MAX * 0.5
