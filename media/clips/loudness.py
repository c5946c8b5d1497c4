"""Loudness by ITU-R BS.1770-4 (EBU R 128): measured, and set without touching the dynamics."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
from av.audio.frame import AudioFrame
from av.error import EOFError as EndOfStream
from av.filter import Graph

from media.clips.sound import PACKED, Samples, place, values_of
from media.loudness import Level, read_level

BLOCK = 4096
GAIN_DB_MAX = 20.0
"""A murmur must not become a roar of noise."""
MEASURABLE_LUFS = -69.0
"""Meters gate at -70: at or below this there is nothing to bring to a loudness."""
TOLERANCE_LU = 0.3
OVERSAMPLED = 192_000
"""Rate at which sample peaks are as good as true peaks (BS.1770-4, annex 2)."""
ROUNDS_MAX = 4


def measure(samples: Samples) -> Level:
    graph = _graph(samples, [("ebur128", {"peak": "true", "metadata": "1"})])
    metadata: dict[str, str] = {}
    for frame in _through(graph, samples):
        metadata = frame.metadata or metadata
    return read_level(metadata)


def mastered(samples: Samples, lufs: float, ceiling_dbtp: float) -> Samples:
    """At this loudness, or as near as 20 dB of gain come to it; no true peak above the ceiling.

    One gain for all, so the dynamics stay; only peaks above the ceiling are turned down, by a look-ahead limiter.
    """
    level = measure(samples)
    if level.lufs <= MEASURABLE_LUFS:
        return samples
    gain = min(lufs - level.lufs, GAIN_DB_MAX)
    made = samples
    for _ in range(ROUNDS_MAX):
        loud = replace(samples, values=samples.values * np.float32(10 ** (gain / 20)))
        if level.peak_dbtp + gain <= ceiling_dbtp:
            return loud
        made = _limited(loud, ceiling_dbtp)
        missing = lufs - measure(made).lufs  # what the limiter took
        if abs(missing) <= TOLERANCE_LU:
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


def resampled(samples: Samples, rate: int) -> Samples:
    if samples.rate == rate:
        return samples
    return _filtered(samples, [("aresample", {"sample_rate": str(rate)})], rate)


def _filtered(samples: Samples, chain: Sequence[tuple[str, dict[str, str]]], rate: int) -> Samples:
    form = {"sample_fmts": PACKED, "channel_layouts": samples.layout, "sample_rates": str(rate)}
    graph = _graph(samples, [*chain, ("aformat", form)])
    values = np.zeros((samples.values.shape[0], round(samples.count * rate / samples.rate)), np.float32)
    at = 0
    for frame in _through(graph, samples):
        block = values_of(frame)
        place(values, block, at)
        at += block.shape[1]
    return Samples(values, rate, samples.layout)


def _graph(samples: Samples, chain: Sequence[tuple[str, dict[str, str]]]) -> Graph:
    graph = Graph()
    nodes = [
        graph.add_abuffer(
            sample_rate=samples.rate,
            format=PACKED,
            layout=samples.layout,
            time_base=Fraction(1, samples.rate),
        )
    ]
    nodes += [graph.add(name, **options) for name, options in chain]
    graph.link_nodes(*nodes, graph.add("abuffersink")).configure()
    return graph


def _through(graph: Graph, samples: Samples) -> Iterator[AudioFrame]:
    for frame in [*samples.frames(BLOCK), None]:
        graph.push(frame)
        while True:
            try:
                pulled = graph.pull()
            except (BlockingIOError, EndOfStream):
                break
            assert isinstance(pulled, AudioFrame)
            yield pulled
