"""Temporal may lose everything it knows; the sweep, which makes that good, must not be lost with it."""

from __future__ import annotations

import asyncio

from temporalio.service import RPCError

from tests.worker.test_schedules import remove
from tests.workflows.house import House, until
from worker.schedules import keep_schedules


async def test_a_schedule_that_is_lost_comes_back_while_the_worker_runs(house: House) -> None:
    sweep = house.client.get_schedule_handle(f"{house.settings.queue_prefix}sweep")

    async def there() -> bool:
        try:
            await sweep.describe()
        except RPCError:
            return False
        return True

    stop = asyncio.Event()
    keeping = asyncio.create_task(keep_schedules(house.client, house.settings, stop, look_s=0.1))
    await until(there)
    await sweep.delete()
    await until(there)
    stop.set()
    await keeping
    await remove(house)
