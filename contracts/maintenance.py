"""What the housekeeping workflows report."""

from __future__ import annotations

from contracts.base import Contract


class SweepRequest(Contract):
    """One pass; its limits are the worker's settings."""


class RetentionRequest(Contract):
    """One pass; its limits are the worker's settings."""


class SweepReport(Contract):
    """One pass over jobs and purchases whose workflow is gone, and events that nobody was told of."""

    examined: int = 0
    started: int = 0
    """Jobs whose workflow had never been started."""
    settled: int = 0
    """Jobs whose workflow had been terminated: their holds were released."""
    uploads_announced: int = 0
    """Jobs whose upload was written down, and whose workflow still waited for it."""
    failed: int = 0
    """Jobs, purchases and events that could not be helped this time; the worker's log says why."""
    purchases_started: int = 0
    """Purchases with something open whose workflow did not run."""
    refunds_announced: int = 0
    """Purchases with a refund that was not sent yet: their workflows were told, and started where they did not run."""
    events_delivered: int = 0
    """Events of providers that had been written down but not passed on."""


class ExpiryRequest(Contract):
    """One pass; what is due is due by the database's clock."""


class ExpiryReport(Contract):
    """One pass over promotional credits whose time has come."""

    users: int = 0
    credits: int = 0


class SealRequest(Contract):
    """Everything that can be sealed now."""


class SealReport(Contract):
    """New transfers sealed into the journal."""

    blocks: int = 0
    transfers: int = 0
    height: int = 0
    """Of the last block sealed; 0: none was."""
    block_hash: str = ""
    """Of that block, in hex: whoever notes it down can tell later whether anything before it was changed."""
    signed: bool = False


class RetentionReport(Contract):
    """One pass over files whose time has come."""

    results_deleted: int = 0
    sources_deleted: int = 0
    work_files_deleted: int = 0
