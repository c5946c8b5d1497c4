"""The standing orders exist once, follow the settings, and keep an operator's pause."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from contracts.queues import Queue
from tests.workflows.house import House, until, workers
from worker.schedules import ensure_schedules

NAMES = ["expiry", "reconcile", "retention", "seal", "sweep"]


async def test_workers_that_start_at_once_make_each_schedule_once(house: House) -> None:
    await asyncio.gather(*(ensure_schedules(house.client, house.settings) for _ in range(3)))
    prefix = house.settings.queue_prefix

    async def listed() -> bool:
        found = [each.id async for each in await house.client.list_schedules() if each.id.startswith(prefix)]
        return sorted(found) == [f"{prefix}{name}" for name in NAMES]

    await until(listed)
    await remove(house)


async def test_a_restart_brings_new_settings_and_keeps_a_pause(house: House) -> None:
    await ensure_schedules(house.client, house.settings)
    sweep = house.client.get_schedule_handle(f"{house.settings.queue_prefix}sweep")
    await sweep.pause(note="while we look")

    await ensure_schedules(house.client, house.settings.model_copy(update={"sweep_interval_s": 300}))
    schedule = (await sweep.describe()).schedule
    assert [each.every for each in schedule.spec.intervals] == [timedelta(seconds=300)]
    assert (schedule.state.paused, schedule.state.note) == (True, "while we look")
    await remove(house)


async def test_a_scheduled_sweep_runs(house: House) -> None:
    await ensure_schedules(house.client, house.settings)
    sweep = house.client.get_schedule_handle(f"{house.settings.queue_prefix}sweep")
    async with workers(house, Queue.CORE):
        await sweep.trigger()

        async def has_run() -> bool:
            return (await sweep.describe()).info.num_actions >= 1 and not (
                await sweep.describe()
            ).info.running_actions

        await until(has_run)
    await remove(house)


async def remove(house: House) -> None:
    for name in NAMES:
        await house.client.get_schedule_handle(f"{house.settings.queue_prefix}{name}").delete()
