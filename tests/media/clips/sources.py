"""Sources whose pictures say their number in the middle, where every crop shows it, and whose sound clicks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from contracts.kinds.clip import ClipFile, ClipFormat, Cut
from contracts.media import MediaInfo, MediaLimits
from dev.clips.pattern import Picture, click_times
from dev.clips.writer import Look, Sound, write
from media.clips.cut import cut_clip
from media.probe import probe
from tests.media.joined import heard

ROWS, COLUMNS, CELL_PX = 5, 2, 24
SIZE = (320, 180)
"""Shown width and height."""
CLICK_TOLERANCE_S = 0.002


def drawn(number: int, size: tuple[int, int] = SIZE) -> Picture:
    """Moving texture, and ten bits as cells in the middle."""
    width, height = size
    phase = np.add.outer(np.arange(height) * 2, np.arange(width) + 3 * number)
    grey = (96 + 40 * np.sin(phase / 9)).astype(np.uint8)
    picture = np.stack([grey, np.roll(grey, 7), 200 - grey], axis=-1)
    left, top = (width - COLUMNS * CELL_PX) // 2, (height - ROWS * CELL_PX) // 2
    for bit in range(ROWS * COLUMNS):
        y, x = top + bit // COLUMNS * CELL_PX, left + bit % COLUMNS * CELL_PX
        picture[y : y + CELL_PX, x : x + CELL_PX] = 235 if number >> bit & 1 else 20
    return picture


def number_in(picture: Picture, shown: tuple[int, int] = SIZE) -> int:
    """Of a clip that covers its frame with a picture of the size `shown`."""
    height, width = picture.shape[:2]
    cell = CELL_PX * max(width / shown[0], height / shown[1])
    number = 0
    for bit in range(ROWS * COLUMNS):
        y = height / 2 + (bit // COLUMNS + 0.5 - ROWS / 2) * cell
        x = width / 2 + (bit % COLUMNS + 0.5 - COLUMNS / 2) * cell
        patch = picture[round(y) - 3 : round(y) + 3, round(x) - 3 : round(x) + 3]
        number |= int(patch.mean() > 128) << bit
    return number


@dataclass(frozen=True)
class Source:
    path: Path
    info: MediaInfo
    times: tuple[Fraction, ...]
    """Of each picture, from the first."""

    def numbers(self, start_s: float, end_s: float) -> list[int]:
        """Of the frames on screen from `start_s` to just before `end_s`."""
        nearly = Fraction(1, 1000)
        first = max(i for i, time in enumerate(self.times) if time <= Fraction(start_s) + nearly)
        return [i for i, time in enumerate(self.times) if i >= first and time < Fraction(end_s) - nearly]

    def cut(self, out: Path, start_s: float, end_s: float, form: ClipFormat, **wishes) -> ClipFile:
        cut = Cut(start_s=start_s, end_s=end_s, format=form, **wishes)
        return cut_clip(self.path, self.info, cut, out)


def make(
    path: Path,
    times: Sequence[Fraction] | None = None,
    *,
    frames: int = 120,
    look: Look | None = None,
    sounds: Sequence[Sound] | None = None,
    size: tuple[int, int] = SIZE,
) -> Source:
    """30 frames a second unless times are given; a key frame a second, frames reordered."""
    times = tuple(times or [Fraction(number, 30) for number in range(frames)])
    if sounds is None:
        sounds = [Sound(duration_s=times[-1] + Fraction(1, 30))]
    look = look or Look(options=X264)
    tick = Fraction(1, 1000 if path.suffix == ".mkv" else 90_000)
    pictures = [(time, _as_coded(drawn(number, size), look)) for number, time in enumerate(times)]
    write(path, pictures, look=look, sounds=sounds, tick=tick)
    return Source(path, probe(path, MediaLimits()), times)


X264 = {"preset": "veryfast", "crf": "20", "g": "30", "bf": "3", "keyint_min": "30", "sc_threshold": "0"}


def _as_coded(picture: Picture, look: Look) -> Picture:
    """As a camera holds it: before the turn, and before the mirroring."""
    turned = np.rot90(picture, -look.rotation_ccw // 90)
    return np.ascontiguousarray(turned[:, ::-1] if look.mirrored else turned)


def decoded(clip: ClipFile | Path) -> list[tuple[Fraction, Picture]]:
    """(time, RGB) of every frame, turned as a player turns it."""
    path = Path(clip.video) if isinstance(clip, ClipFile) else clip
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        tick = stream.time_base or Fraction(0)
        frames = list(container.decode(stream))
    return [((f.pts or 0) * tick, np.asarray(f.to_ndarray(format="rgb24"), np.uint8)) for f in frames]


def upright(picture: Picture, info: MediaInfo) -> Picture:
    mirrored = picture[:, ::-1] if info.picture.mirrored else picture
    return np.rot90(mirrored, -info.picture.rotation_deg // 90)


def shown_numbers(clip: ClipFile, shown: tuple[int, int] = SIZE) -> list[int]:
    return [number_in(upright(picture, clip.info), shown) for _, picture in decoded(clip)]


def clicks(clip: ClipFile, track: int = 0) -> list[float]:
    """Seconds on the source's timeline."""
    start, samples, rate = heard(Path(clip.video), track)
    return [start + time + clip.start_s for time in click_times(samples, rate)]


def expected_clicks(clip: ClipFile) -> list[float]:
    every = [0.25 + 0.5 * number for number in range(100)]
    return [time for time in every if clip.start_s <= time < clip.end_s - 0.01]


def grey(picture: Picture) -> np.ndarray:
    return cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
