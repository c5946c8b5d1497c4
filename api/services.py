"""What every request needs and nobody should open twice: one instance per process, opened by `api/app.py`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends
from starlette.requests import HTTPConnection

from api.events.hub import EventHub
from api.identity import TokenVerifier, Users
from api.metrics import Metrics
from api.temporal import Temporal
from contracts.settings import Settings
from db.engine import Database
from storage.multipart import Multipart
from storage.presign import Presigner
from storage.store import Store
from workflows.client import connect
from workflows.codec import EncryptionCodec, codec


@dataclass(frozen=True)
class Services:
    settings: Settings
    database: Database
    store: Store
    presigner: Presigner
    multipart: Multipart
    temporal: Temporal
    codec: EncryptionCodec
    hub: EventHub
    verifier: TokenVerifier
    users: Users
    metrics: Metrics


@asynccontextmanager
async def open_services(settings: Settings) -> AsyncIterator[Services]:
    """Nothing is connected yet when this yields, so the API starts in any order with its servers."""
    database = Database.from_settings(settings)
    store = Store.from_settings(settings)
    presigner = Presigner.from_settings(settings)
    temporal = Temporal(await connect(settings, lazy=True))
    hub = EventHub(database)
    hub.start()
    try:
        yield Services(
            settings=settings,
            database=database,
            store=store,
            presigner=presigner,
            multipart=Multipart(store, presigner),
            temporal=temporal,
            codec=codec(settings),
            hub=hub,
            verifier=TokenVerifier(settings.oidc_issuer, settings.oidc_audience, settings.oidc_jwks_url),
            users=Users(database, settings.oidc_issuer),
            metrics=Metrics(),
        )
    finally:
        await hub.aclose()
        await database.aclose()
        store.close()
        presigner.client.close()


def services_of(connection: HTTPConnection) -> Services:
    return cast(Services, connection.app.state.services)


CurrentServices = Annotated[Services, Depends(services_of)]
