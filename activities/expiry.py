"""Promotional credits whose time has come go to breakage. Paid ones never do."""

from __future__ import annotations

from datetime import UTC, datetime

from temporalio import activity

from activities.rooms import Rooms, origin
from contracts.maintenance import ExpiryReport, ExpiryRequest
from db import expiry

BATCH = 200
"""Users a round; each is a transaction of its own, so that one cannot hold up the others."""


class ExpiryActivities:
    def __init__(self, rooms: Rooms) -> None:
        self._database = rooms.database

    @activity.defn(name="expire_promotional")
    async def expire_promotional(self, request: ExpiryRequest) -> ExpiryReport:
        users = credits = 0
        while True:
            now = datetime.now(UTC)
            async with self._database.read() as session:
                due = await expiry.users_due(session, now, BATCH)
            for user_id in due:
                activity.heartbeat(user_id)
                async with self._database.transaction() as session:
                    credits += await expiry.expire_promotional(session, user_id, now, origin())
            users += len(due)
            if len(due) < BATCH:
                return ExpiryReport(users=users, credits=credits)
