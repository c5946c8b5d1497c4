"""`/v1/me`: how the platform knows the caller."""

from __future__ import annotations

from fastapi import APIRouter

from api.auth import CurrentCaller
from api.problems import responses
from api.shapes import View
from contracts.errors import Code

router = APIRouter(tags=["users"])


class Me(View):
    user_id: str
    subject: str
    """As the identity provider names the user."""
    email: str
    locale: str
    roles: tuple[str, ...]


@router.get("/me", summary="The caller", responses=responses(Code.UNAUTHENTICATED))
async def me(caller: CurrentCaller) -> Me:
    return Me(
        user_id=caller.user_id,
        subject=caller.subject,
        email=caller.email,
        locale=caller.locale,
        roles=tuple(sorted(caller.roles)),
    )
