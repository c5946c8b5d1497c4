"""Pictures and sounds that tell their own time: a frame number readable after scaling, clicks at known instants."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
"""Height x width x 3, RGB."""

BITS = 12
CLICK_EVERY_S = 0.5
CLICK_HZ = 2000
CLICK_S = 0.01
CLICK_THRESHOLD = 0.25
"""Half of the click's amplitude: lossy codecs smear a click forwards by less than this, never before it."""


def numbered(number: int, width: int = 160, height: int = 120) -> Picture:
    """A gradient, a square moving 3 pixels a frame, and the number in binary as 12 bars along the bottom."""
    ramp = np.linspace(40, 200, width, dtype=np.float32)
    picture = np.empty((height, width, 3), np.uint8)
    picture[..., 0] = ramp
    picture[..., 1] = 110
    picture[..., 2] = ramp[::-1]
    side = max(4, height // 5)
    left = (3 * number) % max(1, width - side)
    picture[height // 8 : height // 8 + side, left : left + side] = (230, 220, 60)
    top = height - height // 4
    for bit in range(BITS):
        bar = slice(bit * width // BITS, (bit + 1) * width // BITS)
        picture[top:, bar] = 235 if number >> bit & 1 else 20
    return picture


def read_number(picture: Picture) -> int:
    """The number that `numbered` drew, after any scaling."""
    height, width = picture.shape[:2]
    rows = picture[height - height // 6 : height - height // 12].astype(np.float32).mean(axis=(0, 2))
    centres = [round((bit + 0.5) * width / BITS) for bit in range(BITS)]
    return sum(1 << bit for bit, centre in enumerate(centres) if rows[centre - 1 : centre + 2].mean() > 128)


def clicks(duration_s: float, rate: int, channels: int, first_click_s: float = 0.25) -> NDArray[np.float32]:
    """Channels x samples: near silence with a short burst every half second."""
    time = np.arange(round(duration_s * rate)) / rate
    since_click = (time - first_click_s) % CLICK_EVERY_S
    loud = (since_click < CLICK_S) & (time >= first_click_s - 1e-9)
    wave = np.where(loud, 0.5 * np.sign(np.sin(2 * np.pi * CLICK_HZ * since_click) + 1e-9), 0.0)
    return np.repeat(wave[None].astype(np.float32), channels, axis=0)


def click_times(samples: NDArray[np.float32], rate: int) -> list[float]:
    """Seconds from the first sample to the beginning of each click."""
    loud = np.flatnonzero(np.abs(samples).max(axis=0) > CLICK_THRESHOLD)
    starts = loud[np.diff(loud, prepend=-rate) > CLICK_EVERY_S / 2 * rate]
    return [float(start) / rate for start in starts]
