"""What activities work with: the rooms that a worker has opened, and who the books say is acting."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from temporalio import activity
from temporalio.client import Client

from activities.files import engines_root
from contracts.ids import JobId
from contracts.ledger import TransferOrigin
from contracts.payments import Provider, ProviderEvent
from contracts.purchases import PurchaseInput
from contracts.settings import Settings
from contracts.video_job import JobInput
from db.engine import Database
from media.sandbox import Sandbox, SandboxPool
from providers.notifications import Notifier, notifier
from providers.payments import Payments, payments
from storage.cache import SourceCache
from storage.store import Store


class Starter(Protocol):
    """Starts and wakes workflows; given by the worker, since activities do not know them."""

    @property
    def start_job(self) -> Callable[[JobInput], Awaitable[bool]]:
        """False when it was started before."""
        ...

    @property
    def announce_upload(self) -> Callable[[JobId], Awaitable[None]]: ...

    @property
    def start_purchase(self) -> Callable[[PurchaseInput], Awaitable[bool]]:
        """False when it runs."""
        ...

    @property
    def deliver_event(self) -> Callable[[PurchaseInput, ProviderEvent], Awaitable[None]]: ...

    @property
    def announce_refund(self) -> Callable[[PurchaseInput], Awaitable[None]]: ...

    @property
    def cancel_purchase(self) -> Callable[[PurchaseInput], Awaitable[None]]: ...


@dataclass(frozen=True)
class Rooms:
    """Opened once per worker process by `worker/`."""

    settings: Settings
    database: Database
    store: Store
    cache: SourceCache
    engines: SandboxPool
    notifier: Notifier
    payments: dict[Provider, Payments]
    """Those that are configured."""
    temporal: Client
    starter: Starter


@asynccontextmanager
async def open_rooms(
    settings: Settings, temporal: Client, *, starter: Starter, engines: int
) -> AsyncIterator[Rooms]:
    """`engines`: warm engine processes of this worker; a role without any media work has none."""
    store = Store.from_settings(settings)
    rooms = Rooms(
        settings=settings,
        database=Database.from_settings(settings),
        store=store,
        cache=SourceCache(store, settings.work_dir, settings.work_dir_bytes_max),
        engines=SandboxPool(engines, lambda: _sandbox(settings)),
        notifier=notifier(settings),
        payments=payments(settings),
        temporal=temporal,
        starter=starter,
    )
    try:
        yield rooms
    finally:
        await rooms.engines.aclose()
        for provider in rooms.payments.values():
            await provider.aclose()
        await rooms.database.aclose()
        store.close()


def _sandbox(settings: Settings) -> Sandbox:
    return Sandbox(
        memory_bytes_max=settings.engine_memory_bytes_max, scratch_root=engines_root(settings).absolute()
    )


def origin(job_id: str = "", *, purchase_id: str = "", actor: str = "", reason: str = "") -> TransferOrigin:
    """The running activity, as the ledger and the saga log name it."""
    info = activity.info()
    return TransferOrigin(
        actor=actor or f"system:{info.workflow_type}",
        step=info.activity_type,
        workflow_id=info.workflow_id or "",
        run_id=info.workflow_run_id or "",
        job_id=job_id,
        purchase_id=purchase_id,
        reason=reason,
    )
