"""Stands in for the engine in tests of joining: segments of numbered pictures, cut as a plan says."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from av.audio.resampler import AudioResampler
from numpy.typing import NDArray

from contracts.kinds.enhance import EnhancePlan, SegmentSpec
from contracts.media import ContainerName, MediaInfo, VideoInfo
from dev.clips.pattern import numbered
from media.clips.sound import PACKED, values_of
from media.color import ColorModel, Picture
from media.encode import Encoding, SegmentWriter
from media.mux import mux
from media.opening import open_media

SIZE = (192, 144)


@dataclass(frozen=True)
class Joined:
    source: Path
    info: MediaInfo
    plan: EnhancePlan
    result: Path


def plan_of(video: VideoInfo, fps: Fraction = Fraction(60), cuts: tuple[int, ...] = ()) -> EnhancePlan:
    """A plan for numbered pictures at `fps` that last as long as the source; `cuts` are inner segment starts."""
    frames = max(1, round(video.duration_s * fps))
    starts = [0, *(cut for cut in cuts if cut < frames)]
    segments = tuple(
        SegmentSpec(
            index=i, out_first=a, out_end=b, src_first_pts=0, src_last_pts=0, seek_pts=0, src_frames=1
        )
        for i, (a, b) in enumerate(zip(starts, [*starts[1:], frames], strict=True))
    )
    return EnhancePlan(
        fingerprint="test", fps_out=fps, width_out=SIZE[0], height_out=SIZE[1], out_frames=frames,
        src_frames=video.frame_count, time_base=Fraction(1, 90000), src_start_pts=0, src_end_pts=0,
        nominal_gap_pts=1, segments=segments,
    )  # fmt: skip


def write_segments(folder: Path, video: VideoInfo, plan: EnhancePlan) -> list[Path]:
    """With the engine's own encoder, one file a segment, frame k showing the number k."""
    model = ColorModel.of(video.color, video.height, video.bit_depth, video.codec)
    encoding = Encoding.of(video, model, *SIZE, plan.fps_out)
    files = []
    for segment in plan.segments:
        file = folder / f"segment-{segment.index}.mp4"
        with SegmentWriter(file, encoding) as writer:
            for number in range(segment.out_first, segment.out_end):
                writer.write(_picture(model, number))
        files.append(file)
    return files


def _picture(model: ColorModel, number: int) -> Picture:
    yuv = model.to_yuv(numbered(number, *SIZE).astype(np.float32) / 255)
    half = (SIZE[0] // 2, SIZE[1] // 2)
    u, v = (cv2.resize(yuv[..., plane], half, interpolation=cv2.INTER_AREA) for plane in (1, 2))
    return model.quantize(Picture(yuv[..., 0], u, v))


def join(
    folder: Path, source: Path, info: MediaInfo, fps: Fraction = Fraction(60), cuts: tuple[int, ...] = (7, 31)
) -> tuple[Path, EnhancePlan]:
    plan = plan_of(info.picture, fps, cuts)
    out = folder / "result.mp4"
    mux(source, info, write_segments(folder, info.picture, plan), plan, out)
    return out, plan


def heard(
    path: Path, track: int = 0, container: ContainerName = "mp4"
) -> tuple[float, NDArray[np.float32], int]:
    """(time of the first sample, channels x samples, rate) as a player decodes them."""
    with open_media(path, container) as opened:
        stream = opened.streams.audio[track]
        frames = list(opened.decode(stream))
        rate = stream.sample_rate
    packed = AudioResampler(PACKED)
    blocks = [values_of(part) for frame in frames for part in packed.resample(frame)]
    return float((frames[0].pts or 0) * (frames[0].time_base or 0)), np.concatenate(blocks, axis=1), rate
