"""Enlargement by a neural network that works on RGB tiles, with the colours and the brightness of the source.

Networks for restoration shift colours: animevideov3 makes flat grey 131 of 128, and more of saturated colours. What
a viewer calls brightness and tint lives in the low frequencies, so those are taken from the source: the result's
difference from a plain enlargement is blurred until no edge is left in it, and removed.

A tile whose source pixels did not change since the picture before is not computed again. Compressed video of a
fixed camera is full of those, and the answer is the same to the bit.
"""

from __future__ import annotations

import itertools
import math
from typing import Protocol

import cv2
import numpy as np

from contracts.media import EngineUse
from media.color import ColorModel, Picture, Plane, subsample
from media.upscale import Beat
from media.upscale.weights import NetworkFiles

DRIFT_CELL_PX = 8
"""The drift of colours is measured on means of squares of this size, in result pixels ..."""
DRIFT_SIGMA_CELLS = 2.0
"""... blurred by this: a reach of some 16 source pixels hides no detail and draws no halo."""


class Network(Protocol):
    """One loaded network."""

    files: NetworkFiles
    use: EngineUse

    def run(self, tile: np.ndarray) -> np.ndarray:
        """RGB (h, w, 3) float32 of 0 to 1 in, (factor * h, factor * w, 3) out; values may overshoot."""
        ...


class NetworkEnlarger:
    """`strength` blends from plain Lanczos (0) to the network's picture (1)."""

    def __init__(self, network: Network, color: ColorModel, scale: int, strength: float) -> None:
        self.use: EngineUse | None = network.use
        self._network = network
        self._color = color
        self._scale = scale
        self._strength = strength
        self._latest: tuple[np.ndarray, Picture] | None = None
        """The source's RGB and the network's picture made last, whose tiles are made anew where they change."""

    def enlarge(self, picture: Picture, beat: Beat) -> Picture:
        made = self._make(picture, beat)
        plain = self._color.enlarge(picture, self._scale)
        pairs = zip(plain.planes(), made.planes(), strict=True)
        return self._color.quantize(Picture(*(self._blend(base, detail) for base, detail in pairs)))

    def _blend(self, plain: Plane, made: Plane) -> Plane:
        kept = low_frequencies(plain - made)
        kept += made
        return cv2.addWeighted(plain, 1 - self._strength, kept, self._strength, 0, dst=kept)

    def _make(self, picture: Picture, beat: Beat) -> Picture:
        """The network's picture in float32 code values; valid until the next call."""
        width, height = picture.size
        margin = self._network.files.margin_px
        rgb = self._color.to_rgb(picture)
        rgb = cv2.copyMakeBorder(rgb, margin, margin, margin, margin, cv2.BORDER_REFLECT_101)
        before, made = self._latest or (None, self._blank(width, height))
        if before is not None and before.shape != rgb.shape:
            before, made = None, self._blank(width, height)
        # An error on the way leaves a half-made picture, which must not be taken for an earlier one.
        self._latest = None
        spans = (_spans(side, self._network.files.tile_px) for side in (height, width))
        for rows, columns in itertools.product(*spans):
            area = (
                slice(rows.start, rows.stop + 2 * margin),
                slice(columns.start, columns.stop + 2 * margin),
            )
            if before is None or not np.array_equal(before[area], rgb[area]):
                self._make_tile(rgb[area], made, rows, columns)
            beat()
        self._latest = rgb, made
        return made

    def _blank(self, width: int, height: int) -> Picture:
        luma = np.empty((self._scale * height, self._scale * width), np.float32)
        # 4:2:0 of twice the size: a chroma plane is as large as the source's luma.
        return Picture(luma, np.empty((height, width), np.float32), np.empty((height, width), np.float32))

    def _make_tile(self, source: np.ndarray, made: Picture, rows: slice, columns: slice) -> None:
        margin, scale = self._network.files.margin_px, self._scale
        rgb = np.clip(self._network.run(source), 0.0, 1.0)
        if self._network.files.factor != scale:
            size = (scale * source.shape[1], scale * source.shape[0])
            rgb = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
        y, u, v = cv2.split(self._color.to_yuv(rgb))
        height, width = rows.stop - rows.start, columns.stop - columns.start
        inner = (slice(margin, margin + height), slice(margin, margin + width))
        made.y[_scaled(rows, columns, scale)] = y[_scaled(*inner, scale)]
        made.u[rows, columns] = subsample(u)[inner]
        made.v[rows, columns] = subsample(v)[inner]


def low_frequencies(plane: Plane) -> Plane:
    """The plane without its detail, at full size. Means of flat areas and of the whole are kept."""
    height, width = plane.shape
    cells = (max(1, width // DRIFT_CELL_PX), max(1, height // DRIFT_CELL_PX))
    coarse = cv2.resize(plane, cells, interpolation=cv2.INTER_AREA)
    coarse = cv2.GaussianBlur(coarse, (0, 0), DRIFT_SIGMA_CELLS, borderType=cv2.BORDER_REFLECT)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)


def _spans(side: int, tile: int) -> list[slice]:
    """Nearly equal pieces of at most `tile` pixels."""
    count = math.ceil(side / tile)
    edges = [index * side // count for index in range(count + 1)]
    return [slice(a, b) for a, b in itertools.pairwise(edges)]


def _scaled(rows: slice, columns: slice, factor: int) -> tuple[slice, slice]:
    return (
        slice(rows.start * factor, rows.stop * factor),
        slice(columns.start * factor, columns.stop * factor),
    )
