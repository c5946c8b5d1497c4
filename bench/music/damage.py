"""What phones and concerts do to sound, made on purpose: name -> function of samples at 22.05 kHz, seeded."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.signal import butter, sosfilt

from media.music.decode import SAMPLE_RATE


def noise(samples: np.ndarray) -> np.ndarray:
    """Pink noise 6 dB below the music."""
    pink = _pink(len(samples))
    return _bounded(samples + pink * np.sqrt(np.mean(samples**2) / np.mean(pink**2)) * 10 ** (-6 / 20))


def clipped(samples: np.ndarray) -> np.ndarray:
    """Driven 12 dB into the microphone's limit."""
    return np.clip(samples / np.abs(samples).max() * 10 ** (12 / 20), -1, 1).astype(np.float32)


def telephone(samples: np.ndarray) -> np.ndarray:
    """What 8 kHz of sampling leaves."""
    filtered = sosfilt(butter(8, 3800, fs=SAMPLE_RATE, output="sos"), samples)
    return np.asarray(filtered, np.float32)


def applause(samples: np.ndarray) -> np.ndarray:
    """Three seconds of clapping as loud as the music in every twenty."""
    generator = np.random.default_rng(1)
    claps = np.zeros(len(samples))
    at = generator.integers(0, len(samples), 60 * len(samples) // SAMPLE_RATE)
    claps[at] = generator.normal(0, 1, len(at))
    burst = np.exp(-np.arange(440) / 90) * generator.normal(0, 1, 440)
    crowd = sosfilt(
        butter(2, [500, 5000], "band", fs=SAMPLE_RATE, output="sos"), np.convolve(claps, burst)[: len(claps)]
    )
    crowd *= (np.arange(len(samples)) / SAMPLE_RATE) % 20 > 17
    level = np.sqrt(np.mean(samples**2) / (np.mean(crowd**2) / 0.15))
    return _bounded(samples + crowd * level)


def _pink(length: int) -> np.ndarray:
    spectrum = np.fft.rfft(np.random.default_rng(0).normal(0, 1, length))
    return np.fft.irfft(spectrum / np.sqrt(np.maximum(1, np.arange(len(spectrum)))), length)


def _bounded(samples: np.ndarray) -> np.ndarray:
    return (samples / max(1.0, float(np.abs(samples).max()))).astype(np.float32)


WAYS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "noise at -6 dB": noise,
    "clipped by 12 dB": clipped,
    "8 kHz sampling": telephone,
    "clapping": applause,
}
