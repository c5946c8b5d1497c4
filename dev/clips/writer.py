"""Writes small clips with exact timestamps and chosen oddities, through PyAV; H.264 is the same bytes every time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from dev.clips.pattern import Picture, clicks, numbered
from media.encode import repeatable

X264 = {"preset": "veryfast", "crf": "16"}


@dataclass(frozen=True)
class Look:
    """How pictures are coded. Colour tags are H.273 code points, 2 for unknown; range 1 is limited, 2 full."""

    codec: str = "libx264"
    pixel_format: str = "yuv420p"
    options: dict[str, str] = field(default_factory=lambda: dict(X264))
    matrix: int = 2
    primaries: int = 2
    transfer: int = 2
    color_range: int = 0
    sample_aspect: Fraction = Fraction(1)
    rotation_ccw: int = 0
    mirrored: bool = False


@dataclass(frozen=True)
class Sound:
    """A track of clicks; `start_s` is when its first sample is heard, on the clip's own timeline."""

    start_s: Fraction = Fraction(0)
    duration_s: Fraction = Fraction(2)
    rate: int = 48000
    channels: int = 2
    codec: str = "aac"
    language: str = ""


def steady(
    frames: int, fps: Fraction | int = 30, size: tuple[int, int] = (160, 120)
) -> list[tuple[Fraction, Picture]]:
    """Numbered pictures at a constant rate from time 0."""
    return [(Fraction(number) / Fraction(fps), numbered(number, *size)) for number in range(frames)]


def write(
    path: Path,
    pictures: Iterable[tuple[Fraction, Picture]],
    *,
    tick: Fraction = Fraction(1, 90000),
    last_s: Fraction = Fraction(1, 30),
    rate: Fraction | int = 30,
    look: Look | None = None,
    sounds: Sequence[Sound] = (),
    options: dict[str, str] | None = None,
) -> Path:
    """Pictures come with their time in seconds; `last_s` is how long the last one is shown."""
    look = look or Look()
    pictures = list(pictures)
    timescale = {"video_track_timescale": str(tick.denominator)} if path.suffix in (".mp4", ".mov") else {}
    with av.open(str(path), "w", options=timescale | (options or {})) as container:
        height, width = pictures[0][1].shape[:2]
        video = _video_stream(container, look, width, height, rate, tick)
        tracks = [(_audio_stream(container, sound), sound) for sound in sounds]
        _write_pictures(container, video, pictures, tick, last_s, look)
        for track, sound in tracks:
            _write_sound(container, track, sound)
    return path


def write_sound(
    path: Path,
    sound: Sound,
    muxer: str,
    *,
    cover: Picture | None = None,
    options: dict[str, str] | None = None,
) -> Path:
    """A file with sound only, and perhaps the cover of its album."""
    with av.open(str(path), "w", format=muxer, options=options or {}) as container:
        track = _audio_stream(container, sound)
        if cover is not None:
            _write_cover(container, cover)
        _write_sound(container, track, sound)
    return path


def _write_cover(container: OutputContainer, cover: Picture) -> None:
    stream = container.add_stream("mjpeg", rate=1)
    assert isinstance(stream, VideoStream)
    stream.height, stream.width = cover.shape[:2]
    stream.pix_fmt = "yuvj420p"
    stream.disposition = Disposition.attached_pic
    frame = VideoFrame.from_ndarray(cover, format="rgb24").reformat(format="yuvj420p")
    container.mux([*stream.encode(frame), *stream.encode(None)])


def _video_stream(
    container: OutputContainer, look: Look, width: int, height: int, rate: Fraction | int, tick: Fraction
) -> VideoStream:
    options = dict(look.options)
    if look.codec == "libx264":
        options["x264-params"] = (options.get("x264-params", "") + repeatable()).lstrip(":")
    stream = container.add_stream(look.codec, rate=rate, options=options)
    assert isinstance(stream, VideoStream)
    context = stream.codec_context
    context.width, context.height, context.pix_fmt = width, height, look.pixel_format
    context.time_base = tick
    context.sample_aspect_ratio = look.sample_aspect
    context.colorspace, context.color_primaries = look.matrix, look.primaries
    context.color_trc, context.color_range = look.transfer, look.color_range
    stream.time_base = tick
    if look.rotation_ccw or look.mirrored:
        stream.set_display_rotation(look.rotation_ccw, hflip=look.mirrored)
    return stream


def _audio_stream(container: OutputContainer, sound: Sound) -> AudioStream:
    layout = "mono" if sound.channels == 1 else "stereo"
    stream = container.add_stream(sound.codec, rate=sound.rate, layout=layout)
    assert isinstance(stream, AudioStream)
    stream.time_base = Fraction(1, sound.rate)
    if sound.codec == "vorbis":
        stream.codec_context.options = {"strict": "experimental"}  # FFmpeg's own; it makes true Vorbis
    if sound.language:
        stream.metadata["language"] = sound.language
    return stream


def _write_pictures(
    container: OutputContainer, stream: VideoStream, pictures: list[tuple[Fraction, Picture]],
    tick: Fraction, last_s: Fraction, look: Look,
) -> None:  # fmt: skip
    ends = [time for time, _ in pictures[1:]] + [pictures[-1][0] + last_s]
    durations = {}
    for (time, picture), end in zip(pictures, ends, strict=True):
        frame = VideoFrame.from_ndarray(picture, format="rgb24").reformat(
            format=look.pixel_format,
            dst_colorspace=look.matrix if look.matrix in (1, 5, 6, 9) else None,
            dst_color_range=look.color_range or 1,
        )
        frame.pts, frame.time_base = round(time / tick), tick
        durations[frame.pts] = round(end / tick) - frame.pts
        _mux(container, stream.encode(frame), durations)
    _mux(container, stream.encode(None), durations)


def _mux(container: OutputContainer, packets: list[av.Packet], durations: dict[int, int]) -> None:
    for packet in packets:
        packet.duration = durations.get(packet.pts or 0, packet.duration)
        container.mux(packet)


def _write_sound(container: OutputContainer, stream: AudioStream, sound: Sound) -> None:
    samples = clicks(float(sound.duration_s), sound.rate, sound.channels)
    layout = "mono" if sound.channels == 1 else "stereo"
    first = round(sound.start_s * sound.rate)
    for start in range(0, samples.shape[1], 1024):
        block = np.ascontiguousarray(samples[:, start : start + 1024])
        frame = AudioFrame.from_ndarray(block, format="fltp", layout=layout)
        frame.sample_rate, frame.time_base, frame.pts = sound.rate, Fraction(1, sound.rate), first + start
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))
