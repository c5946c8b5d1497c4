"""`/healthz`, `/readyz`, `/metrics`: for the orchestrator and Prometheus, outside `/v1` and without tokens."""

from __future__ import annotations

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from api.ops.health import Dependency, dependencies
from api.problems import responses
from api.services import CurrentServices
from api.shapes import View
from contracts.errors import Code

router = APIRouter(tags=["operations"])


class Health(View):
    status: str = "ok"


class Readiness(View):
    ready: bool
    dependencies: dict[str, Dependency]


@router.get("/healthz", summary="The process is alive")
async def healthz() -> Health:
    """Asks nobody: a process must not be restarted because the database is away."""
    return Health()


@router.get(
    "/readyz",
    summary="Every server it needs is there",
    responses={503: {"model": Readiness, "description": "At least one dependency is not there."}},
)
async def readyz(services: CurrentServices, response: Response) -> Readiness:
    found = await dependencies(services)
    ready = all(dependency.ok for dependency in found.values())
    response.status_code = 200 if ready else 503
    return Readiness(ready=ready, dependencies=found)


@router.get(
    "/metrics",
    summary="Prometheus figures",
    response_class=Response,
    responses={
        200: {
            "content": {"text/plain": {"schema": {"type": "string"}}},
            "description": "Text exposition format.",
        },
        **responses(Code.UNAVAILABLE),
    },
)
async def metrics(services: CurrentServices) -> Response:
    """Keep it inside: the reverse proxy of a deployment does not forward this path."""
    await services.metrics.platform.refresh(services.database)
    return Response(generate_latest(services.metrics.registry), media_type=CONTENT_TYPE_LATEST)
