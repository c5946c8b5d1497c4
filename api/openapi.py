"""The OpenAPI document: FastAPI's, with the one error shape in place of the framework's own."""

from __future__ import annotations

import re
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from api.problems import FieldError, Problem, examples
from api.shapes import ID_FORM
from contracts.jobs import JobEvent

DESCRIPTION = """Turns phone footage of concerts into finished videos, paid with credits.

1. `POST /v1/jobs` holds the quoted credits and answers where to upload.
2. `PUT` the file to the presigned URL (or in parts), then `PATCH` the job's `ingested_url`.
3. Follow `events_url` (SSE) or poll `status_url` with `If-None-Match`.
4. `GET` the `result_url`.

Credits come from `POST /v1/payments/tokens`; a job may also be charged to a saved card (`funding`). What comes back
when something ends badly is the `refund_matrix` of `GET /v1/pricing`.

Errors are `application/problem+json`. Requests that create something take an `Idempotency-Key`; all other
requests may be repeated as they are. Lists are walked by `starting_after` and `ending_before`, newest first.
Live events also come over a WebSocket, `/v1/jobs/{id}/ws`.
"""

TAGS = [
    {"name": "jobs", "description": "Take on, watch, cancel and fetch."},
    {"name": "events", "description": "Live progress."},
    {"name": "videos", "description": "Uploaded sources and results."},
    {
        "name": "clips",
        "description": "Parts of a video, cut for social media, and links to share them.",
    },
    {"name": "music", "description": "The structure of a video's music, and its corrections."},
    {"name": "uploads", "description": "Large files in parts, resumable."},
    {"name": "payments", "description": "Buy credits, see purchases and their refunds."},
    {"name": "credits", "description": "Balance, books and prices."},
    {"name": "users", "description": "The caller."},
    {"name": "support", "description": "For support staff; every call is logged."},
    {
        "name": "finance",
        "description": "For finance: books, sagas, reconciliation, corrections; every call is logged.",
    },
    {"name": "webhooks", "description": "For payment providers."},
    {"name": "admin", "description": "For administrators."},
    {"name": "operations", "description": "For orchestrators and monitoring."},
]


def document(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        schema = get_openapi(
            title=app.title,
            version=app.version,
            description=app.description,
            routes=app.routes,
            tags=app.openapi_tags,
        )
        schemas = schema["components"]["schemas"]
        for framework_own in ("HTTPValidationError", "ValidationError"):
            schemas.pop(framework_own, None)
        for model in (Problem, FieldError, JobEvent):
            definition = model.model_json_schema(ref_template="#/components/schemas/{model}")
            for name, nested in definition.pop("$defs", {}).items():
                schemas.setdefault(name, nested)
            schemas[model.__name__] = definition
        schema["components"]["schemas"] = dict(sorted(schemas.items()))
        schema["components"]["examples"] = examples()
        for operation in (op for path in schema["paths"].values() for op in path.values()):
            for parameter in operation.get("parameters", []):
                _as_sent(parameter)
        app.openapi_schema = schema
    return app.openapi_schema


def _as_sent(parameter: dict[str, Any]) -> None:
    """A parameter that is left out is absent, never null; and the key that `api/idempotency.py` asks for itself,
    to answer with a code of its own, is required."""
    choices = parameter["schema"].get("anyOf", [])
    if {"type": "null"} in choices:
        [choice] = [choice for choice in choices if choice != {"type": "null"}]
        rest = {name: value for name, value in parameter["schema"].items() if name != "anyOf"}
        parameter["schema"] = {**choice, **rest}
    if parameter["name"] == "idempotency-key":
        parameter["required"] = True


def allowed_methods(app: FastAPI, path: str) -> list[str]:
    """Every method that some route at `path` takes: the router itself names only those of the first one."""
    return sorted(
        method.upper()
        for template, operations in document(app)["paths"].items()
        if re.fullmatch(re.sub(r"{\w+}", ID_FORM, template), path)
        for method in operations
    )
