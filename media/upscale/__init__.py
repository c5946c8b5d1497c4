"""Enlarging engines behind one interface: a source picture in, the result's picture out."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from contracts.kinds.enhance import EnhanceParams, Upscaler
from contracts.media import EngineUse
from contracts.settings import Settings
from media.color import ColorModel, Picture

if TYPE_CHECKING:
    from media.upscale.network import Network

Beat = Callable[[], None]
"""Called after each piece of real work, such as a tile."""


class Enlarger(Protocol):
    """Engines keep no memory of earlier pictures that could change a pixel: any cut gives the same result."""

    use: EngineUse | None
    """For the manifest; None when the picture's size is kept."""

    def enlarge(self, picture: Picture, beat: Beat) -> Picture:
        """4:2:0 integer code values, `scale` times as wide and high, padded to even sides."""
        ...


def make_enlarger(params: EnhanceParams, color: ColorModel) -> Enlarger:
    """The engine for these wishes on this machine. Loads the network: on the GPU where there is one.

    Raises ENGINE_UNAVAILABLE when the network's files are missing, or the device that the operator insists on.
    """
    # Imported here: an engine that is not asked for need not even be installed.
    if params.scale == 1 or params.upscaler == "lanczos" or params.strength == 0:
        from media.upscale.lanczos import Lanczos

        return Lanczos(color, params.scale)
    from media.upscale.network import NetworkEnlarger

    return NetworkEnlarger(_network(params.upscaler), color, params.scale, params.strength)


def _network(name: Upscaler) -> Network:
    from media.upscale.ncnn_network import NcnnNetwork
    from media.upscale.torch_network import cuda_is_present, cuda_network

    device = Settings().device
    if device == "cuda" or (device == "auto" and cuda_is_present()):
        return cuda_network(name)
    return NcnnNetwork(name)
