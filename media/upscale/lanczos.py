"""Plain Lanczos enlargement of the planes; at scale 1 the picture itself, brought to 4:2:0 and even sides."""

from __future__ import annotations

import cv2

from contracts.media import EngineUse
from media.color import ColorModel, Picture, pad_even
from media.upscale import Beat


class Lanczos:
    def __init__(self, color: ColorModel, scale: int) -> None:
        self._color = color
        self._scale = scale
        self.use = (
            None
            if scale == 1
            else EngineUse(role="upscale", name="lanczos", version=f"opencv {cv2.__version__}")
        )

    def enlarge(self, picture: Picture, beat: Beat) -> Picture:
        result = pad_even(self._color.quantize(self._color.enlarge(picture, self._scale)))
        beat()
        return result
