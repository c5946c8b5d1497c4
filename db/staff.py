"""The log of staff: who looked at or changed what belongs to somebody else. Rows are written once, for ever."""

from __future__ import annotations

import json
from collections.abc import Mapping

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.ids import UserId


async def append(
    session: AsyncSession,
    *,
    user_id: UserId,
    subject: str,
    role: str,
    action: str,
    object_: str,
    detail: Mapping[str, str],
    request_id: str,
) -> None:
    """`action` is what was asked for, `object_` the id that it was asked of ('' for a list)."""
    await session.execute(
        text("""
            INSERT INTO staff_log (user_id, subject, role, action, object, detail, request_id)
            VALUES (:user_id, :subject, :role, :action, :object, cast(:detail AS jsonb), :request_id)"""),
        {
            "user_id": user_id,
            "subject": subject,
            "role": role,
            "action": action,
            "object": object_,
            "detail": json.dumps(dict(detail)),
            "request_id": request_id,
        },
    )
