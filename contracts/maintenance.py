"""What the housekeeping workflows report."""

from __future__ import annotations

from contracts.base import Contract


class SweepRequest(Contract):
    """One pass; its limits are the worker's settings."""


class RetentionRequest(Contract):
    """One pass; its limits are the worker's settings."""


class SweepReport(Contract):
    """One pass over jobs whose workflow is gone."""

    examined: int = 0
    started: int = 0
    """Jobs whose workflow had never been started."""
    settled: int = 0
    """Jobs whose workflow had been terminated: their holds were released."""
    failed: int = 0
    """Jobs that could be neither started nor settled this time; the worker's log says why."""


class RetentionReport(Contract):
    """One pass over files whose time has come."""

    results_deleted: int = 0
    sources_deleted: int = 0
    work_files_deleted: int = 0
