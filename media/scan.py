"""One pass over the packets of a file, without decoding: what is in it, when, and whether all of it is there.

A 5 GB file costs one read and memory independent of its length.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Discard
from av.video.stream import VideoStream

from contracts.errors import Code, EchoError
from contracts.media import MediaLimits
from media.audio import skip_and_padding
from media.limits import HEADER_ROUNDING_S, too_long
from media.sniff import Sniffed
from media.timeline import FrameTimes, SoundTimes

PACKET_SHARE_MIN = 0.95
"""Of the frames that an MP4's index promises; fewer found means that the rest of the file is missing."""
DURATION_SHARE_MIN = 0.9
"""Of the duration that a header claims; written live, those of AVI and Matroska are estimates."""


@dataclass
class Scan:
    frames: FrameTimes | None
    """None without a picture."""
    sounds: list[tuple[AudioStream, SoundTimes]]
    packets: int = 0
    """Of the video stream, those outside the edit list included."""
    torn: int = 0
    """Packets that the file ends in."""
    error: str = ""
    """Why the demuxer gave up before the end, if it did."""

    @property
    def first_heard(self) -> int:
        """Index of the first stream with sound in it."""
        return next(track.index for track, times in self.sounds if times.start_s is not None)

    @property
    def reach_s(self) -> float:
        """Time of the last picture or sound."""
        ends = [float(times.end_s) for _, times in self.sounds if times.end_s is not None]
        if self.frames is not None and self.frames.last_pts is not None:
            ends.append(float(self.frames.end_pts(0) * self.frames.time_base))
        return max(ends, default=0.0)


def scan(
    container: InputContainer,
    picture: VideoStream | None,
    tracks: list[AudioStream],
    limits: MediaLimits,
    on_bytes: Callable[[int], None],
) -> Scan:
    """Raises EchoError FRAME_RATE_UNSUPPORTED or TOO_LONG as soon as a limit is passed."""
    for stream in container.streams:
        stream.discard = Discard.default if stream is picture or stream in tracks else Discard.all
    sounds = [(track, SoundTimes(track.time_base or Fraction(1), track.sample_rate)) for track in tracks]
    found = Scan(None if picture is None else FrameTimes(picture.time_base or Fraction(1)), sounds)
    by_index = {track.index: times for track, times in sounds}
    try:
        for packet in container.demux(*([] if picture is None else [picture]), *tracks):
            if packet.size == 0:  # the end mark of a stream
                continue
            if picture is not None and found.frames is not None and packet.stream_index == picture.index:
                found.packets += 1
                found.torn += packet.is_corrupt
                _add_frame(found.frames, packet, picture)
                _stop_if_endless(found.frames, limits)
            else:
                _add_sound(by_index[packet.stream_index], packet, limits)
            on_bytes(max(packet.pos or 0, 0))
    except FFmpegError as error:
        found.error = error.strerror or type(error).__name__
    if found.frames is not None:
        found.frames.finish()
    return found


def _add_frame(frames: FrameTimes, packet: Packet, stream: VideoStream) -> None:
    pts = packet.pts if packet.pts is not None else packet.dts
    # Frames outside the edit list are decoded but never shown; VP8's hidden reference frames have bit 4 clear.
    hidden = stream.codec_context.name == "vp8" and not bytes(packet)[0] & 0x10
    if pts is not None and not packet.is_discard and not hidden:
        frames.add(pts, packet.duration or 0)


def _stop_if_endless(frames: FrameTimes, limits: MediaLimits) -> None:
    frames_max = limits.duration_s_max * limits.fps_max
    if frames.count > frames_max:
        raise EchoError(Code.FRAME_RATE_UNSUPPORTED, f"more than {frames_max} frames")
    if frames.first_pts is not None and frames.last_pts is not None:
        seconds = (frames.last_pts - frames.first_pts) * frames.time_base
        if seconds > limits.duration_s_max:
            raise too_long(float(seconds), limits)


def _add_sound(times: SoundTimes, packet: Packet, limits: MediaLimits) -> None:
    if packet.pts is None or (packet.is_discard and not packet.has_sidedata("skip_samples")):
        return
    skip, padding = skip_and_padding(packet)
    times.add(packet.pts, packet.duration or 0, skip, padding)
    # A track is as long as its picture, and its last packet a little longer.
    assert times.start_s is not None
    heard_s = (packet.pts + (packet.duration or 0)) * float(times.time_base) - float(times.start_s)
    if heard_s > limits.duration_s_max + HEADER_ROUNDING_S:
        raise too_long(heard_s, limits)


def judge_completeness(
    container: InputContainer, picture: VideoStream | None, found: Scan, sniffed: Sniffed
) -> None:
    """Raises EchoError TRUNCATED, CORRUPT, NO_FRAMES or NO_AUDIO."""
    if picture is None or found.frames is None:
        _judge_sound(found, sniffed)
        return
    if found.packets == 0 and not found.error:
        raise EchoError(Code.NO_FRAMES, "the video track has no packets")
    promised = picture.frames if sniffed.container in ("mp4", "mov") else 0
    whole = found.packets - found.torn
    if whole < PACKET_SHARE_MIN * promised - 1:
        raise EchoError(Code.TRUNCATED, f"{whole} of {promised} frames are in the file")
    claimed_s = (container.duration or 0) / 1_000_000
    if sniffed.container in ("avi", "mkv", "webm"):
        _judge_reach(found, claimed_s)
    if found.error:
        raise EchoError(Code.CORRUPT, f"reading stops after {found.packets} frames: {found.error}")
    if found.frames.count == 0:
        raise EchoError(Code.NO_FRAMES, "no frame of the video track is ever shown")


def _judge_sound(found: Scan, sniffed: Sniffed) -> None:
    _judge_reach(found, sniffed.headers.duration_s)
    if found.error:
        raise EchoError(Code.CORRUPT, f"reading stops after {found.reach_s:.1f} s: {found.error}")
    if all(times.start_s is None for _, times in found.sounds):
        raise EchoError(Code.NO_AUDIO, f"{len(found.sounds)} tracks without a sample")


def _judge_reach(found: Scan, claimed_s: float) -> None:
    if found.reach_s < DURATION_SHARE_MIN * claimed_s - 1:
        raise EchoError(Code.TRUNCATED, f"{found.reach_s:.1f} of {claimed_s:.1f} s are in the file")
