"""HDR pictures (PQ, HLG) for ordinary screens: good enough for thumbnails, where a raw copy would look grey.

Transfer functions and constants: ITU-R BT.2100; display light is scaled to the reference white of BT.2408 and
compressed with the extended Reinhard curve; colours go from BT.2020 to BT.709 primaries (BT.2087).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

REFERENCE_WHITE_CD_M2 = 203.0
PEAK_CD_M2 = 1000.0
"""Nominal peak of both systems' usual masters; brighter light clips."""

PQ_M1, PQ_M2 = 2610 / 16384, 2523 / 4096 * 128
PQ_C1, PQ_C2, PQ_C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
HLG_A, HLG_B, HLG_C = 0.17883277, 0.28466892, 0.55991073
HLG_SYSTEM_GAMMA = 1.2
"""For a display of 1000 cd/m2."""

LUMA_2020 = np.array([0.2627, 0.6780, 0.0593], np.float32)
BT2020_TO_BT709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32
)


def to_sdr(signal: Floats, transfer: str) -> NDArray[np.uint8]:
    """Height x width x 3 non-linear BT.2020 RGB in 0..1 to 8-bit sRGB. `transfer` is FFmpeg's name."""
    light = _pq_light(signal) if transfer == "smpte2084" else _hlg_light(signal)
    scaled = light / REFERENCE_WHITE_CD_M2
    peak = PEAK_CD_M2 / REFERENCE_WHITE_CD_M2
    luma = np.maximum(scaled @ LUMA_2020, 1e-6)[..., None]
    # By luminance, so that hues do not shift.
    compressed = scaled * ((1 + luma / peak**2) / (1 + luma))
    linear = np.clip(compressed @ BT2020_TO_BT709.T, 0, 1)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.rint(encoded * 255).astype(np.uint8)


def _pq_light(signal: Floats) -> Floats:
    power = signal ** (1 / PQ_M2)
    return (10_000 * (np.maximum(power - PQ_C1, 0) / (PQ_C2 - PQ_C3 * power)) ** (1 / PQ_M1)).astype(
        np.float32
    )


def _hlg_light(signal: Floats) -> Floats:
    scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - HLG_C) / HLG_A) + HLG_B) / 12)
    luma = np.maximum(scene @ LUMA_2020, 1e-6)[..., None]
    return (PEAK_CD_M2 * luma ** (HLG_SYSTEM_GAMMA - 1) * scene).astype(np.float32)
