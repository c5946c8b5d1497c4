"""Sound of a stretch as samples: read to the sample, faded, searched for its loudest part.

A clip lasts three minutes at most, so its sound is held whole. Sample 0 is heard with the clip's first frame; what
the source has no sound for is silence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.layout import AudioLayout
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from numpy.typing import NDArray

from contracts.media import AudioInfo, MediaInfo
from media.opening import heard_frames, open_media

PREROLL_S = Fraction(1, 2)
"""Decoded before the stretch and dropped: overlapping transforms, Opus' 80 ms, bit reservoirs."""
CUSTOMARY = {1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
"""Layouts by number of channels, for tracks that only say how many they have."""
CODABLE = frozenset({
    "mono", "stereo", "2.1", "3.0", "3.0(back)", "4.0", "quad", "quad(side)", "3.1", "5.0", "5.0(side)", "4.1", "5.1",
    "5.1(side)", "6.0", "6.0(front)", "hexagonal", "6.1", "6.1(back)", "6.1(front)", "7.0", "7.0(front)", "7.1",
    "7.1(wide)", "7.1(wide-side)", "octagonal",
})  # fmt: skip
"""Layouts that FFmpeg's AAC encoder takes. Others, such as 5.1.2, become stereo."""
PACKED = "flt"
"""Channels side by side in one plane: PyAV (18.1) counts nine planes where eight channels have one each, and reads
what is behind them."""
Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Samples:
    values: NDArray[np.float32]
    """Channels x samples, 1.0 is full scale."""
    rate: int
    layout: str
    """FFmpeg's name, such as `stereo`."""

    @property
    def count(self) -> int:
        return self.values.shape[1]

    @property
    def channels(self) -> int:
        return self.values.shape[0]

    def frames(self, size: int) -> Iterator[AudioFrame]:
        """Blocks of this many samples, the last one shorter."""
        for start in range(0, self.count, size):
            block = np.ascontiguousarray(self.values[:, start : start + size].T).reshape(1, -1)
            frame = AudioFrame.from_ndarray(block, format=PACKED, layout=self.layout)
            frame.sample_rate, frame.time_base, frame.pts = self.rate, Fraction(1, self.rate), start
            yield frame


def read(
    path: Path,
    info: MediaInfo,
    track: AudioInfo,
    start_s: Fraction,
    length_s: Fraction,
    layout: str | None = None,
    on_work: Callable[[], None] = lambda: None,
) -> Samples:
    """`start_s` in the file's own time. `layout` None: the track's own. Damaged packets are silent."""
    with open_media(path, info.container) as container:
        stream = container.streams[track.stream_index]
        assert isinstance(stream, AudioStream)
        assert stream.time_base is not None
        stream.codec_context.thread_count = 1
        rate = stream.sample_rate
        layout = layout or _layout(stream)
        count = round(length_s * rate)
        values = np.zeros((AudioLayout(layout).nb_channels, count), np.float32)
        if start_s - PREROLL_S > track.start_s:
            container.seek(int((start_s - PREROLL_S) / stream.time_base), stream=stream)
        even = AudioResampler(PACKED, layout)  # changes neither rate nor, therefore, time
        # Times of coarse bases (1 ms) jump by their rounding: what nearly follows, follows.
        slack = max(2, int(2 * stream.time_base * rate))
        expected: int | None = None
        for frame in heard_frames(container, stream):
            at = expected
            if frame.pts is not None:
                at = round((frame.pts * stream.time_base - start_s) * rate)
                if expected is not None and abs(at - expected) <= slack:
                    at = expected
            if at is None or frame.sample_rate != rate:
                continue
            expected = at + frame.samples
            if at >= count:
                break
            for block in even.resample(frame):
                place(values, values_of(block), at)
            on_work()
    return Samples(values, rate, layout)


def values_of(frame: AudioFrame) -> Floats:
    """Channels x samples of a packed frame."""
    return np.asarray(frame.to_ndarray(), np.float32).reshape(-1, frame.layout.nb_channels).T


def place(values: Floats, block: Floats, at: int) -> None:
    """Puts a block where it belongs; what lies outside is dropped."""
    first, end = max(0, at), min(values.shape[1], at + block.shape[1])
    if first < end:
        values[:, first:end] = block[:, first - at : end - at]


def _layout(stream: AudioStream) -> str:
    named = stream.layout.name
    if stream.channels <= 2 or named.endswith(" channels"):
        return CUSTOMARY.get(stream.channels, "stereo")
    return named if named in CODABLE else "stereo"


def faded(samples: Samples, fade_s: float) -> Samples:
    """From and to silence, along a raised cosine."""
    count = min(round(fade_s * samples.rate), samples.count // 2)
    if count == 0:
        return samples
    ramp = (0.5 - 0.5 * np.cos(np.pi * (np.arange(count) + 0.5) / count)).astype(np.float32)
    values = samples.values.copy()
    values[:, :count] *= ramp
    values[:, -count:] *= ramp[::-1]
    return replace(samples, values=values)


def loudest_s(samples: Samples, length_s: float) -> float:
    """Where the loudest stretch of this length begins."""
    step = max(1, samples.rate // 10)
    usable = samples.count // step * step
    power = (samples.values[:, :usable] ** 2).mean(axis=0).reshape(-1, step).mean(axis=1)
    width = round(length_s * samples.rate / step)
    if len(power) <= width:
        return 0.0
    sums = np.convolve(power, np.ones(width), "valid")
    return float(np.argmax(sums) * step / samples.rate)
