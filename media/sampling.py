"""Decodes a little of a file, at its start and inside, to learn whether it can be decoded at all and as what."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from contracts.errors import Code, EchoError
from contracts.media import ColorInfo, ContainerName, MediaLimits
from media import tags
from media.opening import audio_streams, open_media, video_stream
from media.orientation import Orientation, from_matrix

FRAMES_AT_START = 12
FRAMES_PER_POINT = 6
POINTS = (0.3, 0.6, 0.9)
"""Shares of the duration at which the file is entered."""
PACKETS_PER_POINT_MAX = 90
"""Longest wait for the first frame after a seek: three seconds of a usual key frame distance."""
DAMAGED_SHARE_MAX = 0.2
"""A few damaged frames are concealed by any decoder; from one in five on, the result would not be worth its price."""
SOUND_DAMAGED_SHARE_MAX = 0.5
"""What is damaged of sound is silent. Half of a song still tells its form."""


@dataclass(frozen=True)
class Sample:
    """What the decoder says of the first frame."""

    width: int
    height: int
    pixel_format: str
    bit_depth: int
    orientation: Orientation
    color: ColorInfo


@dataclass
class _Tally:
    whole: int = 0
    damaged: int = 0

    @property
    def damaged_share(self) -> float:
        return self.damaged / max(1, self.whole + self.damaged)

    def judge(self, damaged_share_max: float) -> None:
        if self.damaged_share > damaged_share_max:
            raise EchoError(
                Code.CORRUPT, f"{self.damaged} of {self.damaged + self.whole} frames tried are damaged"
            )


def decode_samples(path: Path, name: ContainerName, limits: MediaLimits) -> Sample:
    """Raises EchoError CORRUPT when nothing, or too little, can be decoded."""
    with open_media(path, name) as container:
        stream = video_stream(container)
        # The pixels of a frame may exceed what every header claimed: the decoder itself must refuse them.
        # Twice, since decoders count the padding to whole blocks, which matters for small pictures.
        stream.codec_context.options = {"max_pixels": str(2 * limits.pixels_max)}
        tally = _Tally()
        first = _decode(container, stream, FRAMES_AT_START, tally)
        if first is None:
            raise EchoError(Code.CORRUPT, f"none of the first {tally.damaged} frames can be decoded")
        sample = _describe(first, stream)
        _decode_inside(container, stream, tally)
    tally.judge(DAMAGED_SHARE_MAX)
    return sample


def decode_sound(path: Path, name: ContainerName, stream_index: int) -> None:
    """Of one track of a recording without picture. Raises EchoError CORRUPT as `decode_samples` does."""
    with open_media(path, name) as container:
        track = next(track for track in audio_streams(container) if track.index == stream_index)
        tally = _Tally()
        _decode(container, track, FRAMES_AT_START, tally)
        _decode_inside(container, track, tally)
    if not tally.whole:
        raise EchoError(Code.CORRUPT, f"none of the {tally.damaged} packets tried can be decoded")
    tally.judge(SOUND_DAMAGED_SHARE_MAX)


def _decode_inside(container: InputContainer, stream: VideoStream | AudioStream, tally: _Tally) -> None:
    for point in POINTS if container.duration else ():
        start = container.start_time if container.start_time and container.start_time > 0 else 0
        try:
            container.seek(start + int(point * (container.duration or 0)))
        except FFmpegError:
            break  # no index to seek by: the start has to speak for the rest
        _decode(container, stream, FRAMES_PER_POINT, tally)


def _decode(
    container: InputContainer, stream: VideoStream | AudioStream, frames_max: int, tally: _Tally
) -> VideoFrame | None:
    """Decodes up to `frames_max` frames from here; returns the first picture."""
    first: VideoFrame | None = None
    shown = 0
    try:
        for packet in itertools.islice(container.demux(stream), PACKETS_PER_POINT_MAX):
            try:
                frames = packet.decode()
            except FFmpegError:
                tally.damaged += 1
                continue
            for frame in frames:
                if not isinstance(frame, VideoFrame | AudioFrame):
                    continue
                if first is None and isinstance(frame, VideoFrame):
                    first = frame
                shown += 1
                tally.damaged += frame.is_corrupt
                tally.whole += not frame.is_corrupt
            if shown >= frames_max:
                break
    except FFmpegError:  # of the demuxer; the packet scan has judged the structure before
        tally.damaged += 1
    return first


def _describe(frame: VideoFrame, stream: VideoStream) -> Sample:
    matrix = frame.side_data.get("DISPLAYMATRIX")
    return Sample(
        width=frame.width,
        height=frame.height,
        pixel_format=frame.format.name,
        bit_depth=max(component.bits for component in frame.format.components),
        orientation=from_matrix(bytes(matrix)) if matrix is not None else Orientation(),
        color=ColorInfo(
            range=tags.RANGES.get(frame.color_range, tags.UNKNOWN),
            matrix=tags.MATRICES.get(frame.colorspace, tags.UNKNOWN),
            primaries=tags.PRIMARIES.get(frame.color_primaries, tags.UNKNOWN),
            transfer=tags.TRANSFERS.get(frame.color_trc, tags.UNKNOWN),
        ),
    )
