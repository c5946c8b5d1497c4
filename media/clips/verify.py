"""Whether a finished clip is what was asked for, found out from its file: every frame and every sample is decoded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from av.error import FFmpegError
from av.video.frame import VideoFrame

from contracts.errors import EchoError
from contracts.media import AudioInfo, Check, MediaInfo, MediaLimits, Verification, VideoInfo
from media.clips import loudness, sound
from media.clips.aac import PEAK_DBTP
from media.clips.coding import brightness
from media.clips.writing import MOVIE_TIMESCALE
from media.editlist import shown_duration
from media.opening import open_media, video_stream
from media.probe import probe
from media.verify import LENGTH_TOLERANCE_S, check, display, faststart, near, unreadable

OFFSET_TOLERANCE_S = Fraction(1, 1000)
BRIGHTNESS_TOLERANCE = 0.04
"""Of full white: between a first picture and what coding made of it."""
LOUDNESS_TOLERANCE_LU = 1.0
PEAK_TOLERANCE_DB = 0.1
LIMITS = MediaLimits(side_px_min=2, bytes_max=2**63)
See = Callable[[VideoFrame, VideoInfo, Fraction], None]


@dataclass(frozen=True)
class Expected:
    shown: list[int]
    """When each frame is shown, in ticks of `tick` from the first."""
    tick: Fraction
    duration_s: Fraction
    width: int
    height: int
    look: VideoInfo | None
    """The source, when the clip is to be displayed like it."""
    brightness: float
    """Of the first picture, before coding."""
    sounds: tuple[AudioInfo, ...]
    lufs: float | None
    bytes_max: int | None


def verify(clip: Path, expected: Expected, see: See) -> tuple[MediaInfo, Verification]:
    """What the clip is, and each fact checked. Never raises for a bad clip: it is in the checks.

    `see` is called with every frame, what the clip is, and the frame's time in seconds.
    """
    try:
        info = probe(clip, LIMITS, declared_type="video/mp4")
        video = info.picture
        shown_s = Fraction(shown_duration(clip, 0), MOVIE_TIMESCALE)
    except EchoError as error:
        fault = check("readable", "yes", f"{error.code}: {error.detail}")
        return unreadable(clip), Verification(checks=(fault,))
    checks = [
        check("readable", "yes", "yes"),
        check("container", "mp4", info.container),
        check("size", f"{expected.width}x{expected.height}", f"{video.width}x{video.height}"),
        check("frames", len(expected.shown), video.frame_count),
        near("duration", expected.duration_s, shown_s, OFFSET_TOLERANCE_S),
        *_decoded(clip, video, expected, see),
        *(display(expected.look, video) if expected.look else _plain(video)),
        *_sounds(clip, info, expected),
        check("index before media", "yes", "yes" if faststart(clip) else "no"),
    ]
    if expected.bytes_max is not None:
        small = info.bytes <= expected.bytes_max
        checks.append(
            Check(name="bytes", expected=f"at most {expected.bytes_max}", found=str(info.bytes), ok=small)
        )
    return info, Verification(checks=tuple(checks))


def _decoded(clip: Path, video: VideoInfo, expected: Expected, see: See) -> list[Check]:
    shown: list[Fraction] = []
    found_brightness, fault = 0.0, "none"
    with open_media(clip, "mp4") as container:
        stream = video_stream(container)
        stream.thread_type, stream.codec_context.thread_count = "AUTO", 2
        try:
            for frame in container.decode(stream):
                if not shown:
                    found_brightness = brightness(frame)
                if frame.is_corrupt and fault == "none":
                    fault = f"frame {len(shown)} is damaged"
                shown.append((frame.pts or 0) * (stream.time_base or Fraction(0)))
                see(frame, video, shown[-1])
        except FFmpegError as error:
            fault = f"frame {len(shown)} cannot be decoded: {error.strerror}"
    return [
        check("damage", "none", fault),
        check("frames decoded", len(expected.shown), len(shown)),
        check("first frame's time", Fraction(0), shown[0] if shown else "none"),
        check("frames off their time", 0, _off_time(shown, expected)),
        Check(
            name="first picture's brightness",
            expected=f"{expected.brightness:.3f} +- {BRIGHTNESS_TOLERANCE}",
            found=f"{found_brightness:.3f}",
            ok=abs(found_brightness - expected.brightness) <= BRIGHTNESS_TOLERANCE,
        ),
    ]


def _off_time(shown: list[Fraction], expected: Expected) -> int:
    pairs = zip(shown, expected.shown, strict=False)
    return sum(abs(found - ticks * expected.tick) > expected.tick / 2 for found, ticks in pairs)


def _plain(video: VideoInfo) -> list[Check]:
    return [
        check("codec", "h264", video.codec),
        check("pixel format", "yuv420p", video.pixel_format),
        check("rotation", 0, video.rotation_deg),
        check("mirrored", False, video.mirrored),
        check("pixel aspect", Fraction(1), video.sample_aspect),
        check("colours", "tv bt709 bt709 bt709", " ".join(video.color.model_dump().values())),
    ]


def _sounds(clip: Path, info: MediaInfo, expected: Expected) -> list[Check]:
    checks = [check("sound tracks", len(expected.sounds), len(info.audio))]
    for number, (wanted, track) in enumerate(zip(expected.sounds, info.audio, strict=False), start=1):
        against_picture = track.start_s - info.picture.start_s
        length = near(f"sound {number} duration", expected.duration_s, track.duration_s, LENGTH_TOLERANCE_S)
        checks += [
            near(f"sound {number} against picture", Fraction(0), against_picture, OFFSET_TOLERANCE_S),
            length,
            check(f"sound {number} channels", wanted.channels, track.channels),
            check(f"sound {number} language", wanted.language, track.language),
        ]
        if expected.lufs is not None:
            checks += _loudness(clip, info, track, number, expected.lufs)
    return checks


def _loudness(clip: Path, info: MediaInfo, track: AudioInfo, number: int, lufs: float) -> list[Check]:
    level = loudness.measure(sound.read(clip, info, track, info.picture.start_s, track.duration_s))
    # Silence and murmurs stay what they are; louder than asked for nothing may be.
    loud = level.lufs <= lufs + LOUDNESS_TOLERANCE_LU
    return [
        Check(
            name=f"sound {number} loudness",
            expected=f"{lufs:g} LUFS",
            found=f"{level.lufs:.1f} LUFS",
            ok=loud,
        ),
        Check(
            name=f"sound {number} true peak",
            expected=f"at most {PEAK_DBTP:g} dBTP",
            found=f"{level.peak_dbtp:.2f} dBTP",
            ok=level.peak_dbtp <= PEAK_DBTP + PEAK_TOLERANCE_DB,
        ),
    ]
