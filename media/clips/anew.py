"""The pictures of a clip, all of them coded here: as they are, or reframed for social media; no larger than allowed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from av.video.frame import VideoFrame

from contracts.errors import Code, EchoError
from contracts.kinds.clip import ClipFormat, Cut
from contracts.media import MediaInfo
from media.clips import writing
from media.clips.coding import THREADS, Coding, brightness, coded, timed
from media.clips.pictures import Pictures
from media.clips.reframe import BT709, Reframer, centre_at
from media.clips.window import Window
from media.clips.writing import Made, Track
from media.encode import Encoding, lookahead_frames, repeatable
from media.orientation import Orientation

FPS_MAX = 60
"""Of social media; frames beyond it are left out."""
SOCIAL = {"preset": "veryfast", "crf": "20", "profile": "high"}
SOCIAL_BITS_PER_PIXEL_S = 6
"""Bound of the picture's bit rate: 12 Mbit/s for 1080x1920, above what the sites themselves keep."""
ORIGINAL = {"libx264": {"preset": "veryfast", "crf": "17"}, "libx265": {"preset": "superfast", "crf": "18"}}
"""As results of an enhancement: docs/adr/012."""
PICTURE_BITS_S_MAX = 2**31 - 1
"""What libavcodec takes for a bound; no clip is as large."""
PICTURE_BITS_S_MIN = 150_000
"""Below this no one would take it for a video."""
CONTAINER_SHARE = 0.02
ATTEMPTS = 4
"""To meet a bound on the size."""
NEXT_TRY = 0.95
"""Of what the last try would have needed."""


@dataclass(frozen=True)
class Anew:
    info: MediaInfo
    """Of the source."""
    cut: Cut
    window: Window
    pictures: Pictures
    scratch: Path
    """A folder for what the filters read."""

    @property
    def original(self) -> bool:
        return self.cut.format == ClipFormat.ORIGINAL

    def within(self, sound_bytes: int) -> Made:
        """Coded at constant quality, again with less where that is larger than allowed."""
        duration_s = float(self.window.duration_s)
        allowed = None
        if self.cut.bytes_max is not None:
            allowed = self.cut.bytes_max * (1 - CONTAINER_SHARE) - sound_bytes - writing.INDEX_BYTES
        rate = None if allowed is None else min(PICTURE_BITS_S_MAX, int(8 * allowed / duration_s))
        for _ in range(ATTEMPTS):
            if rate is not None and rate < PICTURE_BITS_S_MIN:
                break
            made = self._coded(rate)
            if rate is None or allowed is None or made.track.bytes <= allowed:
                return made
            rate = int(rate * NEXT_TRY * allowed / made.track.bytes)
        raise EchoError(Code.CLIP_TOO_LARGE, f"{duration_s:.1f} s", {"bytes_max": self.cut.bytes_max or 0})

    def _coded(self, rate_max: int | None) -> Made:
        frames = self._as_they_are() if self.original else self._reframed()
        first = next(frames)
        bright, shown = brightness(first), [first.pts or 0]

        def noted() -> Iterator[VideoFrame]:
            yield first
            for frame in frames:
                shown.append(frame.pts or 0)
                yield frame

        coding = self._coding(first, rate_max)
        pictures = coded(coding, noted())
        end = self.window.end - self.window.origin
        packets = list(timed(pictures.units, end, self.window.time_base))
        video = self.info.picture
        turn = Orientation(video.rotation_deg, video.mirrored) if self.original else None
        track = Track(writing.coded_picture(coding, turn), packets)
        return Made(track, shown, "none", first.width, first.height, bright)

    def _coding(self, frame: VideoFrame, rate_max: int | None) -> Coding:
        video, model = self.info.picture, self.pictures.model
        encoding = Encoding.of(video, model, frame.width, frame.height, video.average_fps)
        codec, color, aspect = encoding.codec, encoding.color, video.sample_aspect
        if self.original:
            chosen = dict(ORIGINAL[codec])
        else:
            codec, color, aspect, chosen = "libx264", BT709, Fraction(1), dict(SOCIAL)
            usual = SOCIAL_BITS_PER_PIXEL_S * frame.width * frame.height
            rate_max = min(usual, rate_max or usual)
        lookahead = lookahead_frames(frame.width, frame.height)
        if codec == "libx264":
            chosen["x264-params"] = f"rc-lookahead={lookahead}{repeatable()}"
        else:
            threads = f"pools={THREADS}:frame-threads=1"
            chosen["x265-params"] = f"log-level=error:repeat-headers=0:rc-lookahead={lookahead}:{threads}"
        if rate_max is not None:
            chosen |= {"maxrate": str(rate_max), "bufsize": str(rate_max)}
        return Coding(
            codec, frame.format.name, frame.width, frame.height, self.window.time_base, video.average_fps,
            color, aspect, chosen,
        )  # fmt: skip

    def _as_they_are(self) -> Iterator[VideoFrame]:
        """In the one shape that encoders and devices take: 4:2:0 with even sides."""
        form = "yuv420p" if self.pictures.model.depth == 8 else "yuv420p10le"
        for frame in self.pictures.frames(self.window.pts):
            pts = frame.pts
            if frame.format.name != form or frame.width % 2 or frame.height % 2:
                frame = frame.reformat(frame.width // 2 * 2, frame.height // 2 * 2, form)
                frame.pts = pts
            yield frame

    def _reframed(self) -> Iterator[VideoFrame]:
        reframer: Reframer | None = None
        due = Fraction(0)
        for frame in self.pictures.frames(self.window.pts):
            if reframer is None:
                reframer = Reframer(
                    self.info.picture, self.pictures.model, frame.format.name, self.cut.format, self.scratch
                )
            at = (frame.pts or 0) * self.window.time_base
            if at < due:
                continue
            due = self._next_due(due, at)
            on_video_s = float(self.window.origin_s - self.info.picture.start_s + at)
            yield reframer.apply(frame, centre_at(self.cut.path, on_video_s))

    def _next_due(self, due: Fraction, at: Fraction) -> Fraction:
        """Sources of up to 60 frames a second keep all, also those whose times jitter."""
        if self.info.picture.average_fps <= FPS_MAX * Fraction(101, 100):
            return Fraction(0)
        return max(due + Fraction(1, FPS_MAX), at)
