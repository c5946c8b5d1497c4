"""Three pictures of a video as a viewer sees it: turned, with square pixels, in ordinary colours."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from contracts.errors import Code, EchoError
from contracts.media import MediaInfo, Picture, VideoInfo
from media.color import HD_LINES_MIN
from media.manifest import publish
from media.opening import open_media, video_stream
from media.tonemap import to_sdr

PERCENTS = (10, 50, 90)
SIDE_PX_MAX = 640
JPEG_QUALITY = 85
SWS_BT709, SWS_BT601, SWS_BT2020 = 1, 5, 9
"""libswscale's numbers of matrices (SWS_CS_*)."""


def thumbnails(video: Path, info: MediaInfo, out_dir: Path) -> list[Picture]:
    """Writes thumbnail-10.jpg, -50, -90 (percent of the duration), at most 640 pixels a side.

    Raises EchoError CORRUPT when no picture can be decoded there.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    pictures: list[Picture] = []
    with open_media(video, info.container) as container:
        stream = video_stream(container)
        for percent in PERCENTS:
            frame = frame_at(
                container, stream, info.picture.start_s + info.picture.duration_s * percent / 100
            )
            file = out_dir / f"thumbnail-{percent}.jpg"
            shown = as_shown(frame, info.picture)
            write_jpeg(file, shown)
            pictures.append(Picture(path=str(file), width=shown.shape[1], height=shown.shape[0]))
    return pictures


def frame_at(container: InputContainer, stream: VideoStream, time_s: Fraction) -> VideoFrame:
    """The frame on screen at a time: the last one that begins at or before it."""
    tick = stream.time_base or Fraction(1)
    target = int(time_s / tick)
    shown: VideoFrame | None = None
    try:
        container.seek(target, stream=stream)
        for frame in container.decode(stream):
            if shown is not None and frame.pts is not None and frame.pts > target:
                break
            shown = frame
    except FFmpegError as error:
        if shown is None:
            raise EchoError(Code.CORRUPT, f"no picture at {float(time_s):.1f} s: {error.strerror}") from error
    if shown is None:
        raise EchoError(Code.CORRUPT, f"no picture at {float(time_s):.1f} s")
    return shown


def as_shown(frame: VideoFrame, video: VideoInfo, side_px_max: int = SIDE_PX_MAX) -> NDArray[np.uint8]:
    """Height x width x 3 RGB as a viewer sees it."""
    width, height = _shown_size(video, side_px_max)
    matrix = _matrix(video)
    if video.hdr:
        # Scaled down first: the curves cost far more per pixel than the scaler.
        wide = frame.reformat(
            width, height, "rgb48le", src_colorspace=matrix, interpolation="AREA"
        ).to_ndarray()
        picture = to_sdr(wide.astype(np.float32) / np.float32(65535), video.color.transfer)
    else:
        picture = frame.reformat(
            width, height, "rgb24", src_colorspace=matrix, interpolation="AREA"
        ).to_ndarray()
    if video.mirrored:
        picture = picture[:, ::-1]
    return np.ascontiguousarray(np.rot90(picture, -video.rotation_deg // 90), np.uint8)


def _shown_size(video: VideoInfo, side_px_max: int) -> tuple[int, int]:
    """Before the turn, with square pixels, no larger than the source."""
    width, height = float(video.width * video.sample_aspect), float(video.height)
    scale = min(1.0, side_px_max / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _matrix(video: VideoInfo) -> int:
    if video.color.matrix == "unknown":
        return SWS_BT709 if video.height >= HD_LINES_MIN else SWS_BT601
    if video.color.matrix.startswith("bt2020"):
        return SWS_BT2020
    return SWS_BT709 if video.color.matrix == "bt709" else SWS_BT601


def write_jpeg(file: Path, picture: NDArray[np.uint8]) -> None:
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    encoded, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not encoded:
        raise EchoError(Code.ENGINE_CRASHED, "a thumbnail could not be encoded")
    partial = file.with_name(f".{file.name}.partial")
    partial.write_bytes(data.tobytes())
    publish(partial, file)
