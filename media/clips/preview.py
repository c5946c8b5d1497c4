"""What a clip looks like before it is played: a still picture, and a short loop that moves."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from contracts.errors import Code, EchoError
from contracts.media import MediaInfo
from media.manifest import publish
from media.opening import open_media, video_stream
from media.thumbnails import as_shown, frame_at, write_jpeg

PREVIEW_S = Fraction(3)
PREVIEW_WIDTH_PX = 320
PREVIEW_FPS = 10
PREVIEW_QUALITY = 60
POSTER_PX_MAX = 1280
POSTER_PLACES = (Fraction(1, 10), Fraction(3, 10), Fraction(1, 2), Fraction(7, 10), Fraction(9, 10))
DARK, BRIGHT = 25.0, 230.0
"""Mean grey values between which a picture shows something."""
Rgb = NDArray[np.uint8]


def write_poster(clip: Path, info: MediaInfo, out: Path) -> None:
    """The sharpest of a few pictures that are neither black nor blown out; at most 1280 pixels a side."""
    video = info.video
    with open_media(clip, "mp4") as container:
        stream = video_stream(container)
        places = [video.start_s + video.duration_s * share for share in POSTER_PLACES]
        pictures = [as_shown(frame_at(container, stream, at), video, POSTER_PX_MAX) for at in places]
    write_jpeg(out, max(pictures, key=_worth))


def _worth(picture: Rgb) -> tuple[bool, float]:
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    return DARK < grey.mean() < BRIGHT, float(cv2.Laplacian(grey, cv2.CV_32F).var())


def write_preview(
    clip: Path, info: MediaInfo, start_s: float, out: Path, on_frame: Callable[[], None]
) -> None:
    """An endless loop of three seconds from `start_s` of the clip on, or of as much as there is."""
    video = info.video
    length = min(PREVIEW_S, video.duration_s)
    start = min(max(Fraction(0), Fraction(start_s)), video.duration_s - length)
    pictures: list[Image.Image] = []
    with open_media(clip, "mp4") as container:
        stream = video_stream(container)
        tick = stream.time_base or Fraction(1)
        container.seek(int((video.start_s + start) / tick), stream=stream)
        due = video.start_s + start
        for frame in container.decode(stream):
            time = (frame.pts or 0) * tick
            if time >= video.start_s + start + length:
                break
            on_frame()
            # Half a frame early is nearer than half a frame late.
            if time + Fraction(1, 2 * PREVIEW_FPS) >= due:
                pictures.append(Image.fromarray(_small(as_shown(frame, video))))
                due = max(due, time) + Fraction(1, PREVIEW_FPS)
    if not pictures:
        raise EchoError(Code.ENGINE_CRASHED, "the finished clip shows nothing where its preview begins")
    partial = out.with_name(f".{out.name}.partial")
    first, *others = pictures
    first.save(
        partial, "WEBP", save_all=True, append_images=others, duration=round(1000 * float(length) / len(pictures)),
        loop=0, quality=PREVIEW_QUALITY, method=2,
    )  # fmt: skip
    publish(partial, out)


def _small(picture: Rgb) -> Rgb:
    height = max(1, round(picture.shape[0] * PREVIEW_WIDTH_PX / picture.shape[1]))
    small = cv2.resize(picture, (PREVIEW_WIDTH_PX, height), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8)
