"""A clip's pictures, decoded from the source in order, faded at the edges where that is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from av.video.frame import VideoFrame

from contracts.media import MediaInfo
from media.clips.coding import as_frame
from media.clips.window import Window
from media.color import ColorModel, Picture
from media.decode import Decoder

FADE_FROM = 0.3
"""Share of its brightness with which a faded picture begins and ends: soft, but never a black first frame, which
many sites show as the clip's face."""


class Pictures:
    """Of one window of one source."""

    def __init__(
        self, source: Path, info: MediaInfo, window: Window, fade_s: float, on_frame: Callable[[], None]
    ) -> None:
        video = info.picture
        self.model = ColorModel.of(video.color, video.height, video.bit_depth, video.codec)
        self._source, self._info, self._window, self._on_frame = source, info, window, on_frame
        self._fade = fade_s / float(window.time_base)
        shown = window.shown()
        self._shown = dict(zip(window.pts, shown, strict=True))
        self._gone = dict(zip(shown, [*shown[1:], window.end - window.origin], strict=True))

    def frames(self, pts: tuple[int, ...]) -> Iterator[VideoFrame]:
        """Those shown at these times of the source, which follow one another, with the clip's times."""
        if not pts:
            return
        with Decoder(self._source, self._info) as decoder:
            for frame in decoder.frames(self._window.key_before(pts[0]), pts[0], pts[-1], len(pts)):
                shown = self._shown[frame.pts]
                picture = self._faded(frame.picture, shown)
                self._on_frame()
                yield as_frame(picture, pixel_format(picture, self.model.depth), shown)

    def _faded(self, picture: Picture, shown: int) -> Picture:
        # One that stands still for longer than a fade would stay dim all that time.
        if self._gone[shown] - shown > self._fade:
            return picture
        left = self._window.end - self._window.origin - shown
        share = min(1.0, shown / self._fade, left / self._fade) if self._fade else 1.0
        if share >= 1:
            return picture
        gain = FADE_FROM + (1 - FADE_FROM) * (0.5 - 0.5 * np.cos(np.pi * max(0.0, share)))
        unit = 2 ** (self.model.depth - 8)
        black, middle = (0 if self.model.full_range else 16 * unit), 128 * unit
        planes = zip(picture.planes(), (black, middle, middle), strict=True)
        return Picture(*(_towards(plane, rest, gain) for plane, rest in planes))


def _towards(plane: np.ndarray, rest: int, gain: float) -> np.ndarray:
    return np.rint((plane.astype(np.float32) - rest) * np.float32(gain) + rest).astype(plane.dtype)


def pixel_format(picture: Picture, depth: int) -> str:
    """FFmpeg's name of planar YUV of this shape."""
    across = picture.y.shape[1] != picture.u.shape[1]
    down = picture.y.shape[0] != picture.u.shape[0]
    return f"yuv{'420' if down else '422' if across else '444'}p{'10le' if depth > 8 else ''}"
