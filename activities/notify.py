"""Telling users, through the notifications port."""

from __future__ import annotations

from temporalio import activity

from activities.rooms import Rooms
from contracts.purchases import PurchaseNotice
from contracts.video_job import Notice


class NotifyActivities:
    def __init__(self, rooms: Rooms) -> None:
        self._notifier = rooms.notifier

    @activity.defn(name="notify")
    async def notify(self, notice: Notice) -> bool:
        await self._notifier.send(notice)
        return True

    @activity.defn(name="notify_purchase")
    async def notify_purchase(self, notice: PurchaseNotice) -> bool:
        await self._notifier.send(notice)
        return True
