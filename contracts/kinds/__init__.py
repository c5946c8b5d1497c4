"""The registry of job kinds. A new kind is one module here, one pipeline, one engine and one price."""

from __future__ import annotations

from contracts.kinds.base import JobKind
from contracts.kinds.clip import CLIP
from contracts.kinds.enhance import ENHANCE
from contracts.kinds.music import MUSIC

KINDS: dict[str, JobKind] = {kind.name: kind for kind in (ENHANCE, MUSIC, CLIP)}

__all__ = ["CLIP", "ENHANCE", "KINDS", "MUSIC", "JobKind"]
