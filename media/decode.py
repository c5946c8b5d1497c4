"""Frame-exact decoding of one stretch of a video, from the key frame before it.

Yields every source frame of the stretch once, in order of presentation, as planar YUV at the stream's own depth,
matrix and range. Edit lists are honoured as FFmpeg marks them (packets to discard). The display rotation is not
applied: the result carries it on. Interlaced pictures are taken as whole frames; phones do not make them.

A frame that the decoder cannot make is replaced by the picture before it; more than a few mean that what would
come out is no longer the user's video, and the source is CORRUPT.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from av import library_versions
from av.error import FFmpegError
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from contracts.errors import Code, EchoError
from contracts.media import EngineUse, MediaInfo
from media.color import ColorModel, Picture
from media.opening import open_media, video_stream

CONCEALED_SHARE_MAX = 20
"""One frame in this many may be concealed (and always two): a stutter such as phones make by dropping frames."""

SWS_COLORSPACES = {"bt709": 1, "fcc": 4, "smpte240m": 7, "bt2020nc": 9, "bt2020c": 9}
"""FFmpeg's SWS_CS_* numbers; all others are BT.601 (5)."""

PLANAR = {
    f"{kind}{chroma}p{depth}"
    for kind, depths in (("yuv", ("", "10le")), ("yuvj", ("",)), ("yuva", ("", "10le")))
    for chroma in ("420", "422", "444")
    for depth in depths
}
"""Formats whose first three planes are taken as they are."""


@dataclass(frozen=True, eq=False)
class SourceFrame:
    pts: int
    """In the stream's time base."""
    picture: Picture


def shown_pts(packet: Packet, stream: VideoStream) -> int | None:
    """When the frame of this packet is presented; None when it never is."""
    # Outside the edit list; AVI's empty packets for dropped frames; VP8's hidden reference frames (bit 4 clear).
    if packet.is_discard or not packet.size:
        return None
    if stream.codec_context.name == "vp8" and not bytes(packet)[0] & 0x10:
        return None
    return packet.pts if packet.pts is not None else packet.dts


class Decoder:
    """Context manager over a probed source. Memory: the frames in flight inside one decoder thread."""

    def __init__(self, path: Path, info: MediaInfo) -> None:
        self._path = path
        self._info = info
        video = info.picture
        self._model = ColorModel.of(video.color, video.height, video.bit_depth, video.codec)

    @property
    def use(self) -> EngineUse:
        version = ".".join(map(str, library_versions["libavcodec"]))
        return EngineUse(role="decode", name=self._info.picture.codec, version=f"libavcodec {version}")

    def __enter__(self) -> Decoder:
        self._container = open_media(self._path, self._info.container)
        self._stream = video_stream(self._container)
        self._stream.codec_context.thread_count = 1
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()

    def frames(self, seek_pts: int, first_pts: int, last_pts: int, frame_count: int) -> Iterator[SourceFrame]:
        """The `frame_count` frames of [first_pts, last_pts]. `seek_pts`: a key frame at or before the first.

        Raises CORRUPT when more frames are missing than may be concealed.
        """
        concealable = max(2, frame_count // CONCEALED_SHARE_MAX)
        expected: list[int] = []
        latest: Picture | None = None
        done_pts = first_pts - 1
        for pts, frame in self._decoded(seek_pts, last_pts, expected):
            current = self._picture(frame) if frame and first_pts <= pts <= last_pts else None
            while expected and expected[0] < pts:
                missing = heapq.heappop(expected)
                if missing <= done_pts or missing < first_pts:
                    continue
                stand_in = latest or current
                concealable -= 1
                if concealable < 0 or stand_in is None:
                    raise EchoError(Code.CORRUPT, f"frames are missing or damaged near pts {missing}")
                yield SourceFrame(missing, stand_in)
                done_pts = missing
            if pts > last_pts:
                return
            if current is not None and pts > done_pts:  # of frames with equal times the first is kept
                yield SourceFrame(pts, current)
                latest, done_pts = current, pts
            if done_pts == last_pts:
                return

    def _decoded(
        self, seek_pts: int, last_pts: int, expected: list[int]
    ) -> Iterator[tuple[int, VideoFrame | None]]:
        """Frames with their times, a time past the last one at the end. Notes in `expected` what was read."""
        # AVI cannot say that frames are reordered: FFmpeg finds it out for MPEG-4, but numbers these two's packets
        # in coding order, while the decoder puts frames out in display order.
        in_coding_order = self._info.container == "avi" and self._info.picture.codec in ("h264", "hevc")
        queue: list[int] = []
        for packet in self._packets(seek_pts):
            pts = None if packet is None else shown_pts(packet, self._stream)
            if pts is not None and pts <= last_pts:
                heapq.heappush(expected, pts)
            if pts is not None and in_coding_order:
                heapq.heappush(queue, pts)
            try:
                frames = self._stream.codec_context.decode(packet)  # None drains the decoder
            except FFmpegError:
                continue  # its frame stays in `expected`
            for frame in frames:
                frame_pts = heapq.heappop(queue) if queue else frame.pts
                if frame_pts is not None:
                    yield frame_pts, frame
        yield last_pts + 1, None

    def _packets(self, seek_pts: int) -> Iterator[Packet | None]:
        start = self._stream.start_time
        try:
            if start is not None and seek_pts > start:
                self._container.seek(seek_pts, stream=self._stream, backward=True)
            # An empty packet would drain the decoder.
            yield from (packet for packet in self._container.demux(self._stream) if packet.size)
        except FFmpegError:
            pass  # the file ends here; whoever waits for a frame finds it missing
        yield None

    def _picture(self, frame: VideoFrame) -> Picture:
        video = self._info.picture
        resized = (frame.width, frame.height) != (video.width, video.height)
        if frame.format.name.startswith("gray") and not resized:
            return self._from_gray(frame)
        if frame.format.name not in PLANAR or resized:
            frame = frame.reformat(video.width, video.height, **self._planar_like(frame))
        return Picture(*(_plane(frame, index) for index in range(3)))

    def _from_gray(self, frame: VideoFrame) -> Picture:
        y = _plane(frame, 0)
        height, width = y.shape
        neutral = np.full(((height + 1) // 2, (width + 1) // 2), 2 ** (self._model.depth - 1), y.dtype)
        return Picture(y, neutral, neutral)

    def _planar_like(self, frame: VideoFrame) -> dict[str, Any]:
        """How swscale is to bring an odd format (NV12, RGB, 12 bit ...) to planar YUV, range and matrix kept."""
        form = frame.format
        suffix = "10le" if self._model.depth > 8 else ""
        in_range = int(frame.color_range) or (2 if form.is_rgb else 1)
        kept = 2 if self._model.full_range else 1
        if form.is_rgb:
            matrix = SWS_COLORSPACES.get(self._model.matrix, 5)
            return {
                "format": f"yuv444p{suffix}", "dst_colorspace": matrix,
                "src_color_range": in_range, "dst_color_range": kept,
            }  # fmt: skip
        across = 4 if form.chroma_width(frame.width) == frame.width else 2
        down = 2 if form.chroma_height(frame.height) == frame.height else 0
        chroma = "444" if across == 4 else "422" if down else "420"
        return {"format": f"yuv{chroma}p{suffix}", "src_color_range": kept, "dst_color_range": kept}


def _plane(frame: VideoFrame, index: int) -> np.ndarray:
    plane = frame.planes[index]
    kind = np.dtype(np.uint8 if frame.format.components[index].bits == 8 else np.uint16)
    rows = np.frombuffer(memoryview(plane), kind).reshape(plane.height, plane.line_size // kind.itemsize)
    return rows[:, : plane.width].copy()
