"""The one way in which a file is opened for decoding: named demuxer, local file only, known decoders only.

And the one way in which a track that may be damaged is heard.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from contracts.errors import Code, EchoError
from contracts.media import ContainerName

DEMUXERS: dict[ContainerName, str] = {
    "mp4": "mov,mp4,m4a,3gp,3g2,mj2",
    "mov": "mov,mp4,m4a,3gp,3g2,mj2",
    "avi": "avi",
    "mkv": "matroska,webm",
    "webm": "matroska,webm",
    "mp3": "mp3",
    "wav": "wav",
    "flac": "flac",
    "ogg": "ogg",
}
"""FFmpeg's names, used as forced format and as its white list."""
SAMPLE_TYPES = {"u8": "u1", "s16": "i2", "s32": "i4", "flt": "f4", "dbl": "f8"}
"""FFmpeg's names of packed samples, in NumPy's words."""

VIDEO_CODECS = frozenset({
    "h264", "hevc", "av1", "vp8", "vp9", "mpeg4", "mpeg2video", "mpeg1video", "mjpeg", "prores", "dnxhd",
    "h263", "msmpeg4v2", "msmpeg4v3", "dvvideo", "rawvideo", "ffv1", "cfhd",
})  # fmt: skip
"""What cameras, phones and editors write. Every further decoder is only more surface for hostile bytes."""
AUDIO_CODECS = frozenset({
    "aac", "mp3", "mp2", "ac3", "eac3", "opus", "vorbis", "flac", "alac", "amr_nb", "amr_wb", "adpcm_ms",
    "adpcm_ima_wav", "adpcm_ima_qt", "pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be", "pcm_s32le",
    "pcm_s32be", "pcm_f32le", "pcm_f32be", "pcm_f64le", "pcm_f64be", "pcm_u8", "pcm_s8", "pcm_alaw",
    "pcm_mulaw",
})  # fmt: skip
SOUND_DECODERS = AUDIO_CODECS | {"mp3float", "amrnb", "amrwb"}
DECODERS = SOUND_DECODERS | VIDEO_CODECS | {"libdav1d"}
SOUND_CONTAINERS = frozenset({"mp3", "wav", "flac", "ogg"})
"""The only picture in them is the album's cover, which FFmpeg would decode to learn its size: nobody asks for it."""

OPTIONS = {
    "protocol_whitelist": "file",
    "enable_drefs": "0",
    "use_absolute_path": "0",
}
BUFFER_BYTES = 1024 * 1024


def open_media(path: Path, container: ContainerName) -> InputContainer:
    """Opens a sniffed file. Raises EchoError SOURCE_MISSING, or CORRUPT when its demuxer refuses it."""
    demuxer = DEMUXERS[container]
    mov_only = {"enable_drefs", "use_absolute_path"}
    options = {
        key: value for key, value in OPTIONS.items() if demuxer.startswith("mov") or key not in mov_only
    }
    decoders = SOUND_DECODERS if container in SOUND_CONTAINERS else DECODERS
    options |= {"codec_whitelist": ",".join(sorted(decoders)), "format_whitelist": demuxer}
    try:
        return av.open(
            f"file:{path.absolute()}",
            format=demuxer.partition(",")[0],
            options=options,
            buffer_size=BUFFER_BYTES,
            metadata_errors="replace",
        )
    except FFmpegError as error:
        if isinstance(error, FileNotFoundError):
            raise EchoError(Code.SOURCE_MISSING, f"no file {path.name}") from error
        raise EchoError(Code.CORRUPT, f"the {container} headers cannot be read: {error.strerror}") from error


def find_video(container: InputContainer) -> VideoStream | None:
    """The picture that a player shows: the first video stream that is not a cover picture."""
    for stream in container.streams.video:
        if not stream.disposition & (Disposition.attached_pic | Disposition.timed_thumbnails):
            return stream
    return None


def video_stream(container: InputContainer) -> VideoStream:
    """Raises EchoError NO_VIDEO."""
    stream = find_video(container)
    if stream is None:
        raise EchoError(Code.NO_VIDEO, f"{len(container.streams.audio)} audio streams and no video stream")
    return stream


def audio_streams(container: InputContainer) -> list[AudioStream]:
    """All tracks that can be carried over; those in a coding that FFmpeg does not know, or without a rate, are as if
    absent."""
    return [
        stream
        for stream in container.streams.audio
        if codec_name(stream) in AUDIO_CODECS and stream.sample_rate > 0
    ]


def heard_frames(container: InputContainer, track: AudioStream) -> Iterator[AudioFrame]:
    """What can be decoded of a track. An error costs its packet; one while reading ends the file, as in players. Of a
    sound field its middle."""
    packets = container.demux(track)
    while True:
        try:
            packet = next(packets)
        except (StopIteration, FFmpegError):
            return
        try:
            yield from map(_mixable, packet.decode())
        except FFmpegError:
            continue


def _mixable(frame: AudioFrame) -> AudioFrame:
    """FFmpeg mixes no sound field (ambisonics, as 360 degree cameras record). Its first channel is what a microphone
    that hears all directions alike would have heard."""
    if not frame.layout.name.startswith("ambisonic"):
        return frame
    form = frame.format.packed.name
    values = np.frombuffer(bytes(frame.planes[0]), SAMPLE_TYPES[form])
    step = 1 if frame.format.is_planar else frame.layout.nb_channels
    middle = AudioFrame.from_ndarray(
        np.ascontiguousarray(values[: frame.samples * step : step]).reshape(1, -1), format=form, layout="mono"
    )
    middle.sample_rate, middle.time_base, middle.pts = frame.sample_rate, frame.time_base, frame.pts
    return middle


def codec_name(stream: VideoStream | AudioStream) -> str:
    """FFmpeg's name of the coding, whichever decoder reads it (`av1`, not `libdav1d`); empty when unknown."""
    context = stream.codec_context
    return context.codec.canonical_name if context is not None else ""


def language(stream: Stream) -> str:
    """In the three letters of ISO 639-2, which is all that an MP4 can say; a Matroska may hold any text, of any length.
    Empty when unknown."""
    tag = stream.language or ""
    return tag if tag != "und" and re.fullmatch("[a-z]{3}", tag) else ""
