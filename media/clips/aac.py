"""AAC for a clip's sound, at a loudness: judged on what a listener's decoder makes of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from av.audio.codeccontext import AudioCodecContext
from av.audio.layout import AudioLayout
from av.audio.resampler import AudioResampler
from av.codec.context import CodecContext, Flags
from av.packet import Packet

from contracts.errors import Code, EchoError
from media.audio import AAC_RATES
from media.clips.loudness import (
    MEASURABLE_LUFS,
    ROUNDS_MAX,
    TOLERANCE_LU,
    Level,
    mastered,
    measure,
    resampled,
)
from media.clips.sound import PACKED, Samples, values_of

RATE = 48_000
"""Of sound for social media."""
FRAME_SAMPLES = 1024
BITS_PER_CHANNEL = 96_000
PEAK_DBTP = -1.0
CODING_MARGIN_DB = 0.7
"""By which AAC at this rate may raise a peak; what exceeds it is found by decoding and limited more."""
CEILING_STEP_DB = 0.1
CODING_LOSS_LU_MAX = 1.5
"""A larger distance from the loudness asked for is not the encoder's doing: there was no more gain to give."""


@dataclass(frozen=True)
class CodedSound:
    packets: list[Packet]
    extradata: bytes
    rate: int
    layout: str
    level: Level | None = None
    """As decoded again; None when no loudness was asked for."""


def fitting_rate(samples: Samples) -> Samples:
    """At the rate it has, where AAC knows it."""
    return samples if samples.rate in AAC_RATES else resampled(samples, RATE)


def coded(samples: Samples) -> CodedSound:
    context = CodecContext.create("aac", "w")
    assert isinstance(context, AudioCodecContext)
    configure(context, samples.rate, samples.layout)
    context.open()
    packets = [packet for frame in samples.frames(FRAME_SAMPLES) for packet in context.encode(frame)]
    packets += context.encode(None)
    if not packets:
        raise EchoError(Code.ENGINE_CRASHED, "the sound encoder made nothing")
    return CodedSound(packets, context.extradata or b"", samples.rate, samples.layout)


def configure(context: AudioCodecContext, rate: int, layout: str) -> None:
    """An AAC encoder, for packets or for the header that describes them."""
    context.sample_rate, context.layout, context.format = rate, layout, "fltp"
    context.bit_rate = BITS_PER_CHANNEL * AudioLayout(layout).nb_channels
    context.time_base = Fraction(1, rate)
    context.flags |= Flags.global_header


def coded_at(samples: Samples, lufs: float | None) -> CodedSound:
    """Coded, and at a loudness if one is asked for: judged on what a listener's decoder makes of it."""
    if lufs is None:
        return coded(samples)
    wanted, ceiling = lufs, PEAK_DBTP - CODING_MARGIN_DB
    made = coded(mastered(samples, wanted, ceiling))
    level = measure(_decoded(made))
    for _ in range(ROUNDS_MAX):
        excess, missing = level.peak_dbtp - PEAK_DBTP, lufs - level.lufs
        lost = TOLERANCE_LU < abs(missing) <= CODING_LOSS_LU_MAX and level.lufs > MEASURABLE_LUFS
        if excess <= 0 and not lost:
            break
        ceiling -= excess + CEILING_STEP_DB if excess > 0 else 0.0
        wanted += missing if lost else 0.0
        made = coded(mastered(samples, wanted, ceiling))
        level = measure(_decoded(made))
    return replace(made, level=level)


def _decoded(made: CodedSound) -> Samples:
    decoder = CodecContext.create("aac", "r")
    assert isinstance(decoder, AudioCodecContext)
    decoder.extradata = made.extradata
    packed = AudioResampler(PACKED)
    frames = [frame for packet in [*made.packets, None] for frame in decoder.decode(packet)]
    values = np.concatenate(
        [values_of(block) for frame in frames for block in packed.resample(frame)], axis=1
    )
    return Samples(values, made.rate, made.layout)
