"""What is in a file: sniffed, judged by its headers, hashed, then measured packet by packet and decoded in samples.

Order matters. Nothing of a file is decoded before its container is known, its structure is whole, it points to no
other file and its claimed size and length are within limits. Packets are then read once, without decoding, so a
5 GB file costs two reads and memory independent of its length.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Discard
from av.video.stream import VideoStream

from contracts.errors import Code, EchoError
from contracts.media import AudioInfo, ContainerName, MediaInfo, MediaLimits, VideoInfo
from media import tags
from media.audio import skip_and_padding
from media.containers import Headers
from media.manifest import sha256_file
from media.opening import VIDEO_CODECS, audio_streams, codec_name, language, open_media, video_stream
from media.progress import Progress, silent
from media.sampling import Sample, decode_samples
from media.sniff import sniff
from media.timeline import FrameTimes, SoundTimes

PACKET_SHARE_MIN = 0.95
"""Of the frames that an MP4's index promises; fewer found means that the rest of the file is missing."""
DURATION_SHARE_MIN = 0.9
"""Of the duration that an AVI's or Matroska's header claims; those are estimates when written live."""
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
    _judge_headers(sniffed.headers, limits)
    with open_media(path, sniffed.container) as container:
        stream = video_stream(container)
        _judge_stream(stream, limits)
        _, sha256 = sha256_file(path, lambda done: progress(STAGE, done, 2 * size))
        scan = _scan(container, stream, limits, lambda done: progress(STAGE, size + done, 2 * size))
        _judge_completeness(container, stream, scan, sniffed.container)
        sample = decode_samples(path, sniffed.container, limits)
        video = _video_info(stream, scan, sample, limits)
        # Streams may not be asked any more once their container is closed.
        audio = tuple(_audio_info(track, times) for track, times in scan.sounds if times.start_s is not None)
    progress(STAGE, 2 * size, 2 * size)
    return MediaInfo(
        container=sniffed.container,
        bytes=size,
        sha256=sha256,
        duration_s=_total_duration_s(video, audio),
        video=video,
        audio=audio,
    )


def _judge_headers(headers: Headers, limits: MediaLimits) -> None:
    _judge_picture(headers.width, headers.height, limits)
    if headers.duration_s > limits.duration_s_max + 1:  # headers may round up; the measurement decides
        raise _too_long(headers.duration_s, limits)


def _judge_picture(width: int, height: int, limits: MediaLimits) -> None:
    fields: dict[str, str | int] = {"width": width, "height": height}
    if max(width, height) > limits.side_px_max or width * height > limits.pixels_max:
        raise EchoError(
            Code.TOO_LARGE_PICTURE, f"{width} x {height}", fields | {"pixels_max": limits.pixels_max}
        )


def _too_long(duration_s: float, limits: MediaLimits) -> EchoError:
    # A header may claim more seconds than a JSON reader can hold.
    seconds = math.ceil(min(duration_s, 1e12))
    return EchoError(
        Code.TOO_LONG, f"{seconds} s", {"duration_s": seconds, "duration_s_max": limits.duration_s_max}
    )


def _judge_stream(stream: VideoStream, limits: MediaLimits) -> None:
    codec = codec_name(stream)
    if codec not in VIDEO_CODECS:
        raise EchoError(Code.CODEC_UNSUPPORTED, f"video codec {codec or 'unknown'}")
    _judge_picture(stream.codec_context.width, stream.codec_context.height, limits)
    if stream.time_base is None or not 0 < stream.time_base <= TICK_S_MAX:
        raise EchoError(Code.FRAME_RATE_UNSUPPORTED, f"time base {stream.time_base}")


@dataclass
class _Scan:
    frames: FrameTimes
    sounds: list[tuple[AudioStream, SoundTimes]]
    packets: int = 0
    """Of the video stream, those outside the edit list included."""
    torn: int = 0
    """Packets that the file ends in."""
    error: str = ""
    """Why the demuxer gave up before the end, if it did."""


def _scan(container: InputContainer, stream: VideoStream, limits: MediaLimits, on_bytes) -> _Scan:
    tracks = audio_streams(container)
    for other in container.streams:
        other.discard = Discard.default if other is stream or other in tracks else Discard.all
    assert stream.time_base is not None
    sounds = [(track, SoundTimes(track.time_base or Fraction(1), track.sample_rate)) for track in tracks]
    scan = _Scan(FrameTimes(stream.time_base), sounds)
    by_index = {track.index: times for track, times in sounds}
    frames_max = limits.duration_s_max * limits.fps_max
    try:
        for packet in container.demux(stream, *tracks):
            if packet.size == 0:  # the end mark of a stream
                continue
            if packet.stream_index == stream.index:
                _add_frame(scan, packet, stream)
                _stop_if_endless(scan, packet, limits, frames_max)
            else:
                _add_sound(by_index[packet.stream_index], packet)
            on_bytes(max(packet.pos or 0, 0))
    except FFmpegError as error:
        scan.error = error.strerror or type(error).__name__
    scan.frames.finish()
    return scan


def _add_frame(scan: _Scan, packet: Packet, stream: VideoStream) -> None:
    scan.packets += 1
    scan.torn += packet.is_corrupt
    pts = packet.pts if packet.pts is not None else packet.dts
    # Frames outside the edit list are decoded but never shown; VP8's hidden reference frames have bit 4 clear.
    hidden = stream.codec_context.name == "vp8" and not bytes(packet)[0] & 0x10
    if pts is not None and not packet.is_discard and not hidden:
        scan.frames.add(pts, packet.duration or 0)


def _stop_if_endless(scan: _Scan, packet: Packet, limits: MediaLimits, frames_max: int) -> None:
    frames = scan.frames
    if frames.count > frames_max:
        raise EchoError(Code.FRAME_RATE_UNSUPPORTED, f"more than {frames_max} frames")
    if frames.first_pts is not None and frames.last_pts is not None:
        seconds = (frames.last_pts - frames.first_pts) * frames.time_base
        if seconds > limits.duration_s_max:
            raise _too_long(float(seconds), limits)


def _add_sound(times: SoundTimes, packet: Packet) -> None:
    if packet.pts is None or (packet.is_discard and not packet.has_sidedata("skip_samples")):
        return
    skip, padding = skip_and_padding(packet)
    times.add(packet.pts, packet.duration or 0, skip, padding)


def _judge_completeness(
    container: InputContainer, stream: VideoStream, scan: _Scan, name: ContainerName
) -> None:
    if scan.packets == 0 and not scan.error:
        raise EchoError(Code.NO_FRAMES, "the video track has no packets")
    promised = stream.frames if name in ("mp4", "mov") else 0
    found = scan.packets - scan.torn
    if found < PACKET_SHARE_MIN * promised - 1:
        raise EchoError(Code.TRUNCATED, f"{found} of {promised} frames are in the file")
    claimed_s = (container.duration or 0) / 1_000_000
    if name in ("avi", "mkv", "webm") and _reach_s(scan) < DURATION_SHARE_MIN * claimed_s - 1:
        raise EchoError(Code.TRUNCATED, f"{_reach_s(scan):.1f} of {claimed_s:.1f} s are in the file")
    if scan.error:
        raise EchoError(Code.CORRUPT, f"reading stops after {scan.packets} frames: {scan.error}")
    if scan.frames.count == 0:
        raise EchoError(Code.NO_FRAMES, "no frame of the video track is ever shown")


def _reach_s(scan: _Scan) -> float:
    """Time of the last picture or sound."""
    ends = [float(times.end_s) for _, times in scan.sounds if times.end_s is not None]
    if scan.frames.last_pts is not None:
        ends.append(float(scan.frames.end_pts(0) * scan.frames.time_base))
    return max(ends, default=0.0)


def _video_info(stream: VideoStream, scan: _Scan, sample: Sample, limits: MediaLimits) -> VideoInfo:
    frames = scan.frames
    assert frames.first_pts is not None
    _judge_picture(sample.width, sample.height, limits)
    if min(sample.width, sample.height) < limits.side_px_min:
        raise EchoError(Code.TOO_SMALL_PICTURE, f"{sample.width} x {sample.height}")
    if frames.median_gap and 1 / (frames.median_gap * frames.time_base) > limits.fps_max * Fraction(101, 100):
        raise EchoError(Code.FRAME_RATE_UNSUPPORTED, f"{1 / (frames.median_gap * frames.time_base)} fps")
    lone_gap = max(1, round(SINGLE_FRAME_S / frames.time_base))
    duration_s = (frames.end_pts(lone_gap) - frames.first_pts) * frames.time_base
    if duration_s > limits.duration_s_max:
        raise _too_long(float(duration_s), limits)
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
    assert times.end_s is not None
    return AudioInfo(
        stream_index=track.index,
        codec=codec_name(track),
        sample_rate=track.sample_rate,
        channels=track.channels,
        start_s=times.start_s,
        duration_s=max(Fraction(0), times.end_s - times.start_s),
        language=language(track),
    )


def _total_duration_s(video: VideoInfo, audio: tuple[AudioInfo, ...]) -> Fraction:
    start = min([video.start_s, *(track.start_s for track in audio)])
    end = max([video.start_s + video.duration_s, *(track.start_s + track.duration_s for track in audio)])
    return end - start
