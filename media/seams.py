"""Decodes a result around its joints: where a decoder would stumble if segments did not fit together."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

from av.container import InputContainer
from av.error import FFmpegError
from av.video.stream import VideoStream

from contracts.kinds.enhance import EnhancePlan
from media.opening import open_media, video_stream

SEAMS_MAX = 8
"""Evenly chosen: all seams are made by the same code from files with equal headers."""
FRAMES_AFTER = 4


def decode_seams(result: Path, plan: EnhancePlan, on_frame: Callable[[], None]) -> str:
    """'whole', or what is wrong. Decodes the first frames, some seams, and the very end."""
    try:
        with open_media(result, "mp4") as container:
            stream = video_stream(container)
            start_s = Fraction(stream.start_time or 0) * (stream.time_base or Fraction(0))
            for seam in _chosen([segment.out_first for segment in plan.segments]):
                end = min(seam + FRAMES_AFTER, plan.out_frames)
                if fault := _decode(container, stream, start_s, plan.fps_out, seam, end, on_frame):
                    return fault
            return (
                _decode(
                    container, stream, start_s, plan.fps_out, plan.out_frames - 1, plan.out_frames, on_frame
                )
                or "whole"
            )
    except FFmpegError as error:
        return f"unreadable: {error.strerror}"


def _chosen(seams: list[int]) -> list[int]:
    """The first, and at most SEAMS_MAX of the rest."""
    step = max(1, -(-(len(seams) - 1) // SEAMS_MAX))
    return [*seams[:1], *seams[1::step]]


def _decode(
    container: InputContainer, stream: VideoStream, start_s: Fraction, fps: Fraction,
    first: int, end: int, on_frame: Callable[[], None],
) -> str:  # fmt: skip
    """Decodes from the key frame before `first` - 1 and expects every frame of [first - 1, end) in turn."""
    tick = stream.time_base or Fraction(1)
    expected = max(0, first - 1)
    container.seek(int((start_s + expected / fps) / tick), stream=stream)
    try:
        for frame in container.decode(stream):
            on_frame()
            number = round(((frame.pts or 0) * tick - start_s) * fps)
            if number < expected:
                continue
            if number > expected or frame.is_corrupt:
                return f"frame {expected} is {'damaged' if frame.is_corrupt else 'missing'}"
            expected += 1
            if expected == end:
                return ""
    except FFmpegError as error:
        return f"frame {expected} cannot be decoded: {error.strerror}"
    return f"frame {expected} is missing"
