"""When a kind's own rows are written."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from contracts.ids import JobId
from db.tables import Job


async def _nothing(*_: Any) -> None: ...


@dataclass(frozen=True)
class Product:
    opened: Callable[[AsyncSession, Job], Awaitable[None]] = _nothing
    """The job was written, and its price is held or about to be charged."""
    published: Callable[[AsyncSession, Job, dict[str, Any]], Awaitable[None]] = _nothing
    """The job succeeds; given `PipelineResult.product`."""
    failed: Callable[[AsyncSession, Job, str, dict[str, Any]], Awaitable[None]] = _nothing
    """The job ends without a result; given the code and `Release.product`."""
    deleted: Callable[[AsyncSession, JobId], Awaitable[None]] = _nothing
    """The files of the job's result have been kept long enough."""
    kept_with_source: bool = False
    """The result lives as long as the job's source, and not for the usual time."""
