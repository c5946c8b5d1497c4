"""What the GPU engine stands on: the networks read from ncnn's files, exactly, and the choice of the device.

PyTorch is not part of the locked environment. Where it is installed (extra `cuda`), its operators are held against
ncnn too, on the processor; on a GPU the engine does so itself whenever it is loaded (docs/adr/016).
"""

from __future__ import annotations

import importlib.util
import weakref
from pathlib import Path
from typing import Any

import ncnn as untyped_ncnn
import numpy as np
import pytest

from contracts.errors import Code, EchoError
from contracts.kinds.enhance import EnhanceParams, Upscaler
from media.color import ColorModel
from media.upscale import make_enlarger
from media.upscale.graph import HALF_PRECISION, SINGLE_PRECISION, Layer, read_graph, run_graph
from media.upscale.torch_network import TorchNetwork, cuda_is_present, cuda_network
from media.upscale.weights import NETWORKS, weights_path
from tests.media.pixels import textured
from tests.media.test_graph import NumpyOps

ncnn: Any = untyped_ncnn
COLOR = ColorModel("bt709", False, 8)
DENSE_BLOCK = [(32, 64), (32, 96), (32, 128), (32, 160), (64, 192)]
"""Channels out and in of the convolutions of one block of x4plus; there are 23 times 3."""
CONVOLUTIONS: dict[Upscaler, list[tuple[int, int]]] = {
    "animevideov3": [(64, 3), *[(64, 64)] * 16, (48, 64)],
    "x4plus": [(64, 3), *DENSE_BLOCK * 69, *[(64, 64)] * 4, (3, 64)],
}
LEVEL = 1 / 255


@pytest.fixture(scope="module", params=list(NETWORKS))
def name(request: pytest.FixtureRequest) -> Upscaler:
    return request.param


@pytest.fixture(scope="module")
def layers(name: Upscaler) -> list[Layer]:
    return read_graph(*weights_path(name))


def of_kind(layers: list[Layer], kind: str) -> list[Layer]:
    return [layer for layer in layers if layer.kind == kind]


def test_the_layers_are_those_of_the_published_network(name: Upscaler, layers: list[Layer]) -> None:
    shapes = [layer.weights["weight"].shape for layer in of_kind(layers, "Convolution")]
    assert shapes == [(out, into, 3, 3) for out, into in CONVOLUTIONS[name]]
    assert all(
        layer.weights["bias"].shape == layer.weights["weight"].shape[:1]
        for layer in of_kind(layers, "Convolution")
    )
    slopes = [layer.weights["slope"].shape for layer in of_kind(layers, "PReLU")]
    assert slopes == ([(64,)] * 17 if name == "animevideov3" else [])


def test_the_layers_account_for_every_byte_of_the_file(name: Upscaler, layers: list[Layer]) -> None:
    size = 0
    for layer in layers:
        for key, values in layer.weights.items():
            size += 4 + values.size * 2 if key == "weight" else values.size * 4
    assert size == weights_path(name)[1].stat().st_size


def test_a_file_that_ends_too_soon_is_refused(name: Upscaler, tmp_path: Path) -> None:
    param, weights = weights_path(name)
    shorter = tmp_path / "shorter.bin"
    shorter.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(ValueError, match="end too soon"):
        read_graph(param, shorter)


def test_the_weights_give_the_picture_that_ncnn_gives_in_float32(name: Upscaler, layers: list[Layer]) -> None:
    x = np.ascontiguousarray(textured(8, 8).astype(np.float32).transpose(2, 0, 1) / 255)
    ours = run_graph(layers, NumpyOps(), x[None], [layer.weights for layer in layers])[0]
    assert np.abs(ours - in_float32(name, x)).max() < 0.05 * LEVEL


def test_answers_are_forgotten_once_they_are_used(layers: list[Layer]) -> None:
    held = Held()
    x = np.zeros((1, 3, 4, 4), np.float32)
    run_graph(layers, held, x, [layer.weights for layer in layers])
    largest = max(held.sizes)
    assert held.most_at_once <= 5 * largest
    assert len(held.sizes) > 30


@pytest.mark.parametrize(("mark", "kind"), [(HALF_PRECISION, "<f2"), (SINGLE_PRECISION, "<f4")])
def test_weights_may_be_stored_in_half_and_in_single_precision(tmp_path: Path, mark: int, kind: str) -> None:
    weight, bias = np.arange(9) / 8, np.array([-1.5])
    data = np.pad(weight.astype(kind).view(np.uint8), (0, 2 if kind == "<f2" else 0))
    param = tmp_path / "one.param"
    param.write_text("7767517\n2 2\nInput x 0 1 data\nConvolution c 1 1 data output 0=1 1=3 4=1 5=1 6=9\n")
    stored = tmp_path / "one.bin"
    stored.write_bytes(mark.to_bytes(4, "little") + data.tobytes() + bias.astype("<f4").tobytes())
    _, convolution = read_graph(param, stored)
    assert convolution.weights["weight"].ravel().tolist() == weight.tolist()
    assert convolution.weights["bias"].tolist() == [-1.5]


@pytest.mark.parametrize("options", ["0=1 1=3 3=2 4=1 5=1 6=9", "0=1 1=3 4=1 5=1 6=9 9=1", "0=1 1=3 5=1 6=9"])
def test_a_convolution_of_another_kind_is_refused_not_guessed(tmp_path: Path, options: str) -> None:
    param = tmp_path / "one.param"
    param.write_text(f"7767517\n2 2\nInput x 0 1 data\nConvolution c 1 1 data output {options}\n")
    stored = tmp_path / "one.bin"
    stored.write_bytes(bytes(4 + 9 * 4 + 4))
    with pytest.raises(ValueError, match="not known"):
        read_graph(param, stored)


def test_the_processor_computes_where_there_is_no_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ECHOSHOT_DEVICE", "cpu")
    insisted = make_enlarger(EnhanceParams(), COLOR).use
    monkeypatch.setenv("ECHOSHOT_DEVICE", "auto")
    chosen = make_enlarger(EnhanceParams(), COLOR).use
    assert insisted is not None
    assert insisted.device == "cpu"
    assert (chosen == insisted) is not cuda_is_present()


def test_cuda_that_is_insisted_on_and_absent_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ECHOSHOT_DEVICE", "cuda")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    cuda_network.cache_clear()
    with pytest.raises(EchoError) as caught:
        make_enlarger(EnhanceParams(), COLOR)
    assert caught.value.code == Code.ENGINE_UNAVAILABLE
    assert caught.value.retryable, "another worker may have what this one lacks"


if importlib.util.find_spec("torch"):

    def test_pytorch_gives_the_picture_that_ncnn_gives_in_float32(name: Upscaler) -> None:
        rgb = textured(30, 24).astype(np.float32) / 255
        network = TorchNetwork(name, "cpu")
        ours = network.run(rgb)
        theirs = in_float32(name, np.ascontiguousarray(rgb.transpose(2, 0, 1))).transpose(1, 2, 0)
        assert ours.shape == theirs.shape
        assert np.abs(ours - theirs).mean() < LEVEL, "what float16 rounds away"
        assert np.array_equal(ours, network.run(rgb))


class Held(NumpyOps):
    """Counts the bytes of answers that are alive, which is what a GPU's memory must hold."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.most_at_once = self._now = 0

    def __getattribute__(self, attribute: str) -> Any:
        value = super().__getattribute__(attribute)
        return self._counted(value) if hasattr(NumpyOps, attribute) and callable(value) else value

    def _counted(self, operator: Any) -> Any:
        def counted(*args: Any) -> np.ndarray:
            answer = np.array(operator(*args))
            self.sizes.append(answer.nbytes)
            self._now += answer.nbytes
            self.most_at_once = max(self.most_at_once, self._now)
            weakref.finalize(answer, self._forget, answer.nbytes)
            return answer

        return counted

    def _forget(self, size: int) -> None:
        self._now -= size


def in_float32(name: Upscaler, x: np.ndarray) -> np.ndarray:
    """ncnn's answer to (channels, height, width) without the bfloat16 that the engine uses for speed."""
    net = ncnn.Net()
    net.opt.use_vulkan_compute = False
    net.opt.num_threads = 1
    for option in ("fp16_packed", "fp16_storage", "fp16_arithmetic", "bf16_storage"):
        setattr(net.opt, f"use_{option}", False)
    param, weights = weights_path(name)
    assert net.load_param(str(param)) == net.load_model(str(weights)) == 0
    mat = ncnn.Mat(x)
    extractor = net.create_extractor()
    extractor.input("data", mat)
    status, answer = extractor.extract("output")
    assert status == 0
    return np.array(answer).copy()
