"""Who is calling, and what they may do: the dependencies that routes ask for."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.security import HTTPBearer
from starlette.requests import HTTPConnection

from api.services import services_of
from contracts.errors import Code, EchoError
from contracts.ids import UserId
from contracts.text import is_storable

CLAIM_CHARS_MAX = 320
"""The longest e-mail address there can be; subjects are shorter."""


class Role(StrEnum):
    USER = "user"
    SUPPORT = "support"
    FINANCE = "finance"
    ADMIN = "admin"
    WORKER = "worker"


STAFF = (Role.ADMIN, Role.SUPPORT, Role.FINANCE)
"""Who may reach what belongs to others; the first that a person has is the role they act in."""


@dataclass(frozen=True)
class Caller:
    """The person or machine behind a verified token, known to the database as `user_id`."""

    user_id: UserId
    subject: str
    email: str
    locale: str
    roles: frozenset[str]

    def has(self, *roles: Role) -> bool:
        return not self.roles.isdisjoint(roles)

    @property
    def actor(self) -> str:
        """As written into the books and the saga log."""
        return f"{self.staff_role or Role.USER}:{self.user_id}"

    @property
    def staff_role(self) -> Role | None:
        """The role in which a member of staff acts; None for everybody else."""
        return next((role for role in STAFF if role in self.roles), None)


async def authenticate(connection: HTTPConnection, token: str) -> Caller:
    """The caller of a request or WebSocket; also kept in `connection.state.caller` for the log and the language."""
    services = services_of(connection)
    claims = await services.verifier.claims(token)
    roles = claims.get("roles", [])
    subject, email, locale = claims["sub"], str(claims.get("email", "")), str(claims.get("locale", ""))
    if (
        not isinstance(roles, list)
        or not is_storable(subject + email + locale)
        or max(len(subject), len(email)) > CLAIM_CHARS_MAX
    ):
        raise EchoError(Code.UNAUTHENTICATED, "token rejected: claims of unexpected form")
    caller = Caller(
        user_id=await services.users.user_id(subject, email, locale[:16]),
        subject=subject,
        email=email,
        locale=locale[:16],
        roles=frozenset(map(str, roles)) | {Role.USER},
    )
    connection.state.caller = caller
    return caller


_bearer = HTTPBearer(
    auto_error=False,
    scheme_name="OIDC",
    bearerFormat="JWT",
    description="Access token of the configured OpenID Connect issuer; roles ride in its `roles` claim.",
)


async def current_caller(request: Request, credentials: Annotated[Any, Depends(_bearer)]) -> Caller:
    if credentials is None:
        raise EchoError(Code.UNAUTHENTICATED, "no bearer token")
    return await authenticate(request, credentials.credentials)


CurrentCaller = Annotated[Caller, Depends(current_caller)]


def require(*roles: Role) -> Any:
    """Dependency: the caller, who must have one of `roles`."""

    async def allowed(caller: CurrentCaller) -> Caller:
        if not caller.has(*roles):
            raise EchoError(Code.FORBIDDEN, fields={"roles": ", ".join(roles)})
        return caller

    return Depends(allowed)


async def customer(caller: CurrentCaller) -> Caller:
    if caller.has(Role.FINANCE):
        raise EchoError(Code.FORBIDDEN, fields={"role": Role.FINANCE})
    return caller


Customer = Annotated[Caller, Depends(customer)]
"""A caller who may buy and start jobs: everybody but finance."""
