"""The lines that the Web UI shows must never keep a job from running: the server refuses long ones."""

from __future__ import annotations

import pytest

from tests.workflows.house import House


@pytest.mark.parametrize("filename", ["콘" * 251 + ".mp4", '"' * 251 + ".mp4", "a" * 251 + ".mp4"])
async def test_a_job_whose_file_has_the_longest_name_runs(house: House, filename: str) -> None:
    job = (await house.open_job()).model_copy(update={"filename": filename})
    await (await house.start(job)).result()
    await house.assert_captured(job)
