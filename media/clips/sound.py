"""Sound of a stretch as samples: read to the sample, brought to a loudness, faded, coded as AAC.

A clip lasts three minutes at most, so its sound is held whole. Sample 0 is heard with the clip's first frame; what
the source has no sound for is silence.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.audio.layout import AudioLayout
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.codec.context import CodecContext, Flags
from av.error import EOFError as EndOfStream
from av.error import FFmpegError
from av.filter import Graph
from av.packet import Packet
from numpy.typing import NDArray

from contracts.errors import Code, EchoError
from contracts.media import AudioInfo, MediaInfo
from media.audio import AAC_RATES
from media.opening import open_media

PREROLL_S = Fraction(1, 2)
"""Decoded before the stretch and dropped: overlapping transforms, Opus' 80 ms, bit reservoirs."""
RATE = 48_000
"""Of sound for social media."""
AAC_BITS_PER_CHANNEL = 96_000
BLOCK = 4096
GAIN_DB_MAX = 20.0
"""A murmur must not become a roar of noise."""
SILENCE_LUFS = -69.0
"""EBU R 128 meters gate at -70: below this there is nothing to bring to a loudness."""
LOUDNESS_TOLERANCE_LU = 0.3
PEAK_DBTP = -1.0
CODING_MARGIN_DB = 0.7
"""By which AAC at this rate may raise a peak; what exceeds it is found by decoding and limited more."""
CODING_LOSS_LU_MAX = 1.5
"""A larger distance from the loudness asked for is not the encoder's doing: there was no more gain to give."""
OVERSAMPLED = 192_000
"""Rate at which sample peaks are as good as true peaks (BS.1770-4, annex 2)."""
ROUNDS_MAX = 4


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


@dataclass(frozen=True)
class Level:
    """By ITU-R BS.1770-4."""

    lufs: float
    peak_dbtp: float


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
        layout = layout or stream.layout.name
        count = round(length_s * rate)
        values = np.zeros((_channels(layout), count), np.float32)
        if start_s - PREROLL_S > track.start_s:
            container.seek(int((start_s - PREROLL_S) / stream.time_base), stream=stream)
        even = AudioResampler("fltp", layout)  # changes neither rate nor, therefore, time
        # Times of coarse bases (1 ms) jump by their rounding: what nearly follows, follows.
        slack = max(2, int(2 * stream.time_base * rate))
        expected: int | None = None
        for frame in _frames(container.demux(stream)):
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
                _place(values, block.to_ndarray(), at)
            on_work()
    return Samples(values, rate, layout)


def _frames(packets: Any) -> Any:
    """What can be decoded of a track, which may be damaged in the middle."""
    while True:
        try:
            packet = next(packets)
        except (StopIteration, FFmpegError):
            return
        try:
            frames = packet.decode()
        except FFmpegError:
            continue
        yield from frames


def _place(values: NDArray[np.float32], block: NDArray[np.float32], at: int) -> None:
    first, end = max(0, at), min(values.shape[1], at + block.shape[1])
    if first < end:
        values[:, first:end] = block[:, first - at : end - at]


def _channels(layout: str) -> int:
    return AudioLayout(layout).nb_channels


def measure(samples: Samples) -> Level:
    graph = _graph(samples, [("ebur128", {"peak": "true", "metadata": "1"})])
    metadata: dict[str, str] = {}
    for frame in _through(graph, samples):
        metadata = frame.metadata or metadata
    peaks = [
        _number(value, -120.0)
        for key, value in metadata.items()
        if key.startswith("lavfi.r128.true_peaks_ch")
    ]
    peak = max(peaks, default=0.0)
    return Level(_number(metadata.get("lavfi.r128.I"), -70.0), 20 * float(np.log10(max(peak, 1e-6))))


def _number(text: str | None, otherwise: float) -> float:
    value = float(text) if text else otherwise
    return value if np.isfinite(value) else otherwise


def for_social_media(samples: Samples) -> Samples:
    """At 48 kHz; stereo it was read as."""
    return samples if samples.rate == RATE else _resampled(samples, RATE)


def aac_rate(samples: Samples) -> Samples:
    return samples if samples.rate in AAC_RATES else _resampled(samples, RATE)


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


def mastered(samples: Samples, lufs: float, ceiling_dbtp: float) -> Samples:
    """At this loudness, or as near as 20 dB of gain come to it; no true peak above the ceiling.

    One gain for all, so the dynamics stay; only peaks above the ceiling are turned down, by a look-ahead limiter.
    """
    level = measure(samples)
    if level.lufs <= SILENCE_LUFS:
        return samples
    gain = min(lufs - level.lufs, GAIN_DB_MAX)
    made = samples
    for _ in range(ROUNDS_MAX):
        loud = replace(samples, values=samples.values * np.float32(10 ** (gain / 20)))
        if level.peak_dbtp + gain <= ceiling_dbtp:
            return loud
        made = _limited(loud, ceiling_dbtp)
        missing = lufs - measure(made).lufs  # what the limiter took
        if abs(missing) <= LOUDNESS_TOLERANCE_LU:
            break
        gain = min(gain + missing, GAIN_DB_MAX)
    return made


def _limited(samples: Samples, ceiling_dbtp: float) -> Samples:
    limit = {
        "limit": f"{10 ** (ceiling_dbtp / 20):.6f}",
        "attack": "5",
        "release": "60",
        "level": "0",
        "latency": "1",
    }
    chain = [("aresample", {"sample_rate": str(OVERSAMPLED)}), ("alimiter", limit)]
    return _filtered(samples, [*chain, ("aresample", {"sample_rate": str(samples.rate)})], samples.rate)


def _resampled(samples: Samples, rate: int) -> Samples:
    return _filtered(samples, [("aresample", {"sample_rate": str(rate)})], rate)


def _filtered(samples: Samples, chain: Sequence[tuple[str, dict[str, str]]], rate: int) -> Samples:
    form = {"sample_fmts": "fltp", "channel_layouts": samples.layout, "sample_rates": str(rate)}
    graph = _graph(samples, [*chain, ("aformat", form)])
    values = np.zeros((samples.values.shape[0], round(samples.count * rate / samples.rate)), np.float32)
    at = 0
    for frame in _through(graph, samples):
        block = frame.to_ndarray()
        _place(values, block, at)
        at += block.shape[1]
    return Samples(values, rate, samples.layout)


def _graph(samples: Samples, chain: Sequence[tuple[str, dict[str, str]]]) -> Graph:
    graph = Graph()
    nodes = [
        graph.add_abuffer(
            sample_rate=samples.rate,
            format="fltp",
            layout=samples.layout,
            time_base=Fraction(1, samples.rate),
        )
    ]
    nodes += [graph.add(name, **options) for name, options in chain]
    graph.link_nodes(*nodes, graph.add("abuffersink")).configure()
    return graph


def _through(graph: Graph, samples: Samples) -> Any:
    for frame in [*_blocks(samples, BLOCK), None]:
        graph.push(frame)
        while True:
            try:
                yield graph.pull()
            except (BlockingIOError, EndOfStream):
                break


def _blocks(samples: Samples, size: int) -> Any:
    for start in range(0, samples.count, size):
        block = np.ascontiguousarray(samples.values[:, start : start + size])
        frame = AudioFrame.from_ndarray(block, format="fltp", layout=samples.layout)
        frame.sample_rate, frame.time_base, frame.pts = samples.rate, Fraction(1, samples.rate), start
        yield frame


@dataclass(frozen=True)
class CodedSound:
    packets: list[Packet]
    extradata: bytes
    rate: int
    layout: str
    level: Level | None = None
    """As decoded again; None when no loudness was asked for."""


def coded(samples: Samples) -> CodedSound:
    context = CodecContext.create("aac", "w")
    assert isinstance(context, AudioCodecContext)
    configure(context, samples.rate, samples.layout)
    context.open()
    packets = [packet for frame in _blocks(samples, 1024) for packet in context.encode(frame)]
    packets += context.encode(None)
    if not packets:
        raise EchoError(Code.ENGINE_CRASHED, "the sound encoder made nothing")
    return CodedSound(packets, context.extradata or b"", samples.rate, samples.layout)


def configure(context: AudioCodecContext, rate: int, layout: str) -> None:
    """An AAC encoder, for packets or for the header that describes them."""
    context.sample_rate, context.layout, context.format = rate, layout, "fltp"
    context.bit_rate = AAC_BITS_PER_CHANNEL * _channels(layout)
    context.time_base = Fraction(1, rate)
    context.flags |= Flags.global_header


def coded_at(samples: Samples, lufs: float | None) -> CodedSound:
    """Coded, and at a loudness if one is asked for: judged on what a listener's decoder makes of it."""
    if lufs is None:
        return coded(samples)
    wanted, ceiling = lufs, PEAK_DBTP - CODING_MARGIN_DB
    for _ in range(ROUNDS_MAX):
        made = coded(mastered(samples, wanted, ceiling))
        level = measure(_decoded(made))
        excess, missing = level.peak_dbtp - PEAK_DBTP, lufs - level.lufs
        if excess <= 0 and (abs(missing) <= LOUDNESS_TOLERANCE_LU or level.lufs <= SILENCE_LUFS):
            break
        ceiling -= max(0.0, excess + 0.1 if excess > 0 else 0.0)
        wanted += missing if abs(missing) <= CODING_LOSS_LU_MAX else 0.0
    return replace(made, level=level)


def _decoded(made: CodedSound) -> Samples:
    decoder = CodecContext.create("aac", "r")
    assert isinstance(decoder, AudioCodecContext)
    decoder.extradata = made.extradata
    frames = [frame for packet in [*made.packets, None] for frame in decoder.decode(packet)]
    return Samples(np.concatenate([frame.to_ndarray() for frame in frames], axis=1), made.rate, made.layout)


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
