"""The same networks on an NVIDIA GPU through PyTorch, in float16. PyTorch is an optional package.

A GPU's answer is compared with ncnn's when the network is loaded: a wrong driver or kernel must not reach a video.
"""

from __future__ import annotations

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
"""Large enough to fill a GPU; x4plus holds some 2 GB of activations at this size."""
AGREEMENT_MAX = 6 / 255
"""Largest mean difference from ncnn's answer that rounding to float16 explains, many times over."""


def cuda_is_present() -> bool:
    if importlib.util.find_spec("torch") is None:
        return False
    torch: Any = importlib.import_module("torch")
    return bool(torch.cuda.is_available())


class TorchNetwork:
    def __init__(self, name: Upscaler) -> None:
        """Raises ENGINE_UNAVAILABLE when the GPU does not give the network's answer."""
        self._torch: Any = importlib.import_module("torch")
        self.files = replace(NETWORKS[name], tile_px=TILE_PX)
        self._layers = read_graph(*weights_path(name))
        self._tensors = [
            {key: self._on_gpu(values) for key, values in layer.weights.items()} for layer in self._layers
        ]
        self.use = EngineUse(
            role="upscale",
            name=f"{name} (torch)",
            version=self._torch.__version__,
            weights_sha256=weights_sha256(name),
            device=self._torch.cuda.get_device_name(),
        )
        self._compare_with_ncnn(name)

    def run(self, tile: np.ndarray) -> np.ndarray:
        with self._torch.inference_mode():
            x = self._on_gpu(np.ascontiguousarray(tile.transpose(2, 0, 1))[None])
            answer = run_graph(self._layers, TorchOps(self._torch), x, self._tensors)
            return answer[0].permute(1, 2, 0).float().cpu().numpy()

    def _on_gpu(self, values: np.ndarray) -> Any:
        return self._torch.from_numpy(values).to("cuda", self._torch.float16)

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
        return self._f.leaky_relu(x, slope)

    def prelu(self, x: Any, slope: Any) -> Any:
        return self._f.prelu(x, slope)

    def pixel_shuffle(self, x: Any, factor: int) -> Any:
        return self._f.pixel_shuffle(x, factor)

    def nearest(self, x: Any, factor: int) -> Any:
        return self._f.interpolate(x, scale_factor=factor, mode="nearest")

    def bicubic_half(self, x: Any) -> Any:
        return self._f.interpolate(x, scale_factor=0.5, mode="bicubic", align_corners=False, antialias=False)

    def weighted_sum(self, xs: list[Any], weights: tuple[float, ...]) -> Any:
        return sum(weight * x for weight, x in zip(weights, xs, strict=True))

    def concatenate(self, xs: list[Any]) -> Any:
        return self._torch.cat(xs, dim=1)
