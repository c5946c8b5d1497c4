"""Real-ESRGAN on the processor through ncnn: one thread a process, as many processes as cores.

Two processes of one thread each beat one of two threads by far, and scale to any number of cores.
"""

from __future__ import annotations

from typing import Any

import ncnn as untyped_ncnn
import numpy as np

from contracts.errors import Code, EchoError
from contracts.kinds.enhance import Upscaler
from contracts.media import EngineUse
from media.upscale.weights import NETWORKS, weights_path, weights_sha256

ncnn: Any = untyped_ncnn
"""A compiled module without type stubs."""


class NcnnNetwork:
    def __init__(self, name: Upscaler) -> None:
        """Raises ENGINE_UNAVAILABLE when the network cannot be loaded."""
        self.files = NETWORKS[name]
        self.use = EngineUse(
            role="upscale",
            name=f"{name} (ncnn)",
            version=ncnn.__version__,
            weights_sha256=weights_sha256(name),
        )
        self._net = ncnn.Net()
        self._net.opt.use_vulkan_compute = False
        self._net.opt.num_threads = 1
        # Weights and activations in half the memory, sums in float32: measured in docs/adr/011.
        self._net.opt.use_bf16_storage = True
        param, weights = weights_path(name)
        if self._net.load_param(str(param)) or self._net.load_model(str(weights)):
            raise EchoError(Code.ENGINE_UNAVAILABLE, f"ncnn cannot load {param.name}")

    def run(self, tile: np.ndarray) -> np.ndarray:
        channels_first = np.ascontiguousarray(tile.transpose(2, 0, 1))
        # The Mat borrows the array's memory and the extractor the Mat's: both must live until the end of extract,
        # and the answer's memory goes with the extractor, so it is copied.
        mat = ncnn.Mat(channels_first)
        extractor = self._net.create_extractor()
        extractor.input("data", mat)
        status, answer = extractor.extract("output")
        if status:
            raise EchoError(Code.ENGINE_CRASHED, f"ncnn failed with status {status}")
        return np.ascontiguousarray(np.array(answer).transpose(1, 2, 0))
