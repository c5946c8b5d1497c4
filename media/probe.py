"""What is in a file: sniffed, judged by its headers, hashed, then measured packet by packet and decoded in samples.

Order matters. Nothing of a file is decoded before its container is known, its structure is whole, it points to no
other file and its claimed size and length are within limits. A 5 GB file costs two reads (hash and packets) and
memory independent of its length. Sound without picture takes the same way.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from av.audio.stream import AudioStream
from av.container import InputContainer
from av.video.stream import VideoStream

from contracts.errors import Code, EchoError
from contracts.media import AudioInfo, MediaInfo, MediaLimits, VideoInfo
from media import tags
from media.limits import judge_headers, judge_picture, too_long
from media.manifest import sha256_file
from media.opening import VIDEO_CODECS, audio_streams, codec_name, find_video, language, open_media
from media.progress import Progress, silent
from media.sampling import Sample, decode_samples, decode_sound
from media.scan import judge_completeness, scan
from media.sniff import sniff
from media.timeline import FrameTimes, SoundTimes

TICK_S_MAX = Fraction(1, 10)
"""No sane file times its frames in coarser steps."""
SINGLE_FRAME_S = Fraction(1, 30)
"""How long a lone frame without duration is shown."""
RATE_TOLERANCE = Fraction(1, 500)
"""Below this the header's frame rate is the measured one, blurred by a coarse time base (Matroska's 1 ms)."""
STAGE = "ingest"


def probe(
    path: Path, limits: MediaLimits, *, declared_type: str | None = None, progress: Progress = silent
) -> MediaInfo:
    """Measures a file. Progress is in bytes of stage `ingest`, each byte counted twice (hash and packets).

    Raises EchoError with the codes "What is wrong with a file".
    """
    if not path.is_file():
        raise EchoError(Code.SOURCE_MISSING, f"no file {path.name}")
    size = path.stat().st_size
    if size > limits.bytes_max:
        raise EchoError(Code.UPLOAD_TOO_LARGE, fields={"bytes": size, "bytes_max": limits.bytes_max})
    sniffed = sniff(path, declared_type)
    judge_headers(sniffed.headers, limits)
    with open_media(path, sniffed.container) as container:
        picture, tracks = find_video(container), audio_streams(container)
        _judge_streams(container, picture, tracks, limits)
        _, sha256 = sha256_file(path, lambda done: progress(STAGE, done, 2 * size))
        found = scan(container, picture, tracks, limits, lambda done: progress(STAGE, size + done, 2 * size))
        judge_completeness(container, picture, found, sniffed)
        if picture is None or found.frames is None:
            video = None
            decode_sound(path, sniffed.container, found.first_heard)
        else:
            sample = decode_samples(path, sniffed.container, limits)
            video = _video_info(picture, found.frames, sample, limits)
        # Streams may not be asked any more once their container is closed.
        audio = tuple(_audio_info(track, times) for track, times in found.sounds if times.start_s is not None)
    progress(STAGE, 2 * size, 2 * size)
    return MediaInfo(
        container=sniffed.container,
        bytes=size,
        sha256=sha256,
        duration_s=_total_duration_s(video, audio),
        video=video,
        audio=audio,
    )


def _judge_streams(
    container: InputContainer, picture: VideoStream | None, tracks: list[AudioStream], limits: MediaLimits
) -> None:
    if picture is not None:
        _judge_picture_stream(picture, limits)
    elif not container.streams.audio:
        raise EchoError(Code.NO_VIDEO_STREAM, "neither a video stream nor an audio stream")
    elif not tracks:
        codecs = ", ".join(codec_name(track) or "unknown" for track in container.streams.audio)
        raise EchoError(Code.NO_AUDIO, f"audio codecs: {codecs}")


def _judge_picture_stream(stream: VideoStream, limits: MediaLimits) -> None:
    codec = codec_name(stream)
    if codec not in VIDEO_CODECS:
        raise EchoError(Code.CODEC_UNSUPPORTED, f"video codec {codec or 'unknown'}")
    judge_picture(stream.codec_context.width, stream.codec_context.height, limits)
    if stream.time_base is None or not 0 < stream.time_base <= TICK_S_MAX:
        raise EchoError(Code.FRAME_RATE_UNSUPPORTED, f"time base {stream.time_base}")


def _video_info(stream: VideoStream, frames: FrameTimes, sample: Sample, limits: MediaLimits) -> VideoInfo:
    assert frames.first_pts is not None
    judge_picture(sample.width, sample.height, limits)
    if min(sample.width, sample.height) < limits.side_px_min:
        raise EchoError(Code.TOO_SMALL_PICTURE, f"{sample.width} x {sample.height}")
    if frames.median_gap and 1 / (frames.median_gap * frames.time_base) > limits.fps_max * Fraction(101, 100):
        raise EchoError(Code.FRAME_RATE_UNSUPPORTED, f"{1 / (frames.median_gap * frames.time_base)} fps")
    lone_gap = max(1, round(SINGLE_FRAME_S / frames.time_base))
    duration_s = (frames.end_pts(lone_gap) - frames.first_pts) * frames.time_base
    if duration_s > limits.duration_s_max:
        raise too_long(float(duration_s), limits)
    return VideoInfo(
        codec=codec_name(stream),
        pixel_format=sample.pixel_format,
        bit_depth=sample.bit_depth,
        width=sample.width,
        height=sample.height,
        rotation_deg=sample.orientation.rotation_deg,
        mirrored=sample.orientation.mirrored,
        sample_aspect=_sample_aspect(stream),
        average_fps=_average_fps(frames, duration_s, stream.average_rate),
        frame_count=frames.count,
        start_s=frames.first_pts * frames.time_base,
        duration_s=duration_s,
        variable_rate=frames.variable,
        color=sample.color,
        hdr=sample.color.transfer in tags.HDR_TRANSFERS,
    )


def _average_fps(frames: FrameTimes, duration_s: Fraction, header_rate: Fraction | None) -> Fraction:
    measured = frames.count / duration_s
    if header_rate and not frames.variable and abs(measured - header_rate) < RATE_TOLERANCE * header_rate:
        return header_rate
    return measured.limit_denominator(100_000)


def _sample_aspect(stream: VideoStream) -> Fraction:
    aspect = stream.sample_aspect_ratio
    return aspect if aspect and aspect > 0 else Fraction(1)


def _audio_info(track: AudioStream, times: SoundTimes) -> AudioInfo:
    assert times.start_s is not None
    return AudioInfo(
        stream_index=track.index,
        codec=codec_name(track),
        sample_rate=track.sample_rate,
        channels=track.channels,
        start_s=times.start_s,
        duration_s=times.duration_s,
        language=language(track),
    )


def _total_duration_s(video: VideoInfo | None, audio: tuple[AudioInfo, ...]) -> Fraction:
    streams = [*([] if video is None else [video]), *audio]
    start = min(stream.start_s for stream in streams)
    return max(stream.start_s + stream.duration_s for stream in streams) - start
