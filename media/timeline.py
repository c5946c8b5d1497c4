"""When frames are shown, measured on packets in one pass: memory does not grow with length."""

from __future__ import annotations

import heapq
from collections import Counter
from fractions import Fraction

REORDER_MAX = 32
"""Packets kept to bring timestamps into display order; H.264 and HEVC reorder by at most 16."""
ROUNDED_GAP_MIN = 4
"""Ticks. Matroska's milliseconds at 240 fps are the coarsest time base that still rounds frame times."""


class FrameTimes:
    """Display times of a video stream, fed in decoding order."""

    def __init__(self, time_base: Fraction) -> None:
        self.time_base = time_base
        self.count = 0
        """Distinct presentation times: of frames with the same one, a player shows the last."""
        self.first_pts: int | None = None
        self.last_pts: int | None = None
        self._last_duration = 0
        self._gaps: Counter[int] = Counter()
        self._waiting: list[tuple[int, int]] = []

    def add(self, pts: int, duration: int) -> None:
        heapq.heappush(self._waiting, (pts, duration))
        if len(self._waiting) > REORDER_MAX:
            self._show(*heapq.heappop(self._waiting))

    def finish(self) -> None:
        while self._waiting:
            self._show(*heapq.heappop(self._waiting))

    def _show(self, pts: int, duration: int) -> None:
        if self.last_pts is None:
            self.first_pts = pts
        elif pts <= self.last_pts:  # a repeat, or a jump back that no player can honour
            return
        else:
            self._gaps[pts - self.last_pts] += 1
        self.count += 1
        self.last_pts, self._last_duration = pts, duration

    @property
    def median_gap(self) -> int:
        """In ticks of the time base; 0 for fewer than two frames."""
        half = (self.count - 1) / 2
        seen = 0
        for gap in sorted(self._gaps):
            seen += self._gaps[gap]
            if seen >= half:
                return gap
        return 0

    @property
    def variable(self) -> bool:
        """Whether any distance differs from the median by more than the tick that rounding explains.

        Coarse time bases that count whole frames (AVI) have no rounding.
        """
        median = self.median_gap
        tolerance = 1 if median >= ROUNDED_GAP_MIN else 0
        return any(abs(gap - median) > tolerance for gap in self._gaps)

    def end_pts(self, fallback_gap: int) -> int:
        """End of the last frame: by its own duration, else the median gap, else `fallback_gap`."""
        assert self.last_pts is not None
        return self.last_pts + (self._last_duration or self.median_gap or fallback_gap)


class SoundTimes:
    """Extent of an audio stream as heard: encoder delay and padding, which decoders drop, left out."""

    def __init__(self, time_base: Fraction, sample_rate: int) -> None:
        self.time_base = time_base
        self.sample_rate = sample_rate
        self.start_s: Fraction | None = None
        self._end_pts: int | None = None
        """Of packets without padding, which are nearly all: whole numbers are quick to compare."""
        self._padded_end_s: Fraction | None = None

    def add(self, pts: int, duration: int, skip_samples: int, padding_samples: int) -> None:
        """`skip_samples` and `padding_samples` as in FFmpeg's AV_PKT_DATA_SKIP_SAMPLES, 0 without it."""
        if self.start_s is None:
            self.start_s = self._settle(pts * self.time_base + Fraction(skip_samples, self.sample_rate))
        end_pts = pts + duration
        if not padding_samples:
            self._end_pts = end_pts if self._end_pts is None else max(self._end_pts, end_pts)
            return
        end_s = self._settle(end_pts * self.time_base - Fraction(padding_samples, self.sample_rate))
        self._padded_end_s = end_s if self._padded_end_s is None else max(self._padded_end_s, end_s)

    @property
    def end_s(self) -> Fraction | None:
        whole = None if self._end_pts is None else self._end_pts * self.time_base
        return max((end for end in (whole, self._padded_end_s) if end is not None), default=None)

    @property
    def duration_s(self) -> Fraction:
        if self.start_s is None or self.end_s is None:
            return Fraction(0)
        return max(Fraction(0), self.end_s - self.start_s)

    def _settle(self, time_s: Fraction) -> Fraction:
        """Where ticks are coarser than samples, what is finer than a tick is the noise of rounding."""
        if self.time_base * self.sample_rate <= 1:
            return time_s
        return round(time_s / self.time_base) * self.time_base
