"""The application: routes, problems, middleware, and the services that live as long as the process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from fastapi import APIRouter, FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi_offline import FastAPIOffline

from api import problems
from api.admin import routes as admin
from api.clips import files as clip_files
from api.clips import routes as clips
from api.codec import routes as codec
from api.credits import routes as credits_
from api.events import routes as events
from api.finance import corrections, journal, lists, reconciliations, sagas
from api.idempotency import REPLAYED_HEADER
from api.jobs import results
from api.jobs import routes as jobs
from api.middleware import REQUEST_ID_HEADER, BodyLimit, RequestContext
from api.music import routes as music
from api.openapi import DESCRIPTION, TAGS, allowed_methods, document
from api.ops import routes as ops
from api.payments import routes as payments
from api.services import open_services
from api.shares import public as shared_pages
from api.shares import routes as shares
from api.support import routes as support
from api.uploads import routes as uploads
from api.users import routes as users
from api.videos import routes as videos
from api.webhooks import routes as webhooks
from contracts.errors import Code
from contracts.settings import Settings

VERSION = "1.0.0"
"""Of the HTTP interface, not of the program."""


def create_app(settings: Settings) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_services(settings) as services:
            app.state.services = services
            yield
        # FastAPI's caches keep an application as long as the process lives, and with it whatever its state holds.
        del app.state.services

    # Offline: a platform on a machine without internet shows its documentation too.
    app = FastAPIOffline(
        title="EchoShotX",
        version=VERSION,
        description=DESCRIPTION,
        openapi_tags=TAGS,
        lifespan=lifespan,
        redoc_url=None,
        telemetry={"tracing": False},
        # Problem is the only error shape; this keeps FastAPI from declaring its own 422.
        responses=problems.responses(Code.VALIDATION_FAILED),
        redirect_slashes=False,
    )
    v1 = APIRouter(prefix="/v1")
    products = (music, clips, clip_files, shares)
    customers = (jobs, results, events, videos, uploads, *products, payments, credits_, users)
    staff = (support, journal, lists, sagas, reconciliations, corrections, admin)
    for module in (*customers, *staff, webhooks):
        v1.include_router(module.router)
    app.include_router(v1)
    app.include_router(shared_pages.router)
    app.include_router(ops.router)
    app.include_router(codec.router)
    problems.install(app, lambda path: allowed_methods(app, path))
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=["ETag", "Location", REQUEST_ID_HEADER, REPLAYED_HEADER],
        )
    if settings.temporal_ui_url:
        app.add_middleware(
            codec.CodecCors, origin="{0.scheme}://{0.netloc}".format(urlsplit(settings.temporal_ui_url))
        )
    app.add_middleware(
        BodyLimit, bytes_max=settings.request_body_bytes_max, larger={codec.PREFIX: codec.BODY_BYTES_MAX}
    )
    app.add_middleware(RequestContext)
    app.openapi = lambda: document(app)
    return app
