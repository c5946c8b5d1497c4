"""Where source frames fall on the output's grid. Exact rationals: no frame is lost to rounding in two hours.

Output frame k is shown at k / fps_out after the first source frame. A source frame that falls within SNAP of a
grid point is taken to stand on it: containers round times (MKV and AVI to 1 ms, some MOV to 1/600 s), and a frame
mixed from 97 % of one picture and 3 % of its neighbour is only a blurred copy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

SNAP = Fraction(1, 16)
"""In output frames. 1 ms at 60 fps, twice what rounding to milliseconds can do."""

FREEZE_GAPS = 4
"""A gap of more than this many nominal ones is a freeze: the source showed one picture all that time, so do we."""


@dataclass(frozen=True)
class Grid:
    """Maps source times (pts, in `time_base`) to positions on the output's grid (in output frames)."""

    start_pts: int
    time_base: Fraction
    fps_out: Fraction
    nominal_gap_pts: int

    def position(self, pts: int) -> Fraction:
        return (pts - self.start_pts) * self.time_base * self.fps_out

    def first_output(self, pts: int) -> int:
        """The first output frame at which the source frame of this pts is on screen."""
        return max(0, math.ceil(self.position(pts) - SNAP))

    def phase(self, k: int, pts: int, next_pts: int) -> float:
        """How far output frame k is on the way from one source frame to the next, 0 to 1 (excluded)."""
        past = k - self.position(pts)
        return 0.0 if past <= SNAP else float(past / (self.position(next_pts) - self.position(pts)))

    def is_freeze(self, pts: int, next_pts: int) -> bool:
        return next_pts - pts > FREEZE_GAPS * self.nominal_gap_pts
