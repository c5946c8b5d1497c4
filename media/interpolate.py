"""Pictures between two pictures: dense optical flow, warped from both sides, with the sense to leave cuts alone.

Flow is DIS (Kroeger et al. 2016, "Fast Optical Flow using Dense Inverse Search") in both directions on reduced
luma of the source; flows towards the wanted moment as in Super SloMo (Jiang et al. 2018, equation 4). What is seen
in one picture only is taken from that one; where the warped pictures disagree without such a reason, the flow is
wrong, and the two are mixed in place. Nothing is remembered between pairs, so any cut of the work into segments
gives the same pictures.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np

from contracts.media import EngineUse
from media.color import Picture, Plane

FLOW_SIDE_MAX = 640
"""Longer side in pixels at which motion is measured; it is enlarged to the result's size."""

CUT_RESIDUAL = 18.0
"""Levels of 255. What motion cannot explain between neighbours: at most 9.4 within the shots of our test footage, at
least 35 at its cuts."""
DARK_CUT_RESIDUAL, DARK_CUT_SHARE = 5.0, 0.5
"""A cut between dark shots differs by less: by half of the pictures' own contrast."""

OCCLUDED_PX, OCCLUDED_SOFT_PX = 3.0, 4.0
"""Where going there and back by the two flows misses by this, a point has no counterpart."""
DISAGREE, DISAGREE_SOFT = 32.0, 48.0
"""Levels by which the two warped pictures must differ for the flow to count as wrong."""

NO_ARRAY = cast(np.ndarray, None)
"""OpenCV's type stubs do not know that these arguments may be left out."""


@dataclass(frozen=True, eq=False)
class Shot:
    """An enlarged source frame with what motion search needs of it."""

    pts: int
    picture: Picture
    small: np.ndarray
    """(height, width, 3) uint8 YUV of the source, at most FLOW_SIDE_MAX wide and high."""

    @property
    def gray(self) -> np.ndarray:
        return np.ascontiguousarray(self.small[..., 0])


@dataclass(frozen=True, eq=False)
class Motion:
    """From one shot to the next, in pixels of `small`; misses: see OCCLUDED_PX."""

    forward: np.ndarray
    backward: np.ndarray
    forward_miss: np.ndarray
    backward_miss: np.ndarray


def small_for_flow(source: Picture, depth: int) -> np.ndarray:
    width, height = source.size
    shrink = min(1.0, FLOW_SIDE_MAX / max(width, height))
    # DIS needs room for its patches.
    size = (max(16, round(width * shrink)), max(16, round(height * shrink)))
    planes = [plane if depth == 8 else (plane >> (depth - 8)).astype(np.uint8) for plane in source.planes()]
    return cv2.merge([cv2.resize(plane, size, interpolation=cv2.INTER_AREA) for plane in planes])


class Interpolator:
    use = EngineUse(role="interpolate", name="dis optical flow", version=f"opencv {cv2.__version__}")

    def __init__(self) -> None:
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)

    def motion(self, a: Shot, b: Shot) -> Motion | None:
        """None across a scene cut."""
        gray_a, gray_b = a.gray, b.gray
        forward = self._flow.calc(gray_a, gray_b, NO_ARRAY)
        if _is_cut(a.small, b.small, forward):
            return None
        backward = self._flow.calc(gray_b, gray_a, NO_ARRAY)
        return Motion(forward, backward, _miss(forward, backward), _miss(backward, forward))

    def between(self, a: Shot, b: Shot, motion: Motion, phase: float) -> Picture:
        """The picture at `phase` (0 to 1, both excluded) of the way from a to b."""
        to_a = phase * (phase * motion.backward - (1 - phase) * motion.forward)
        to_b = (1 - phase) * ((1 - phase) * motion.forward - phase * motion.backward)
        share_b, in_place = _mixture(a, b, motion, to_a, to_b, phase)
        planes = zip(a.picture.planes(), b.picture.planes(), strict=True)
        return Picture(*(_mix(pa, pb, to_a, to_b, share_b, in_place, phase) for pa, pb in planes))


def _is_cut(a: np.ndarray, b: np.ndarray, forward: np.ndarray) -> bool:
    luma, u, v, _ = cv2.mean(cv2.absdiff(a, _warp(b, forward)))
    residual = luma + (u + v) / 2  # stage lights may cut in colour alone
    contrast = (float(a[..., 0].std()) + float(b[..., 0].std())) / 2
    return residual > CUT_RESIDUAL or residual > max(DARK_CUT_RESIDUAL, DARK_CUT_SHARE * contrast)


def _miss(there: np.ndarray, back: np.ndarray) -> np.ndarray:
    gap = there + _warp(back, there)
    return cv2.magnitude(gap[..., 0], gap[..., 1])


def _mixture(
    a: Shot, b: Shot, motion: Motion, to_a: np.ndarray, to_b: np.ndarray, phase: float
) -> tuple[np.ndarray, np.ndarray]:
    """Per flow pixel: share of b in the warped picture, and share of the pictures mixed in place."""
    only_a = _ramp(_warp(motion.forward_miss, to_a), OCCLUDED_PX, OCCLUDED_SOFT_PX)
    only_b = _ramp(_warp(motion.backward_miss, to_b), OCCLUDED_PX, OCCLUDED_SOFT_PX)
    weight_a = (1 - phase) * (1.001 - only_b)
    weight_b = phase * (1.001 - only_a)
    differ = cv2.absdiff(_warp(a.gray, to_a), _warp(b.gray, to_b)).astype(np.float32)
    wrong = _ramp(cv2.GaussianBlur(differ, (0, 0), 1.5), DISAGREE, DISAGREE_SOFT)
    in_place = wrong * (1 - np.abs(only_a - only_b))
    return weight_b / (weight_a + weight_b), in_place


def _mix(
    plane_a: Plane,
    plane_b: Plane,
    to_a: np.ndarray,
    to_b: np.ndarray,
    share_b: np.ndarray,
    in_place: np.ndarray,
    phase: float,
) -> Plane:
    depth = cv2.CV_8U if plane_a.dtype == np.uint8 else cv2.CV_16U
    size = (plane_a.shape[1], plane_a.shape[0])
    mixed = _lean(_warp(plane_a, to_a), _warp(plane_b, to_b), cv2.resize(share_b, size), depth)
    if in_place.max() > 0:
        plain = cv2.addWeighted(plane_a, 1 - phase, plane_b, phase, 0)
        mixed = _lean(mixed, plain, cv2.resize(in_place, size), depth)
    return mixed


def _lean(plane: Plane, other: Plane, share: np.ndarray, depth: int) -> Plane:
    """The plane, leaning towards the other by `share` (0 to 1) at each pixel."""
    difference = cv2.subtract(other, plane, dtype=cv2.CV_32F)
    return cv2.add(plane, cv2.multiply(difference, share, dst=difference), dtype=depth)


def _warp(image: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """Samples the image at each pixel's place plus flow, which may be given at a smaller size."""
    height, width = image.shape[:2]
    factors = np.array([width / flow.shape[1], height / flow.shape[0]], np.float32)
    places = cv2.resize(flow * factors, (width, height))
    places[..., 0] += np.arange(width, dtype=np.float32)
    places[..., 1] += np.arange(height, dtype=np.float32)[:, None]
    return cv2.remap(image, places, NO_ARRAY, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _ramp(values: np.ndarray, start: float, length: float) -> np.ndarray:
    """0 up to `start`, 1 from `start + length` on."""
    return np.clip((values - start) / length, 0, 1)
