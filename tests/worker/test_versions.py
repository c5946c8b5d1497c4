"""With ECHOSHOT_WORKER_BUILD_ID a job stays on the version of the code that started it (docs/deploy.md)."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from uuid import uuid4

from temporalio.api.workflowservice.v1 import SetWorkerDeploymentCurrentVersionRequest
from temporalio.service import RPCError

from contracts.queues import Queue
from tests.workflows.house import Handle, House, until, workers
from worker.roles import ROLES
from worker.serve import DEPLOYMENT, build_worker


def core_worker(house: House, build: str) -> AbstractAsyncContextManager[object]:
    settings = house.settings.model_copy(update={"worker_build_id": build})
    return build_worker(ROLES[Queue.CORE], replace(house.rooms, settings=settings))


async def make_current(house: House, build: str) -> None:
    """What `temporal worker deployment set-current-version` does; the version is known once its worker polls."""

    async def accepted() -> bool:
        request = SetWorkerDeploymentCurrentVersionRequest(
            namespace=house.client.namespace,
            deployment_name=DEPLOYMENT,
            build_id=build,
            identity="operator",
            ignore_missing_task_queues=True,
        )
        try:
            await house.client.workflow_service.set_worker_deployment_current_version(request)
        except RPCError:
            return False
        return True

    await until(accepted)


async def build_of(handle: Handle) -> str:
    info = (await handle.describe()).raw_description.workflow_execution_info.versioning_info
    return info.deployment_version.build_id


async def test_jobs_finish_on_the_version_that_started_them_while_new_ones_take_the_new(house: House) -> None:
    old, new = f"old-{uuid4().hex[:8]}", f"new-{uuid4().hex[:8]}"
    async with workers(house, Queue.TRANSFER, Queue.GPU, Queue.PROVIDERS), core_worker(house, old):
        await make_current(house, old)
        first = await house.open_job(uploaded=False)
        first_handle = await house.start(first)

        async def is_pinned() -> bool:
            return await build_of(first_handle) == old

        await until(is_pinned)
        async with core_worker(house, new):
            await make_current(house, new)
            second = await house.open_job()
            second_handle = await house.start(second)
            await second_handle.result()
            await first_handle.signal("ingested")
            await first_handle.result()
            assert (await build_of(first_handle), await build_of(second_handle)) == (old, new)
    await house.assert_captured(first)
    await house.assert_captured(second)
