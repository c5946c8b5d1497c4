"""Stripe's errors, with the codes and types that the official library turns into exceptions."""

from __future__ import annotations

from dev.standins.store import JsonObject


class ApiError(Exception):
    """An error answer. What was written before it was raised stays written, as a declined charge does."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        kind: str = "invalid_request_error",
        extra: JsonObject | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self._error: JsonObject = {"type": kind, "message": message}
        if code is not None:
            self._error |= {
                "code": code,
                "doc_url": f"https://stripe.com/docs/error-codes/{code.replace('_', '-')}",
            }
        if param is not None:
            self._error["param"] = param
        self._error |= extra or {}

    @property
    def body(self) -> JsonObject:
        return {"error": self._error}


def invalid(message: str, *, code: str | None = None, param: str | None = None) -> ApiError:
    return ApiError(400, message, code=code, param=param)


def missing(kind: str, object_id: str, param: str | None = None) -> ApiError:
    """404 when the path names it, 400 when a parameter does: Stripe's own distinction."""
    return ApiError(
        404 if param is None else 400,
        f"No such {kind}: '{object_id}'",
        code="resource_missing",
        param=param or "id",
    )
