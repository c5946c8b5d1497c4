"""The journal's seal, on a schedule."""

from __future__ import annotations

from temporalio import activity

from activities.rooms import Rooms
from contracts.maintenance import SealReport, SealRequest
from contracts.signing import signing_key
from db import journal


class BooksActivities:
    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    @activity.defn(name="seal_journal")
    async def seal_journal(self, request: SealRequest) -> SealReport:
        """Each block is a transaction: what an attempt has sealed, the next one does not see again."""
        key = signing_key(self._rooms.settings.signing_key.get_secret_value())
        report = SealReport()
        async for block in journal.seal_all(self._rooms.database, key):
            activity.heartbeat(block.height)
            report = SealReport(
                blocks=report.blocks + 1,
                transfers=report.transfers + block.rows,
                height=block.height,
                block_hash=block.hash,
                signed=block.signature is not None,
            )
        return report
