"""Whether a finished file is what was promised, found out from the file alone.

It is probed like any upload (every packet's time is read), and decoded where joining could have gone wrong: at its
start, around seams and at its end. A result that fails a check is a failed job, not a delivered one.
"""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path

from contracts.errors import EchoError
from contracts.kinds.enhance import EnhancePlan
from contracts.media import AudioInfo, Check, MediaInfo, MediaLimits, Verification, VideoInfo
from media import tags
from media.color import ColorModel
from media.containers.isobmff import is_faststart
from media.joining import timescale
from media.manifest import sha256_file
from media.opening import open_media, video_stream
from media.probe import probe
from media.progress import Progress, silent
from media.seams import decode_seams

STAGE = "mux"
OFFSET_TOLERANCE_S = Fraction(1, 1000)
"""Between sound and picture. Nobody hears less than 10 ms, but all rounding on the way (source tick of at most 1 ms,
rounded to the nearest; movie time scale of 11 us) stays within one: more would be a mistake."""
LENGTH_TOLERANCE_S = Fraction(1, 20)
"""Of a sound track: the last packet's padding may be kept or cut, 43 ms in AAC at 48 kHz with SBR."""


def verify(
    result: Path, source_info: MediaInfo, plan: EnhancePlan, progress: Progress = silent
) -> tuple[MediaInfo, Verification]:
    """What the result is, and each fact checked. Never raises for a bad result: it is in the checks."""
    try:
        info = probe(
            result, _limits(plan), declared_type="video/mp4", progress=lambda *_: _beat(progress, plan)
        )
        picture = info.picture
    except EchoError as error:
        return unreadable(result), Verification(
            checks=(check("readable", "yes", f"{error.code}: {error.detail}"),)
        )
    checks = [
        check("readable", "yes", "yes"),
        check("container", "mp4", info.container),
        check("frames", plan.out_frames, picture.frame_count),
        check("frame rate", plan.fps_out, picture.average_fps),
        check("frames off their time", 0, _frames_off_time(result, picture, plan, progress)),
        check("duration", plan.out_frames / plan.fps_out, picture.duration_s),
        near(
            "duration of the source",
            source_info.picture.duration_s,
            picture.duration_s,
            _frame_s(plan, source_info),
        ),
        check("size", f"{plan.width_out}x{plan.height_out}", f"{picture.width}x{picture.height}"),
        *display(source_info.picture, picture),
        *_sound(source_info, info),
        check("seams decoded", "whole", decode_seams(result, plan, lambda: _beat(progress, plan))),
        check("index before media", "yes", "yes" if faststart(result) else "no"),
    ]
    return info, Verification(checks=tuple(checks))


def _beat(progress: Progress, plan: EnhancePlan) -> None:
    progress(STAGE, plan.out_frames, plan.out_frames)


def _limits(plan: EnhancePlan) -> MediaLimits:
    return MediaLimits(
        duration_s_max=math.ceil(plan.out_frames / plan.fps_out) + 1,
        pixels_max=plan.width_out * plan.height_out,
        side_px_max=max(plan.width_out, plan.height_out),
        side_px_min=2,
        fps_max=math.ceil(plan.fps_out),
        bytes_max=2**63,
    )


def check(name: str, expected: object, found: object) -> Check:
    return Check(name=name, expected=str(expected), found=str(found), ok=str(expected) == str(found))


def near(name: str, expected: Fraction, found: Fraction, tolerance: Fraction) -> Check:
    text = f"{float(expected):.4f} s +- {float(tolerance):.4f}"
    return Check(
        name=name, expected=text, found=f"{float(found):.4f} s", ok=abs(found - expected) <= tolerance
    )


def _frame_s(plan: EnhancePlan, source_info: MediaInfo) -> Fraction:
    """The output grid ends within half a frame of the source's end; coarse sources round by another tick."""
    return 1 / plan.fps_out / 2 + OFFSET_TOLERANCE_S


def _frames_off_time(result: Path, video: VideoInfo, plan: EnhancePlan, progress: Progress) -> int:
    """Frames not shown at exactly start + k / fps. In presentation order they are simply 0, 1, 2 ..."""
    tick = Fraction(1, timescale(plan.fps_out))
    seen = bytearray(plan.out_frames)
    off = 0
    with open_media(result, "mp4") as container:
        stream = video_stream(container)
        for packet in container.demux(stream):
            if not packet.size or packet.pts is None:
                continue
            _beat(progress, plan)
            position = (packet.pts * packet.time_base - video.start_s) * plan.fps_out
            k = round(position)
            if abs(position - k) > tick * plan.fps_out / 2 or not 0 <= k < plan.out_frames or seen[k]:
                off += 1
            else:
                seen[k] = 1
    return off


def display(source: VideoInfo, found: VideoInfo) -> list[Check]:
    checks = [
        check("rotation", source.rotation_deg, found.rotation_deg),
        check("mirrored", source.mirrored, found.mirrored),
        check("pixel aspect", source.sample_aspect, found.sample_aspect),
        check("hdr", source.hdr, found.hdr),
    ]
    for name in ("matrix", "primaries", "transfer"):
        expected = getattr(source.color, name)
        # Players guess an untagged matrix by the picture's height, so the result may say what the source left open.
        if expected == tags.UNKNOWN:
            continue
        if name == "matrix" and found.color.matrix != expected:
            # Of RGB, unless it was copied, the one by which it was brought to luma and chroma.
            expected = ColorModel.of(source.color, source.height, source.bit_depth, source.codec).matrix
        checks.append(check(f"colour {name}", expected, getattr(found.color, name)))
    checks.append(check("colour range", _full(source.color.range), _full(found.color.range)))
    return checks


def _full(color_range: str) -> str:
    return "full" if color_range == "pc" else "limited"


def _sound(source: MediaInfo, found: MediaInfo) -> list[Check]:
    checks = [check("sound tracks", len(source.audio), len(found.audio))]
    for number, (expected, track) in enumerate(zip(source.audio, found.audio, strict=False), start=1):
        checks += [
            near(
                f"sound {number} against picture",
                _offset(source, expected),
                _offset(found, track),
                OFFSET_TOLERANCE_S,
            ),
            near(f"sound {number} duration", expected.duration_s, track.duration_s, LENGTH_TOLERANCE_S),
            check(f"sound {number} channels", expected.channels, track.channels),
            check(f"sound {number} language", expected.language, track.language),
        ]
    return checks


def _offset(info: MediaInfo, track: AudioInfo) -> Fraction:
    """Start of the sound after the first picture, in seconds; negative when before."""
    return track.start_s - info.picture.start_s


def faststart(result: Path) -> bool:
    with result.open("rb") as file:
        return is_faststart(file, result.stat().st_size)


def unreadable(result: Path) -> MediaInfo:
    """Stands in for what cannot be measured: a file without frames."""
    size, sha256 = sha256_file(result) if result.is_file() else (0, "")
    nothing = VideoInfo(
        codec="", pixel_format="", bit_depth=0, width=0, height=0, average_fps=Fraction(0), frame_count=0,
        start_s=Fraction(0), duration_s=Fraction(0), variable_rate=False,
    )  # fmt: skip
    return MediaInfo(container="mp4", bytes=size, sha256=sha256, duration_s=Fraction(0), video=nothing)
