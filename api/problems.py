"""Every error answer of the API: RFC 9457 `application/problem+json`, rendered in one place.

The codes, HTTP statuses and sentences live in `contracts/errors.py`; this module adds the request's id, the
language of the reader and the declarations for the OpenAPI document.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection

from api.field_messages import field_message
from api.shapes import FORM
from contracts.details import detail_of
from contracts.errors import ERRORS, Code, EchoError, sentence
from contracts.kinds import KINDS
from contracts.ledger import CreditEffect
from contracts.text import storable

MEDIA_TYPE = "application/problem+json"
FIELD_ERRORS_MAX = 20
"""A body may be wrong in a thousand places; the first ones tell enough."""

log = logging.getLogger("echoshot.api")


class FieldError(BaseModel):
    """One field that was not accepted."""

    field: str = Field(description="Dotted path, beginning with `body`, `query`, `path` or `header`.")
    message: str = Field(description="What is wrong with it, in the language of the title.")


class Problem(BaseModel):
    """RFC 9457 problem details. `title` and `detail` are for the user, `technical` never is. Some codes add the values
    that `detail` speaks of, such as `required` and `available` credits."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(description="URN of the code.", examples=["urn:echoshot:problem:not_found"])
    title: str = Field(description="What went wrong, in Korean or English by `Accept-Language`.")
    status: int
    code: Code
    retryable: bool = Field(description="Whether the same request may succeed later without a change.")
    credit_effect: CreditEffect = Field(
        CreditEffect.NONE,
        description="What this answer did to credits: nothing, a failed request takes none.",
    )
    request_id: str
    detail: str | None = Field(
        None, description="The numbers, the limit or what to do, in the language of the title."
    )
    technical: str | None = Field(None, description="For engineers and support, in English; not to be shown.")
    errors: list[FieldError] | None = Field(None, description="Of a request that did not validate.")


STATUS_CODES: dict[int, Code] = {
    400: Code.BAD_REQUEST,
    401: Code.UNAUTHENTICATED,
    403: Code.FORBIDDEN,
    404: Code.NOT_FOUND,
    405: Code.METHOD_NOT_ALLOWED,
    413: Code.PAYLOAD_TOO_LARGE,
    503: Code.UNAVAILABLE,
}
"""What the framework's own errors are called here."""


def locale_of(connection: HTTPConnection) -> str:
    """`ko` or `en`: by Accept-Language, else by the token's `locale` claim, else English."""
    for part in connection.headers.get("accept-language", "").split(","):
        tag = part.split(";")[0].strip().lower()
        if tag[:2] in ("ko", "en"):
            return tag[:2]
    caller = getattr(connection.state, "caller", None)
    return "ko" if caller is not None and caller.locale.startswith("ko") else "en"


def problem(
    connection: HTTPConnection,
    code: Code,
    *,
    technical: str = "",
    fields: dict[str, str | int] | None = None,
    errors: Sequence[FieldError] = (),
    headers: dict[str, str] | None = None,
) -> Response:
    """The answer for `code`; `fields` become extension members beside the standard ones."""
    info, locale = ERRORS[code], locale_of(connection)
    body = Problem(
        type=f"urn:echoshot:problem:{code}",
        title=sentence(code, locale),
        status=info.status,
        code=code,
        retryable=info.retryable,
        credit_effect=CreditEffect.NONE,
        request_id=getattr(connection.state, "request_id", ""),
        detail=detail_of(code, fields or {}, locale),
        technical=technical or None,
        errors=list(errors) or None,
    )
    headers = {"Content-Language": locale, **(headers or {})}
    if info.status == 401:
        headers.setdefault("WWW-Authenticate", 'Bearer realm="echoshot", error="invalid_token"')
    if info.retryable and info.status in (429, 503):
        headers.setdefault("Retry-After", "5")
    return JSONResponse(
        body.model_dump(mode="json", exclude_none=True) | (fields or {}),
        status_code=info.status,
        headers=headers,
        media_type=MEDIA_TYPE,
    )


def _without_consequences(found: Sequence[Any]) -> list[Any]:
    """Items that are wrong are not counted: a list is then called too short besides, which nobody can mend."""
    within = {item["loc"][:depth] for item in found for depth in range(len(item["loc"]))}
    return [item for item in found if item["type"] != "too_short" or item["loc"] not in within]


def _field(location: tuple[int | str, ...]) -> str:
    """Where in the request. What tells bodies apart, their `kind` or their form, is no part of the path."""
    first, *rest = location
    told_apart = bool(rest) and (rest[0] in KINDS or str(rest[0]).startswith(FORM))
    return ".".join(map(str, [first, *(rest[1:] if told_apart else rest)]))


def render(connection: HTTPConnection, error: EchoError) -> Response:
    if error.info.status >= 500:
        log.error("request failed: %s", error, exc_info=error, extra={"code": error.code})
    return problem(connection, error.code, technical=error.detail, fields=error.fields)


def install(app: FastAPI, allowed_methods: Callable[[str], list[str]]) -> None:
    """Make `app` answer every failure as a problem, the framework's own and the unforeseen ones included.

    `allowed_methods` says which methods a path takes, for the Allow header of a 405.
    """

    @app.exception_handler(EchoError)
    async def _known(request: Request, error: EchoError) -> Response:
        return render(request, error)

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> Response:
        found = _without_consequences(error.errors())
        code = Code.BAD_REQUEST if found and found[0]["type"] == "json_invalid" else Code.VALIDATION_FAILED
        # The input is left out on purpose: it may be large, or a secret sent to the wrong field.
        locale = locale_of(request)
        errors = [
            FieldError(field=storable(_field(item["loc"])), message=storable(field_message(item, locale)))
            for item in found[:FIELD_ERRORS_MAX]
        ]
        return problem(request, code, errors=errors)

    @app.exception_handler(HTTPException)
    async def _framework(request: Request, error: HTTPException) -> Response:
        code = STATUS_CODES.get(error.status_code, Code.BAD_REQUEST)
        headers = dict(error.headers or {})
        if error.status_code == 405:
            headers["Allow"] = ", ".join(allowed_methods(request.url.path))
        return problem(request, code, headers=headers)

    @app.exception_handler(Exception)
    async def _unforeseen(request: Request, error: Exception) -> Response:
        # Logged with its traceback by the server; the caller learns only the request id.
        return problem(request, Code.INTERNAL)


def responses(*codes: Code) -> dict[int | str, dict[str, Any]]:
    """OpenAPI declarations of the errors that a route can answer; each code refers to its example."""
    declared: dict[int | str, dict[str, Any]] = {}
    for code in codes:
        info = ERRORS[code]
        entry = declared.setdefault(info.status, {"description": "", "content": {MEDIA_TYPE: {}}})
        entry["description"] = " / ".join(filter(None, [entry["description"], f"`{code}`: {info.en}"]))
        content = entry["content"][MEDIA_TYPE]
        content["schema"] = {"$ref": "#/components/schemas/Problem"}
        content.setdefault("examples", {})[str(code)] = {"$ref": f"#/components/examples/{code}"}
    return declared


def examples() -> dict[str, Any]:
    """One problem of each code, for the components of the OpenAPI document."""
    return {
        str(code): {
            "value": {
                "type": f"urn:echoshot:problem:{code}",
                "title": info.en,
                "status": info.status,
                "code": str(code),
                "retryable": info.retryable,
                "credit_effect": "none",
                "request_id": "req_5f0c1d2e37b3c9a4",
            }
        }
        for code, info in ERRORS.items()
    }
