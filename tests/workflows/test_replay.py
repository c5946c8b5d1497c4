"""Jobs that were started by older code go on under newer code: their recorded histories must still replay."""

from __future__ import annotations

import difflib
import json
from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer

from tests.workflows.prepared import prepared_runner
from tests.workflows.recording import ALL, COMMAND, FINGERPRINTS, HISTORIES, commands, tell
from tests.workflows.shop import Shop
from workflows.registry import WORKFLOWS

FILES = sorted(HISTORIES.glob("*.json"))


def replayer() -> Replayer:
    return Replayer(
        workflows=WORKFLOWS, workflow_runner=prepared_runner(), data_converter=pydantic_data_converter
    )


def history_of(text: str) -> WorkflowHistory:
    started = json.loads(text)["events"][0]["workflowExecutionStartedEventAttributes"]
    return WorkflowHistory.from_json(started["workflowId"], text)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
async def test_a_recorded_history_still_replays(file: Path) -> None:
    await replayer().replay_workflow(history_of(file.read_text()))


async def test_a_history_of_other_commands_does_not_replay() -> None:
    text = (HISTORIES / "succeeded.json").read_text()
    assert '"adjust_hold"' in text
    with pytest.raises(Exception, match="adjust_hold"):
        await replayer().replay_workflow(history_of(text.replace('"adjust_hold"', '"adjust_price"')))


def test_every_story_and_every_workflow_has_a_recorded_history() -> None:
    assert [file.stem for file in FILES] == sorted(ALL)
    recorded = {
        json.loads(file.read_text())["events"][0]["workflowExecutionStartedEventAttributes"]["workflowType"][
            "name"
        ]
        for file in FILES
    }
    assert recorded == {workflow.__temporal_workflow_definition.name for workflow in WORKFLOWS}


def test_no_recorded_history_names_the_machine_that_recorded_it() -> None:
    for file in FILES:
        for private in ("identity", "stackTrace", "/site-packages/"):
            assert private not in file.read_text()


@pytest.mark.parametrize("story", ALL)
async def test_the_commands_of_a_story_are_the_recorded_ones(shop: Shop, story: str) -> None:
    expected = json.loads(FINGERPRINTS.read_text())[story]
    found = commands(await tell(shop, story))
    difference = "\n".join(difflib.unified_diff(expected, found, "recorded", "now", lineterm="", n=2))
    assert found == expected, (
        f"The workflow's commands have changed:\n{difference}\n\n"
        "Jobs that are running now were started with the recorded order. When their worker restarts with this "
        "code, replay finds the difference, and they stop with a nondeterminism error until the code is put back.\n"
        "If old jobs may still run: keep the old order for them, with `if workflow.patched(...)` or a worker "
        f"version of its own (docs/deploy.md), then record the new one: `{COMMAND}`.\n"
        "If no deployment has ever run the recorded order: just record."
    )
