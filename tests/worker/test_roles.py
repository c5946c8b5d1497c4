"""Every queue has one role, and a role has what its work needs."""

from __future__ import annotations

from contracts.queues import Queue
from contracts.settings import Settings, cpu_cores
from worker.roles import ROLES
from workflows.registry import WORKFLOWS


def test_every_queue_is_served_by_the_role_of_its_name() -> None:
    assert {name: role.queue for name, role in ROLES.items()} == {queue.value: queue for queue in Queue}


def test_workflows_run_in_one_role_only() -> None:
    assert {name: role.workflows for name, role in ROLES.items() if role.workflows} == {"core": WORKFLOWS}


def test_roles_that_touch_media_have_an_engine_and_the_others_none() -> None:
    settings = Settings(gpu_slots=3)
    assert {name: role.engines(settings) for name, role in ROLES.items()} == {
        "core": 0,
        "transfer": ROLES["transfer"].slots(settings),
        "gpu": 3,
        "providers": 0,
    }


def test_no_step_waits_inside_its_worker_for_an_engine() -> None:
    """What waits there does not beat: it would be given up, and begun again beside itself."""
    for slots in (0, 1, 5):
        settings = Settings(gpu_slots=slots)
        for role in (ROLES["gpu"], ROLES["transfer"]):
            assert role.slots(settings) == role.engines(settings) >= 1


def test_a_gpu_that_engines_do_not_use_leaves_one_segment_a_core() -> None:
    assert ROLES["gpu"].slots(Settings(device="cpu", gpu_slots=0)) == cpu_cores()
