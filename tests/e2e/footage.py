"""Facts of a video file, read by decoding all of it with PyAV: independent of the engine's own verification."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from dev.clips.pattern import click_times, read_number


@dataclass(frozen=True)
class Facts:
    width: int
    height: int
    rotation_deg: int
    times: tuple[Fraction, ...]
    """Of the frames, in seconds from the start of the file's clock."""
    end: Fraction
    """Of the last frame, as the file says how long it lasts."""
    numbers: tuple[int, ...]
    """Drawn into the frames by `dev.clips.pattern`."""
    clicks: tuple[tuple[float, ...], ...]
    """Per audio track, on the same clock as `times`."""

    @property
    def frames(self) -> int:
        return len(self.times)


def facts(path: Path) -> Facts:
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        times: list[Fraction] = []
        numbers: list[int] = []
        rotation, end = 0, Fraction(0)
        for frame in container.decode(video):
            assert frame.pts is not None
            assert frame.time_base is not None
            times.append(frame.pts * frame.time_base)
            numbers.append(read_number(frame.to_ndarray(format="rgb24").astype(np.uint8)))
            rotation = frame.rotation
            end = times[-1] + (frame.duration or 0) * frame.time_base
        size = video.width, video.height
    tracks = []
    with av.open(str(path)) as container:
        count = len(container.streams.audio)
    for index in range(count):
        tracks.append(tuple(_clicks(path, index)))
    return Facts(*size, rotation, tuple(times), end, tuple(numbers), tuple(tracks))


def _clicks(path: Path, index: int) -> list[float]:
    with av.open(str(path)) as container:
        stream = container.streams.audio[index]
        samples: list[np.ndarray] = []
        start: float | None = None
        resampler = av.AudioResampler(format="fltp", layout=stream.layout, rate=stream.rate)
        for frame in container.decode(stream):
            if start is None:
                assert frame.pts is not None
                assert frame.time_base is not None
                start = float(frame.pts * frame.time_base)
            samples += [part.to_ndarray() for part in resampler.resample(frame)]
    assert start is not None
    return [start + at for at in click_times(np.concatenate(samples, axis=1), stream.rate)]
