"""Colour: from a source's YUV code values to the RGB that networks know, and back with the same matrix and range.

Pixels never pass through a library's idea of colour: the matrix and the range are those of the source's tags, or,
where it has none, those that players assume. All arithmetic is in float32; code values are rounded once, at the
end. Matrices: ITU-T H.273, table 4.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from contracts.media import ColorInfo

Plane = np.ndarray
"""(height, width): uint8 or uint16 code values as decoded and encoded, float32 code values between."""

LUMA_WEIGHTS = {
    "bt709": (0.2126, 0.0722),
    "fcc": (0.30, 0.11),
    "bt470bg": (0.299, 0.114),
    "smpte170m": (0.299, 0.114),
    "smpte240m": (0.212, 0.087),
    "bt2020nc": (0.2627, 0.0593),
    "bt2020c": (0.2627, 0.0593),  # constant luminance is treated as its everyday sibling
}
"""Name of the matrix -> weights of red and blue in luma."""

HD_LINES_MIN = 720
"""Untagged pictures of this height and up are taken for BT.709, smaller ones for BT.601, as players do."""


@dataclass(frozen=True, eq=False)
class Picture:
    """One picture in planar YUV. Chroma planes are as large as luma, or half as wide, or half in both."""

    y: Plane
    u: Plane
    v: Plane

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.y.shape[1], self.y.shape[0]

    def planes(self) -> tuple[Plane, Plane, Plane]:
        return self.y, self.u, self.v

    def equals(self, other: Picture) -> bool:
        return all(np.array_equal(a, b) for a, b in zip(self.planes(), other.planes(), strict=True))


@dataclass(frozen=True)
class ColorModel:
    """How code values and RGB relate in one stream."""

    matrix: str
    full_range: bool
    depth: int
    """Bits of a code value: 8 or 10."""
    chroma_centered: bool = False
    """Chroma samples between luma columns, as in JPEG, not on the left one, as in MPEG."""

    @classmethod
    def of(cls, color: ColorInfo, height: int, depth: int, codec: str) -> ColorModel:
        """`height` is the source's; the guess for untagged sources must not depend on the enlarged size."""
        guess = "bt709" if height >= HD_LINES_MIN else "smpte170m"
        matrix = color.matrix if color.matrix in LUMA_WEIGHTS else guess
        return cls(matrix, color.range == "pc", 8 if depth <= 8 else 10, chroma_centered=codec == "mjpeg")

    @property
    def code_max(self) -> int:
        return 2**self.depth - 1

    def to_rgb(self, picture: Picture) -> np.ndarray:
        """(height, width, 3) float32, 0 to 1; what no display can show is clipped."""
        size = picture.size
        chroma = [self._chroma_to_luma_grid(plane, size) for plane in (picture.u, picture.v)]
        yuv = cv2.merge([picture.y.astype(np.float32), *chroma])
        return np.clip(cv2.transform(yuv, self._to_rgb), 0.0, 1.0)

    def to_yuv(self, rgb: np.ndarray) -> np.ndarray:
        """(height, width, 3) float32 code values, not rounded, from RGB of 0 to 1."""
        return cv2.transform(rgb, self._to_yuv)

    def enlarge(self, picture: Picture, scale: int) -> Picture:
        """Lanczos enlargement by 1 or 2 to 4:2:0 in float32 code values; the picture's colours are not touched."""
        width, height = picture.size
        if scale == 1:
            y = picture.y.astype(np.float32)
        else:
            size = (scale * width, scale * height)
            y = cv2.resize(picture.y.astype(np.float32), size, interpolation=cv2.INTER_LANCZOS4)
        u, v = (self._enlarge_chroma(plane, picture.size, scale) for plane in (picture.u, picture.v))
        return Picture(y, u, v)

    def quantize(self, picture: Picture) -> Picture:
        """Float32 code values, which are used up, to the integers that are encoded."""
        kind = np.uint8 if self.depth == 8 else np.uint16
        for plane in picture.planes():
            # In place, as a plane of 2160p has 33 MB. rint is half-to-even: no drift upwards.
            np.rint(plane, out=plane)
            np.clip(plane, 0, self.code_max, out=plane)
        return Picture(*(plane.astype(kind) for plane in picture.planes()))

    @property
    def _to_yuv(self) -> np.ndarray:
        red, blue = LUMA_WEIGHTS[self.matrix]
        green = 1 - red - blue
        luma = np.array([red, green, blue])
        cb = (np.array([0, 0, 1]) - luma) / (2 * (1 - blue))
        cr = (np.array([1, 0, 0]) - luma) / (2 * (1 - red))
        unit = 2 ** (self.depth - 8)
        luma_span, chroma_span = (
            (self.code_max, self.code_max) if self.full_range else (219 * unit, 224 * unit)
        )
        black, middle = (0 if self.full_range else 16 * unit), 128 * unit
        rows = [[*luma * luma_span, black], [*cb * chroma_span, middle], [*cr * chroma_span, middle]]
        return np.array(rows, dtype=np.float64)

    @property
    def _to_rgb(self) -> np.ndarray:
        square = np.vstack([self._to_yuv, [0, 0, 0, 1]])
        return np.linalg.inv(square)[:3]

    def _chroma_to_luma_grid(self, plane: Plane, luma_size: tuple[int, int]) -> Plane:
        (width, height), (rows, columns) = luma_size, plane.shape
        plane = plane.astype(np.float32)
        across, down = _ratio(width, columns), _ratio(height, rows)
        if (across, down) == (1, 1):
            return plane
        left = (0.5 / across - 0.5) if self.chroma_centered else 0.0
        return _resample(plane, luma_size, (1 / across, left), (1 / down, 0.5 / down - 0.5), cv2.INTER_LINEAR)

    def _enlarge_chroma(self, plane: Plane, luma_size: tuple[int, int], scale: int) -> Plane:
        (width, height), (rows, columns) = luma_size, plane.shape
        plane = plane.astype(np.float32)
        across, down = _ratio(width, columns), _ratio(height, rows)
        if scale == 1:
            return halve_rows(plane) if (across, down) == (2, 1) else plane if down == 2 else subsample(plane)
        # Result sample i stands on the result's luma column 2i, which is the source's column i - 1/4.
        column = -0.25 / across + ((0.5 / across - 0.5) if self.chroma_centered else 0.0)
        size = (width, height)
        return _resample(plane, size, (1 / across, column), (1 / down, 0.5 / down - 0.5), cv2.INTER_LANCZOS4)


def subsample(plane: Plane) -> Plane:
    """Full-size chroma to 4:2:0 with MPEG siting: centred on every second column, between two rows."""
    wide = cv2.sepFilter2D(
        plane, cv2.CV_32F, np.array([0.25, 0.5, 0.25]), np.array([1.0]), borderType=cv2.BORDER_REPLICATE
    )
    return halve_rows(wide[:, ::2])


def halve_rows(plane: Plane) -> Plane:
    """Mean of each pair of rows; a last row without a partner stays."""
    if plane.shape[0] % 2:
        plane = np.vstack([plane, plane[-1:]])
    return np.ascontiguousarray((plane[0::2] + plane[1::2]) * np.float32(0.5))


def pad_even(picture: Picture) -> Picture:
    """4:2:0 video has even sides: the last column or row is repeated rather than a line of the picture lost."""
    height, width = picture.y.shape
    return Picture(np.pad(picture.y, ((0, height % 2), (0, width % 2)), "edge"), picture.u, picture.v)


def _ratio(luma: int, chroma: int) -> int:
    return 1 if luma == chroma else 2


def _resample(
    plane: Plane,
    size: tuple[int, int],
    column: tuple[float, float],
    row: tuple[float, float],
    interpolation: int,
) -> Plane:
    """Result (x, y) is taken at the source's (column[0] * x + column[1], row[0] * y + row[1])."""
    matrix = np.array([[column[0], 0, column[1]], [0, row[0], row[1]]])
    flags = interpolation | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(plane, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
