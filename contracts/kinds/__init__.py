"""The registry of job kinds. A new kind is one module here, one pipeline, one engine and one price."""

from __future__ import annotations

from contracts.kinds.base import JobKind
from contracts.kinds.enhance import ENHANCE

KINDS: dict[str, JobKind] = {kind.name: kind for kind in (ENHANCE,)}

__all__ = ["ENHANCE", "KINDS", "JobKind"]
