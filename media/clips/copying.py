"""What a clip takes over from its source without coding it anew: the inner pictures, and packets of sound.

Only H.264 is joined with pictures coded here, since a track can hold both (see `avc`). From the first IDR picture on,
packets are copied as far as they need, and show, nothing beyond the clip; what comes before and after is coded anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path

from av.audio.stream import AudioStream
from av.packet import Packet

from contracts.kinds.clip import Cut
from contracts.media import AudioInfo, MediaInfo
from media.audio import PREROLL_PACKETS, PREROLL_S, can_copy
from media.clips import avc
from media.clips.coding import Coding, Unit, brightness, coded
from media.clips.pictures import Pictures
from media.clips.window import Coded, Window
from media.decode import shown_pts
from media.encode import repeatable
from media.opening import codec_name, open_media, video_stream

EDGES = {"preset": "veryfast", "crf": "16", "bf": "0"}
"""Of a second or two each: good enough not to be seen beside the copied pictures. Without reordering, so that they
ask nothing of the decoder that the source does not ask."""
ENTRY_S = Fraction(1)
"""Sound is read from this much before the clip."""


@dataclass(frozen=True)
class Splice:
    """By times of the source."""

    head: tuple[int, ...]
    inner: tuple[Coded, ...]
    """In decoding order."""
    tail: tuple[int, ...]

    @property
    def whole(self) -> bool:
        return not self.head and not self.tail


def plan_splice(window: Window, fade_s: float) -> Splice | None:
    """None when no picture can be copied."""
    fade = int(fade_s / window.time_base)
    first, last = window.origin + fade, window.end - fade
    inside = {pts for pts in window.pts if first <= pts}
    places = (index for index, frame in enumerate(window.coded) if frame.idr and frame.pts in inside)
    start = next(places, None)
    if start is None:
        return None
    begin = window.coded[start].pts
    expected = [pts for pts in window.pts if pts >= begin]
    count, latest, highest = 0, 0, begin
    for number, frame in enumerate(window.coded[start:], start=1):
        highest = max(highest, frame.pts)
        if number > len(expected) or highest > window.pts[-1] or (fade and highest > last):
            break
        # All frames up to the highest are there: nothing shown is missing, nothing more is shown.
        if expected[number - 1] == highest:
            count, latest = number, highest
    if not count:
        return None
    return Splice(
        head=tuple(pts for pts in window.pts if pts < begin),
        inner=window.coded[start : start + count],
        tail=tuple(pts for pts in expected if pts > latest),
    )


def whole_groups(window: Window, info: MediaInfo) -> tuple[Coded, ...]:
    """HEVC pictures, in decoding order, of which some before and after the clip are hidden by the edit list; empty
    when that cannot be. Their parameter sets have ids that no encoder lets us choose, so nothing can be joined, and
    such a clip fades in its sound alone."""
    if info.picture.codec != "hevc" or info.container not in ("mp4", "mov") or window.origin != window.pts[0]:
        return ()
    begin = window.key_before(window.pts[0])
    if not any(frame.key and frame.pts == begin for frame in window.coded):
        return ()
    start = next(index for index, frame in enumerate(window.coded) if frame.pts == begin)
    # Leading pictures of an open group need what is before it, and are shown before it.
    usable = [frame for frame in window.coded[start:] if frame.pts >= begin]
    last = next(index for index, frame in enumerate(usable) if frame.pts == window.pts[-1])
    needed = set(window.pts)
    while needed - {frame.pts for frame in usable[: last + 1]}:
        last += 1
    return tuple(usable[: last + 1])


def joinable(source: Path, info: MediaInfo) -> avc.Configuration | None:
    """The source's decoder configuration, if pictures of ours can be joined to it in one MP4 track."""
    video = info.picture
    if video.codec != "h264" or info.container == "avi" or video.pixel_format not in ("yuv420p", "yuvj420p"):
        return None
    with open_media(source, info.container) as container:
        configuration = avc.parse(video_stream(container).codec_context.extradata)
    usable = configuration and configuration.profile in avc.PROFILES and configuration.free_id() is not None
    return configuration if usable else None


@dataclass(frozen=True)
class Spliced:
    units: list[Unit]
    extradata: bytes
    brightness: float
    """Of the first picture, before it was coded here."""


def splice(
    source: Path,
    info: MediaInfo,
    window: Window,
    plan: Splice,
    configuration: avc.Configuration,
    pictures: Pictures,
) -> Spliced:
    """The clip's pictures in decoding order."""
    video = info.picture
    number = configuration.free_id()
    coding = Coding(
        codec="libx264", pixel_format="yuv420p", width=video.width, height=video.height,
        time_base=window.time_base, fps=video.average_fps, color=video.color, sample_aspect=video.sample_aspect,
        options=EDGES | {
            "profile": avc.PROFILES[configuration.profile],
            "level": f"{configuration.level // 10}.{configuration.level % 10}",
            "x264-params": f"sps-id={number}:annexb=0{repeatable()}",
        },
    )  # fmt: skip
    # Without a head, the first picture is a key frame, and decoded only to be compared with.
    head = pictures.frames(plan.head or window.pts[:1])
    first = next(head)
    light, extradata = brightness(first), b""
    units: list[Unit] = []
    if plan.head:
        made = coded(coding, chain([first], head))
        extradata, units = made.context.extradata or b"", made.units
    units += copied(source, info, window, plan.inner)
    if plan.tail:
        made = coded(coding, pictures.frames(plan.tail))
        extradata = made.context.extradata or b""
        units += made.units
    return Spliced(units, configuration.with_sets_of(avc.parse(extradata)), light)


def copied(source: Path, info: MediaInfo, window: Window, inner: tuple[Coded, ...]) -> Iterator[Unit]:
    """Times before 0 are of pictures that only decoders need."""
    shown = {frame.pts: frame.pts - window.origin for frame in inner}
    shown |= dict(zip(window.pts, window.shown(), strict=True))
    wanted = {frame.pts for frame in inner}
    with open_media(source, info.container) as container:
        stream = video_stream(container)
        container.seek(window.key_before(inner[0].pts), stream=stream)
        started, left = False, len(inner)
        for packet in container.demux(stream):
            pts = shown_pts(packet, stream)
            started = started or pts == inner[0].pts
            if pts is None or not started or pts not in wanted:
                continue
            yield shown[pts], bytes(packet), packet.is_keyframe
            left -= 1
            if not left:
                return


def may_copy_sound(source: Path, info: MediaInfo, track: AudioInfo, window: Window, cut: Cut) -> bool:
    """Whether the track's packets can be taken over as they are: nothing is asked of the sound, MP4 can hold it, it
    is timed to the sample, and it is heard from before the clip on, so that its first packet needs no empty edit."""
    if cut.lufs is not None or cut.fade_s or track.start_s + ENTRY_S > window.origin_s:
        return False
    with open_media(source, info.container) as container:
        stream = container.streams[track.stream_index]
        assert isinstance(stream, AudioStream)
        assert stream.time_base is not None
        return can_copy(stream) and stream.time_base * stream.sample_rate <= 1


def copied_sound(source: Path, info: MediaInfo, track: AudioInfo, window: Window) -> list[Packet]:
    """Times in samples of the clip. The first packets, which decoders need to be right, come before time 0."""
    packets: list[Packet] = []
    with open_media(source, info.container) as container:
        stream = container.streams[track.stream_index]
        assert isinstance(stream, AudioStream)
        assert stream.time_base is not None
        rate, tick = stream.sample_rate, stream.time_base
        preroll = round(PREROLL_S.get(codec_name(stream), Fraction(0)) * rate)
        end = round(window.duration_s * rate)
        container.seek(int((window.origin_s - ENTRY_S) / tick), stream=stream)
        for packet in container.demux(stream):
            if packet.pts is None or not packet.size:
                continue
            at = round((packet.pts * tick - window.origin_s) * rate)
            length = round((packet.duration or 0) * tick * rate)
            if at >= end:
                break
            if at + length <= -(preroll or PREROLL_PACKETS * length):
                continue
            # A fresh packet: flags and side data speak of the source's edit list, not of the clip's.
            copy = Packet(bytes(packet))
            copy.pts = copy.dts = at
            copy.duration, copy.time_base = min(length, end - at), Fraction(1, rate)
            copy.is_keyframe = packet.is_keyframe
            packets.append(copy)
    return packets
