"""Every time limit of the platform, derived from one another so that none can outlive what it depends on."""

from __future__ import annotations

from datetime import timedelta

from contracts.base import Contract

# Steps that touch only the database.
RECORD_TIMEOUT = timedelta(seconds=20)
"""One attempt of a ledger or record step."""

# Engines. A beat is one tile or frame, so a beat missing for this long is a hang, not slowness.
SEGMENT_HEARTBEAT = timedelta(seconds=40)
ENGINE_STALL = timedelta(seconds=30)
"""The child process is killed when it reports nothing for this long."""
TRANSFER_HEARTBEAT = timedelta(seconds=40)
"""Ingest, mux and thumbnails: a beat per megabytes moved or packets read."""

SEGMENT_ATTEMPT = timedelta(hours=2)
TRANSFER_ATTEMPT = timedelta(hours=2)

STEP_ATTEMPTS_MAX = 20
"""Then the job asks for attention. Lost workers and outages of servers spend attempts too."""
ENGINE_ATTEMPTS_MAX = 4
"""An engine that fails on the same input so often will not succeed on the next attempt."""

CLEAN_UP_ATTEMPT = timedelta(minutes=5)
NOTIFY_ATTEMPT = timedelta(seconds=15)
FAREWELL_MAX = timedelta(minutes=10)
"""What follows the settlement of a job (notice, clean-up) may hold up the end of its workflow for so long."""

RECONCILE_ATTEMPT = timedelta(hours=1)
RECONCILE_HEARTBEAT = timedelta(minutes=2)
"""A beat per batch of the provider's entries, each of which may wait for the provider."""

SWEEP_ATTEMPT = timedelta(minutes=5)
SWEEP_HEARTBEAT = timedelta(seconds=30)
RETENTION_ATTEMPT = timedelta(hours=1)
SEAL_ATTEMPT = timedelta(minutes=30)
"""Some three million transfers, should sealing ever have been off for long."""
SEAL_HEARTBEAT = timedelta(seconds=60)
"""A beat is a block."""

QUEUE_WAIT_MAX = timedelta(hours=24)
"""A step that no worker takes for so long fails, and the job asks for attention."""

CHARGE_LOOK = timedelta(minutes=1)
"""A job that waits for its payment looks for it so often, should the word of it be lost."""

PAYMENT_LOOKS = (timedelta(seconds=20), timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=30))
"""A purchase whose webhook does not come asks the provider itself: after so long, the last one repeated."""

CARE_LOOKS = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=30), timedelta(hours=6))
"""A paid purchase with an open refund or dispute asks the provider how it stands: after so long, the last one
repeated."""

CHECKOUT_WAIT = timedelta(seconds=10)
"""Who asks for a purchase's checkout waits so long for the provider; Temporal takes few waiting questions at once."""

LATE_PAYMENT = timedelta(minutes=5)
"""A payment whose creation was cut off shows at the provider by then: Stripe's search lags by a minute or more."""

PROVIDER_CALL = timedelta(seconds=10)
"""One HTTP call to a payment provider."""
PROVIDER_ATTEMPT = timedelta(seconds=60)
"""One attempt of a step that calls a payment provider: a few calls."""

KEY_TRUSTED = timedelta(hours=1)
"""Since a purchase was written down: its idempotency key, whenever it was first used, is remembered for longer than
that. Stripe keeps keys for 24 hours, PortOne for three."""

FUNDS_LOOK = timedelta(hours=1)
"""A job that waits for credits looks for them so often, should nobody tell it that they have come."""

WORKER_GRACE = timedelta(seconds=10)
"""A worker that is told to stop hands its segments back within this time."""

assert ENGINE_STALL < SEGMENT_HEARTBEAT, (
    "the engine must be killed by its worker before Temporal gives up on the worker"
)


class PurchaseDeadlines(Contract):
    """How long a purchase waits. Part of the workflow's input, so that a history replays alike."""

    payment_s: int = 24 * 3600
    """For the customer to pay; then the payment is cancelled at the provider and the purchase expires."""
    care_s: int = 180 * 24 * 3600
    """After the payment: refunds by support and disputes (banks allow 120 days) are booked by its workflow."""


class JobDeadlines(Contract):
    """How long a job waits for people. Part of the workflow's input, so that a history replays alike."""

    upload_s: int = 24 * 3600
    """For the upload; then the job expires."""
    funds_s: int = 24 * 3600
    """For missing credits; then the job expires."""
    payment_s: int = 3600
    """For the customer to pay a job that is charged to a card; then the job expires."""
    attention_s: int = 72 * 3600
    """For support; then the job fails and its credits are released."""
