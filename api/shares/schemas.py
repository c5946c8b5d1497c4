"""Bodies of `/v1/clips/{id}/share`."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from api.shapes import Body, View


class ShareRequest(Body):
    hours: int = Field(default=168, ge=1, le=720, strict=True)
    """How long the link works; it ends earlier when the clip is deleted."""


class Share(View):
    """A link by which everybody who has it sees a clip."""

    id: str
    clip_id: str
    url: str
    """A page with a player, for browsers and for the previews of messengers."""
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    views: int
    """How often the page was opened, by messengers too."""


class Shares(View):
    data: tuple[Share, ...]
    """Newest first, with those that have expired or were withdrawn."""
