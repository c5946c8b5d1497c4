"""The networks as read from their files, computed in numpy, give what ncnn gives: other runtimes may rely on it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from contracts.kinds.enhance import Upscaler
from media.upscale.graph import read_graph, run_graph
from media.upscale.ncnn_network import NcnnNetwork
from media.upscale.weights import weights_path
from tests.media.pixels import textured


class NumpyOps:
    def convolution(self, x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
        side = weight.shape[-1]
        pad = side // 2
        padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (side, side), axis=(2, 3))
        return np.einsum("nchwij,ocij->nohw", windows, weight, optimize=True) + bias[None, :, None, None]

    def leaky_relu(self, x: np.ndarray, slope: float) -> np.ndarray:
        return np.where(x > 0, x, slope * x)

    def prelu(self, x: np.ndarray, slope: np.ndarray) -> np.ndarray:
        return np.where(x > 0, x, slope[None, :, None, None] * x)

    def pixel_shuffle(self, x: np.ndarray, factor: int) -> np.ndarray:
        n, channels, height, width = x.shape
        x = x.reshape(n, channels // factor**2, factor, factor, height, width)
        return x.transpose(0, 1, 4, 2, 5, 3).reshape(n, -1, height * factor, width * factor)

    def nearest(self, x: np.ndarray, factor: int) -> np.ndarray:
        return x.repeat(factor, axis=2).repeat(factor, axis=3)

    def bicubic_half(self, x: np.ndarray) -> np.ndarray:
        taps = np.array([-3, 19, 19, -3]) / 32  # the cubic kernel of -0.75 at distances 1.5, 0.5, 0.5 and 1.5
        for axis in (2, 3):
            pads = [(0, 0)] * 4
            pads[axis] = (1, 1)
            padded = np.pad(x, pads, "edge")
            count = x.shape[axis]
            x = sum(tap * padded.take(range(k, k + count, 2), axis=axis) for k, tap in enumerate(taps))  # type: ignore[assignment]
        return x

    def weighted_sum(self, xs: list[np.ndarray], weights: tuple[float, ...]) -> np.ndarray:
        return np.sum([weight * x for weight, x in zip(weights, xs, strict=True)], axis=0)

    def concatenate(self, xs: list[np.ndarray]) -> np.ndarray:
        return np.concatenate(xs, axis=1)


@pytest.mark.parametrize("name", ["animevideov3", pytest.param("x4plus", marks=pytest.mark.slow)])
def test_a_network_read_from_its_files_answers_as_ncnn_does(name: Upscaler) -> None:
    tile = textured(16, 16).astype(np.float32) / 255
    layers = read_graph(*weights_path(name))
    x = np.ascontiguousarray(tile.transpose(2, 0, 1))[None]
    ours = run_graph(layers, NumpyOps(), x, [layer.weights for layer in layers])[0].transpose(1, 2, 0)
    theirs = NcnnNetwork(name).run(tile)
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).mean() < 1 / 255, "what ncnn's bfloat16 rounds away"


def test_files_that_do_not_fit_each_other_are_refused(tmp_path: Path) -> None:
    param, weights = weights_path("animevideov3")
    longer = tmp_path / "longer.bin"
    longer.write_bytes(weights.read_bytes() + b"\0\0\0\0")
    with pytest.raises(ValueError, match="does not name"):
        read_graph(param, longer)
    with pytest.raises(ValueError, match="not a network"):
        read_graph(Path(__file__), weights)
