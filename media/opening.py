"""The one way in which a file is opened for decoding: named demuxer, local file only, known decoders only."""

from __future__ import annotations

import re
from pathlib import Path

import av
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
}
"""FFmpeg's names, used as forced format and as its white list."""

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
DECODERS = VIDEO_CODECS | AUDIO_CODECS | {"libdav1d", "mp3float", "amrnb", "amrwb"}

OPTIONS = {
    "protocol_whitelist": "file",
    "codec_whitelist": ",".join(sorted(DECODERS)),
    "enable_drefs": "0",
    "use_absolute_path": "0",
}
BUFFER_BYTES = 1024 * 1024


def open_media(path: Path, container: ContainerName) -> InputContainer:
    """Opens a sniffed file. Raises EchoError NOT_A_VIDEO or CORRUPT when its demuxer refuses it."""
    demuxer = DEMUXERS[container]
    mov_only = {"enable_drefs", "use_absolute_path"}
    options = {
        key: value for key, value in OPTIONS.items() if demuxer.startswith("mov") or key not in mov_only
    }
    try:
        return av.open(
            f"file:{path.absolute()}",
            format=demuxer.partition(",")[0],
            options=options | {"format_whitelist": demuxer},
            buffer_size=BUFFER_BYTES,
            metadata_errors="replace",
        )
    except FFmpegError as error:
        if isinstance(error, FileNotFoundError):
            raise EchoError(Code.SOURCE_MISSING, f"no file {path.name}") from error
        raise EchoError(Code.CORRUPT, f"the {container} headers cannot be read: {error.strerror}") from error


def video_stream(container: InputContainer) -> VideoStream:
    """The picture that a player shows: the first video stream that is not a cover picture.

    Raises EchoError NO_VIDEO_STREAM.
    """
    for stream in container.streams.video:
        if not stream.disposition & (Disposition.attached_pic | Disposition.timed_thumbnails):
            return stream
    raise EchoError(Code.NO_VIDEO_STREAM, f"{len(container.streams.audio)} audio streams and no video stream")


def audio_streams(container: InputContainer) -> list[AudioStream]:
    """All tracks that can be carried over; tracks in a coding that FFmpeg does not know are as if absent."""
    return [stream for stream in container.streams.audio if codec_name(stream) in AUDIO_CODECS]


def codec_name(stream: VideoStream | AudioStream) -> str:
    """FFmpeg's name of the coding, whichever decoder reads it (`av1`, not `libdav1d`); empty when unknown."""
    context = stream.codec_context
    return context.codec.canonical_name if context is not None else ""


def language(stream: Stream) -> str:
    """In the three letters of ISO 639-2, which is all that an MP4 can say; a Matroska may hold any text, of any length.
    Empty when unknown."""
    tag = stream.language or ""
    return tag if tag != "und" and re.fullmatch("[a-z]{3}", tag) else ""
