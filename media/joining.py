"""Packets of finished segments, renumbered on one exact output grid: seams cannot drift, nothing is decoded."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

from av.packet import Packet

from contracts.errors import Code, EchoError
from contracts.kinds.enhance import EnhancePlan, SegmentSpec
from media.opening import open_media, video_stream

TICKS_PER_S = 90_000
"""Time scale wherever the output rate divides a small multiple of it: the habit of broadcasting, exact for sources."""
TIMESCALE_MAX = 1_000_000
"""Above it a two-hour video would no longer fit the 32-bit header that every player reads."""


def timescale(fps: Fraction) -> int:
    """Ticks per second in which every frame time of this rate is whole."""
    shared = math.lcm(fps.numerator, TICKS_PER_S)
    return shared if shared <= TIMESCALE_MAX else fps.numerator * math.ceil(12_800 / fps.numerator)


def picture_packets(segments: list[Path], plan: EnhancePlan, lead_s: Fraction) -> Iterator[Packet]:
    """All video packets of the result in decoding order; the first frame is shown at `lead_s`.

    Raises EchoError RESULT_UNVERIFIED when the files do not fit the plan or one another.
    """
    if len(segments) != len(plan.segments):
        raise EchoError(
            Code.RESULT_UNVERIFIED, f"{len(segments)} segments, the plan has {len(plan.segments)}"
        )
    tick = Fraction(1, timescale(plan.fps_out))
    step = int(1 / plan.fps_out / tick)
    lead = round(lead_s / tick)
    headers: bytes | None = None
    delay = max(_reordering(path, plan.fps_out) for path in segments)
    for path, segment in zip(segments, plan.segments, strict=True):
        with open_media(path, "mp4") as container:
            stream = video_stream(container)
            headers = headers or stream.codec_context.extradata
            if stream.codec_context.extradata != headers:
                raise _misfit(segment, "has other encoder headers")
            number = 0
            for packet in container.demux(stream):
                if not packet.size:
                    continue
                if packet.pts is None:
                    raise _misfit(segment, "has a packet without time")
                shown = segment.out_first + round(packet.pts * packet.time_base * plan.fps_out)
                # Decoding times go one frame a step through all segments, whatever rounding a segment's file has.
                decoded = segment.out_first + number - delay
                if not segment.out_first <= shown < segment.out_end or decoded > shown:
                    raise _misfit(segment, f"has frame {number} shown at {shown}, decoded at {decoded}")
                packet.pts, packet.dts = lead + shown * step, lead + decoded * step
                packet.duration, packet.time_base = step, tick
                number += 1
                yield packet
        if number != segment.out_end - segment.out_first:
            raise _misfit(segment, f"has {number} frames, not {segment.out_end - segment.out_first}")


def _reordering(segment: Path, fps: Fraction) -> int:
    """Frames by which the decoder must work ahead: the first decoding time is that much before 0.

    Not the same in all segments: one of a single frame reorders nothing. The whole needs the largest.
    """
    with open_media(segment, "mp4") as container:
        first = next(container.demux(video_stream(container)))
        return round(-first.dts * first.time_base * fps) if first.dts is not None else 0


def _misfit(segment: SegmentSpec, what: str) -> EchoError:
    return EchoError(Code.RESULT_UNVERIFIED, f"segment {segment.index} {what}")
