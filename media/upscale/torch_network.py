"""The same networks on an NVIDIA GPU through PyTorch, in float16. PyTorch is an optional package (extra `cuda`).

A GPU's answer is compared with ncnn's when the network is loaded: a wrong driver or kernel must not reach a video.
What has been run of this, and where, is in docs/adr/016.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
from dataclasses import replace
from typing import Any

import numpy as np

from contracts.errors import Code, EchoError
from contracts.kinds.enhance import Upscaler
from contracts.media import EngineUse
from media.upscale.graph import read_graph, run_graph
from media.upscale.ncnn_network import NcnnNetwork
from media.upscale.weights import NETWORKS, weights_path, weights_sha256

TILE_PX = 512
"""Large enough to fill a GPU; bounds the activations of x4plus to some 2 GB."""
AGREEMENT_MAX = 3 / 255
"""Largest mean difference from ncnn's answer. Rounding explains 0.7 / 255 (docs/adr/016), a wrong layer gives tens."""


def cuda_is_present() -> bool:
    if importlib.util.find_spec("torch") is None:
        return False
    torch: Any = importlib.import_module("torch")
    return bool(torch.cuda.is_available())


@functools.cache
def cuda_network(name: Upscaler) -> TorchNetwork:
    """Loaded once a process, since a warm engine makes many segments. Raises ENGINE_UNAVAILABLE without CUDA."""
    if not cuda_is_present():
        raise EchoError(Code.ENGINE_UNAVAILABLE, "there is no CUDA device, or PyTorch is not installed")
    return TorchNetwork(name, "cuda")


class TorchNetwork:
    def __init__(self, name: Upscaler, device: str) -> None:
        """`device` as PyTorch names it. Raises ENGINE_UNAVAILABLE when it does not give the network's answer."""
        self._torch: Any = importlib.import_module("torch")
        # A segment that is made twice on one kind of device becomes the same bytes twice.
        self._torch.backends.cudnn.deterministic = True
        self._device = device
        self.files = replace(NETWORKS[name], tile_px=TILE_PX)
        try:
            self._layers = read_graph(*weights_path(name))
        except ValueError as error:
            raise EchoError(Code.ENGINE_UNAVAILABLE, str(error)) from error
        self._tensors = [
            {key: self._moved(self._torch.from_numpy(values)) for key, values in layer.weights.items()}
            for layer in self._layers
        ]
        self.use = EngineUse(
            role="upscale",
            name=f"{name} (torch)",
            version=self._torch.__version__,
            weights_sha256=weights_sha256(name),
            device=self._torch.cuda.get_device_name() if device == "cuda" else device,
        )
        self._compare_with_ncnn(name)

    def run(self, tile: np.ndarray) -> np.ndarray:
        with self._torch.inference_mode():
            x = self._moved(self._torch.from_numpy(np.ascontiguousarray(tile)).permute(2, 0, 1)[None])
            answer = run_graph(self._layers, TorchOps(self._torch), x, self._tensors)
            return np.ascontiguousarray(answer[0].permute(1, 2, 0).float().cpu().numpy())

    def _moved(self, tensor: Any) -> Any:
        """Colour by colour within a pixel is the order that tensor cores read; tables of slopes have no order."""
        order = self._torch.channels_last if tensor.ndim == 4 else self._torch.preserve_format
        return tensor.to(self._device, self._torch.float16, memory_format=order)

    def _compare_with_ncnn(self, name: Upscaler) -> None:
        tile = np.random.default_rng(0).random((32, 32, 3), np.float32)
        difference = float(np.abs(self.run(tile) - NcnnNetwork(name).run(tile)).mean())
        if not difference <= AGREEMENT_MAX:  # NaN included
            raise EchoError(
                Code.ENGINE_UNAVAILABLE,
                f"{self.use.device} computes {name} wrongly (mean error {difference:.3f})",
            )


class TorchOps:
    """`media.upscale.graph.Ops` in PyTorch."""

    def __init__(self, torch: Any) -> None:
        self._torch = torch
        self._f = torch.nn.functional

    def convolution(self, x: Any, weight: Any, bias: Any) -> Any:
        return self._f.conv2d(x, weight, bias, padding=weight.shape[-1] // 2)

    def leaky_relu(self, x: Any, slope: float) -> Any:
        return self._f.leaky_relu(
            x, slope, inplace=True
        )  # of a convolution's answer, which nobody else reads

    def prelu(self, x: Any, slope: Any) -> Any:
        return self._f.prelu(x, slope)

    def pixel_shuffle(self, x: Any, factor: int) -> Any:
        return self._f.pixel_shuffle(x, factor)

    def nearest(self, x: Any, factor: int) -> Any:
        return self._f.interpolate(x, scale_factor=factor, mode="nearest")

    def bicubic_half(self, x: Any) -> Any:
        return self._f.interpolate(x, scale_factor=0.5, mode="bicubic", align_corners=False, antialias=False)

    def weighted_sum(self, xs: list[Any], weights: tuple[float, ...]) -> Any:
        total = weights[0] * xs[0]
        for x, weight in zip(xs[1:], weights[1:], strict=True):
            total.add_(x, alpha=weight)
        return total

    def concatenate(self, xs: list[Any]) -> Any:
        return self._torch.cat(xs, dim=1)
