"""Loudness by ITU-R BS.1770-4 and EBU R 128, as FFmpeg's `ebur128` filter writes it into the metadata of its frames."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

SILENCE_LUFS = -70.0
"""BS.1770's absolute gate: what is quieter is not measured."""


@dataclass(frozen=True)
class Level:
    lufs: float
    range_lu: float
    peak_dbtp: float
    """SILENCE_LUFS at least."""


def read_level(metadata: Mapping[str, str]) -> Level:
    """Of all that was heard up to the frame with this metadata; of nothing: silence."""
    peaks = [
        _number(value, 0.0) for key, value in metadata.items() if key.startswith("lavfi.r128.true_peaks_ch")
    ]
    peak = max(peaks, default=0.0)
    return Level(
        lufs=_number(metadata.get("lavfi.r128.I"), SILENCE_LUFS),
        range_lu=_number(metadata.get("lavfi.r128.LRA"), 0.0),
        peak_dbtp=max(SILENCE_LUFS, 20 * math.log10(peak)) if peak > 0 else SILENCE_LUFS,
    )


def _number(text: str | None, otherwise: float) -> float:
    value = float(text) if text else otherwise
    return value if math.isfinite(value) else otherwise
