"""Steps and activities are two lists that only their names connect: this holds one against the other."""

from __future__ import annotations

import typing
from typing import Any

import pytest
from temporalio import activity

from activities import activities_of
from contracts.queues import Queue
from tests.workflows.house import House
from workflows.steps import STEPS, Step, beside


def registered(house: House) -> dict[str, list[tuple[Queue, Any]]]:
    found: dict[str, list[tuple[Queue, Any]]] = {}
    for queue in Queue:
        for each in activities_of(queue, house.rooms):
            definition = activity._Definition.must_from_callable(each)
            assert definition.name is not None
            found.setdefault(definition.name, []).append((queue, each))
    return found


async def test_every_step_has_one_activity_and_every_activity_its_step(closed_house: House) -> None:
    found = registered(closed_house)
    assert sorted(found) == sorted(step.name for step in STEPS)
    assert {name: len(hosts) for name, hosts in found.items()} == dict.fromkeys(found, 1)


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
async def test_a_step_and_its_activity_agree_on_queue_and_types(
    closed_house: House, step: Step[Any, Any]
) -> None:
    ((queue, hosted),) = registered(closed_house)[step.name]
    hints = typing.get_type_hints(hosted)
    returns = hints.pop("return")
    assert (queue, list(hints.values()), returns) == (step.queue, [step.takes], step.returns)


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_a_step_that_may_take_long_beats_and_no_step_is_tried_only_once(step: Step[Any, Any]) -> None:
    # Without a heartbeat time-out a running step can neither be cancelled nor its worker's death be seen.
    assert step.heartbeat is not None or step.attempt.total_seconds() <= 300
    # An activity that is paused in the Web UI and may be tried once would fail.
    assert step.retry.maximum_attempts != 1


def test_the_queues_of_one_platform_share_its_prefix() -> None:
    assert beside("a1-core", Queue.GPU) == "a1-gpu"
    assert beside("core", Queue.TRANSFER) == "transfer"
    assert beside("my-core-core", Queue.PROVIDERS) == "my-core-providers"
