"""Reads a network from ncnn's .param and .bin files, so that other runtimes can use the same weights.

Format: https://github.com/Tencent/ncnn/wiki/param-and-model-file-structure. Only the layers of the Real-ESRGAN
networks are known; any other is an error, not a guess.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

MAGIC = "7767517"
HALF_PRECISION, SINGLE_PRECISION = 0x01306B47, 0
"""Marks before the weights of a convolution: stored as float16 or as float32."""
ARRAY_KEY_BASE = -23300
LEAKY_RELU = "2"
NEAREST, BICUBIC = "1", "3"

T = TypeVar("T")


@dataclass(frozen=True)
class Layer:
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    options: dict[str, str]
    arrays: dict[int, tuple[float, ...]]
    weights: dict[str, np.ndarray] = field(default_factory=dict)


class Ops(Protocol[T]):
    """What a runtime must be able to do with (batch, channels, height, width) tensors."""

    def convolution(self, x: T, weight: Any, bias: Any) -> T:
        """Stride 1, as many zeros around as keep the size."""
        ...

    def leaky_relu(self, x: T, slope: float) -> T: ...
    def prelu(self, x: T, slope: Any) -> T: ...
    def pixel_shuffle(self, x: T, factor: int) -> T: ...
    def nearest(self, x: T, factor: int) -> T: ...
    def bicubic_half(self, x: T) -> T:
        """Half the size, without low-pass, coefficient -0.75, pixel centres aligned."""
        ...

    def weighted_sum(self, xs: list[T], weights: tuple[float, ...]) -> T: ...
    def concatenate(self, xs: list[T]) -> T: ...


def read_graph(param: Path, weights: Path) -> list[Layer]:
    """Layers in the order in which they run. Raises ValueError when the files do not fit each other."""
    lines = param.read_text(encoding="ascii").splitlines()
    if lines[0] != MAGIC:
        raise ValueError(f"{param.name} is not a network")
    data = _Weights(weights.read_bytes())
    layers = [_layer(line.split(), data) for line in lines[2:] if line]
    if not data.at_end:
        raise ValueError(f"{weights.name} has weights that {param.name} does not name")
    return layers


def run_graph(layers: list[Layer], ops: Ops[T], x: T, tensors: list[dict[str, Any]]) -> T:
    """The network's answer to `x`. `tensors`: the layers' weights in the runtime's own form."""
    blobs: dict[str, T] = {}
    for layer, own in zip(layers, tensors, strict=True):
        # Taken out, as each blob has one reader (Split makes the others): kept, those of x4plus would need 35 GB.
        if layer.kind == "Input":
            results = [x]
        elif layer.kind == "Split":
            results = [blobs.pop(layer.inputs[0])] * len(layer.outputs)
        else:
            results = [_apply(layer, ops, [blobs.pop(name) for name in layer.inputs], own)]
        blobs.update(zip(layer.outputs, results, strict=True))
    return blobs[layers[-1].outputs[0]]


def _apply(layer: Layer, ops: Ops[T], xs: list[T], own: dict[str, Any]) -> T:
    options = layer.options
    match layer.kind:
        case "Convolution":
            y = ops.convolution(xs[0], own["weight"], own["bias"])
            return ops.leaky_relu(y, layer.arrays[10][0]) if options.get("9") == LEAKY_RELU else y
        case "PReLU":
            return ops.prelu(xs[0], own["slope"])
        case "PixelShuffle":
            return ops.pixel_shuffle(xs[0], int(options["0"]))
        case "Interp" if options["0"] == NEAREST:
            return ops.nearest(xs[0], int(float(options["1"])))
        case "Interp" if options["0"] == BICUBIC and float(options["1"]) == 0.5:
            return ops.bicubic_half(xs[0])
        case "BinaryOp" if options.get("0", "0") == "0":
            return ops.weighted_sum(xs, (1.0, 1.0))
        case "Eltwise" if options["0"] == "1":
            return ops.weighted_sum(xs, layer.arrays.get(1, (1.0,) * len(xs)))
        case "Concat":
            return ops.concatenate(xs)
    raise ValueError(f"layer {layer.kind} {options} is not known")


class _Weights:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def at_end(self) -> bool:
        return self._at == len(self._data)

    def marked(self, count: int) -> np.ndarray:
        mark = int.from_bytes(self._take(4), "little")
        if mark == HALF_PRECISION:
            return np.frombuffer(self._take((2 * count + 3) // 4 * 4), "<f2", count).astype(np.float32)
        if mark == SINGLE_PRECISION:
            return self.single(count)
        raise ValueError(f"weights are stored in a way that is not known: {mark:#x}")

    def single(self, count: int) -> np.ndarray:
        return np.frombuffer(self._take(4 * count), "<f4").copy()

    def _take(self, size: int) -> bytes:
        taken = self._data[self._at : self._at + size]
        if len(taken) < size:
            raise ValueError("the weights end too soon")
        self._at += size
        return taken


def _layer(words: list[str], data: _Weights) -> Layer:
    kind, _, inputs, outputs = words[0], words[1], int(words[2]), int(words[3])
    names, rest = words[4 : 4 + inputs + outputs], words[4 + inputs + outputs :]
    pairs = [word.split("=") for word in rest]
    options = {key: value for key, value in pairs if int(key) > ARRAY_KEY_BASE}
    arrays = {
        ARRAY_KEY_BASE - int(key): tuple(float(part) for part in value.split(",")[1:])
        for key, value in pairs
        if int(key) <= ARRAY_KEY_BASE
    }
    weights: dict[str, np.ndarray] = {}
    if kind == "Convolution":
        channels, side = int(options["0"]), int(options["1"])
        # Dilation, stride, zeros around, has bias; then the activation.
        shape = [int(options.get(key, default)) for key, default in (("2", 1), ("3", 1), ("4", 0), ("5", 0))]
        if shape != [1, 1, side // 2, 1] or options.get("9", "0") not in ("0", LEAKY_RELU):
            raise ValueError(f"convolution {options} is not known")
        weights["weight"] = data.marked(int(options["6"])).reshape(channels, -1, side, side)
        weights["bias"] = data.single(channels)
    elif kind == "PReLU":
        weights["slope"] = data.single(int(options["0"]))
    return Layer(kind, tuple(names[:inputs]), tuple(names[inputs:]), options, arrays, weights)
