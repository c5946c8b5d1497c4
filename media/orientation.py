"""How a player turns and mirrors a picture: the display matrix of ISO/IEC 14496-12 (6.2.2) and FFmpeg."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Literal

RotationDeg = Literal[0, 90, 180, 270]
ONE = 1 << 16
W = 1 << 30
Matrix = tuple[int, int, int, int, int, int, int, int, int]

# (a, b, c, d) of x' = a x + c y, y' = b x + d y, with y downwards: clockwise turns.
TURNS: dict[RotationDeg, tuple[int, int, int, int]] = {
    0: (1, 0, 0, 1),
    90: (0, 1, -1, 0),
    180: (-1, 0, 0, -1),
    270: (0, -1, 1, 0),
}


@dataclass(frozen=True)
class Orientation:
    """Mirroring left to right first, then a clockwise turn."""

    rotation_deg: RotationDeg = 0
    mirrored: bool = False


def from_matrix(data: bytes) -> Orientation:
    """Reads 9 native 32-bit integers; odd angles, which no camera writes, count as the nearest right one."""
    a, b, _, c, d, *_ = struct.unpack("=9i", data[:36])
    mirrored = a * d - b * c < 0
    if mirrored:  # undo the mirroring, which negates the column of x
        a, b = -a, -b
    if a == b == 0:
        return Orientation()
    quarter_turns = round(math.degrees(math.atan2(b, a)) / 90) % 4
    return Orientation((0, 90, 180, 270)[quarter_turns], mirrored)


def to_matrix(orientation: Orientation) -> Matrix:
    """The inverse of `from_matrix`, without translation: players place the turned picture themselves."""
    a, b, c, d = TURNS[orientation.rotation_deg]
    if orientation.mirrored:
        a, b = -a, -b
    return (a * ONE, b * ONE, 0, c * ONE, d * ONE, 0, 0, 0, W)
