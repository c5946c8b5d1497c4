"""What a clip looks like before it is played: a still picture, and a short loop that moves.

Both are taken while the finished clip is decoded for its verification, so nothing is decoded twice.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray
from PIL import Image

from contracts.media import VideoInfo
from media.manifest import publish
from media.thumbnails import as_shown, write_jpeg

PREVIEW_S = Fraction(3)
PREVIEW_WIDTH_PX = 320
PREVIEW_FPS = 10
PREVIEW_QUALITY = 60
POSTER_PX_MAX = 1280
POSTER_PLACES = (Fraction(1, 10), Fraction(3, 10), Fraction(1, 2), Fraction(7, 10), Fraction(9, 10))
DARK, BRIGHT = 25.0, 230.0
"""Mean grey values between which a picture shows something."""
Rgb = NDArray[np.uint8]


@dataclass
class Stills:
    """Is shown every frame of a clip in turn, and keeps the few that are needed."""

    duration_s: Fraction
    preview_from_s: Fraction
    _loop: list[Image.Image] = field(default_factory=list[Image.Image])
    _poster: tuple[tuple[bool, float], Rgb] | None = None
    _places: list[Fraction] = field(default_factory=list[Fraction])

    def __post_init__(self) -> None:
        self._places = [share * self.duration_s for share in POSTER_PLACES]
        self._length = min(PREVIEW_S, self.duration_s)
        self._due = min(max(Fraction(0), self.preview_from_s), self.duration_s - self._length)
        self._end = self._due + self._length

    def see(self, frame: VideoFrame, video: VideoInfo, at_s: Fraction) -> None:
        """`at_s` from the clip's first frame on; `video` is the clip itself."""
        if self._poster is None or (self._places and at_s >= self._places[0]):
            while self._places and at_s >= self._places[0]:
                self._places.pop(0)
            picture = as_shown(frame, video, POSTER_PX_MAX)
            worth = _worth(picture)
            if self._poster is None or worth > self._poster[0]:
                self._poster = worth, picture
        # Half a step early is nearer than half a step late.
        if self._due <= at_s + Fraction(1, 2 * PREVIEW_FPS) and at_s < self._end:
            self._loop.append(Image.fromarray(_small(as_shown(frame, video))))
            self._due = max(self._due, at_s) + Fraction(1, PREVIEW_FPS)

    def write_poster(self, out: Path) -> None:
        """The sharpest of a few pictures that are neither black nor blown out; at most 1280 pixels a side."""
        write_jpeg(out, self._sharpest())

    def write_preview(self, out: Path) -> None:
        """An endless loop of three seconds, or of as much as there is."""
        # A picture that stands still for long may have begun before the loop and end after it.
        first, *others = self._loop or [Image.fromarray(_small(self._sharpest()))]
        duration_ms = round(1000 * float(self._length) / (1 + len(others)))
        partial = out.with_name(f".{out.name}.partial")
        first.save(
            partial, "WEBP", save_all=True, append_images=others, duration=duration_ms, loop=0,
            quality=PREVIEW_QUALITY, method=2,
        )  # fmt: skip
        publish(partial, out)

    def _sharpest(self) -> Rgb:
        assert self._poster is not None, "a verified clip has a first frame"
        return self._poster[1]


def _worth(picture: Rgb) -> tuple[bool, float]:
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    return DARK < grey.mean() < BRIGHT, float(cv2.Laplacian(grey, cv2.CV_32F).var())


def _small(picture: Rgb) -> Rgb:
    height = max(1, round(picture.shape[0] * PREVIEW_WIDTH_PX / picture.shape[1]))
    small = cv2.resize(picture, (PREVIEW_WIDTH_PX, height), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8)
