"""Thin shells: take a contract, call one of the four rooms, heartbeat, return a contract."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from activities.books import BooksActivities
from activities.clips import ClipActivities
from activities.enhance import EnhancePlanning, EnhanceSegments
from activities.expiry import ExpiryActivities
from activities.housekeeping import HousekeepingActivities
from activities.ingest import IngestActivities
from activities.music import MusicActivities
from activities.notify import NotifyActivities
from activities.payments import PaymentActivities
from activities.purchases import PurchaseActivities
from activities.reconcile import ReconcileActivities
from activities.rooms import Rooms
from activities.saga import SagaActivities
from activities.sweep import SweepActivities
from contracts.queues import Queue

Activity = Callable[..., Any]


def activities_of(queue: Queue, rooms: Rooms) -> list[Activity]:
    """The activities that a worker of this queue hosts: the only table from queue to activity."""
    saga, sweep = SagaActivities(rooms), SweepActivities(rooms)
    ingest, planning, keeping = IngestActivities(rooms), EnhancePlanning(rooms), HousekeepingActivities(rooms)
    payments, purchases, expiry = PaymentActivities(rooms), PurchaseActivities(rooms), ExpiryActivities(rooms)
    segments, notices = EnhanceSegments(rooms), NotifyActivities(rooms)
    music, clips = MusicActivities(rooms), ClipActivities(rooms)
    table: dict[Queue, list[Activity]] = {
        Queue.CORE: [
            saga.hold, saga.adjust_hold, saga.complete, saga.release, saga.record_status, sweep.sweep,
            purchases.request_refund, purchases.dismiss_refund_failures, purchases.charge_state,
            purchases.announce_payment, purchases.tell_purchase, expiry.expire_promotional,
            BooksActivities(rooms).seal_journal,
        ],
        Queue.TRANSFER: [
            ingest.ingest, planning.plan, planning.mux, music.analyse, clips.choose, clips.cut, clips.finish,
            keeping.clean_up, keeping.retain,
        ],
        Queue.GPU: [segments.segment],
        Queue.PROVIDERS: [
            payments.create_payment, payments.verify_payment, payments.close_payment, payments.send_refunds,
            payments.reconcile_purchase, ReconcileActivities(rooms).reconcile, notices.notify, notices.notify_purchase,
        ],
    }  # fmt: skip
    return table[queue]
