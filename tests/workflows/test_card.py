"""What support reads of a job's money, in words of its own state."""

from __future__ import annotations

import pytest

from contracts.jobs import JobStatus
from workflows.card import Card


@pytest.mark.parametrize("status", JobStatus)
def test_a_free_job_speaks_of_no_hold(status: JobStatus) -> None:
    card = Card(status=status, credits_held=0, free=True).markdown()
    assert "무료 작업" in card
    assert "the job is free" in card
    assert "the hold was released" not in card
    assert "0 held" not in card
