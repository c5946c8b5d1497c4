"""Joins finished segments and the source's sound into one MP4, without decoding a picture.

Sound keeps its offset from the picture to the sample. What the pixels need for display (turn, mirroring, pixel
aspect, colour tags) is carried over as tags. Place and device of the recording are dropped: a fan shares the
result, not their position.
"""

from __future__ import annotations

import contextlib
import heapq
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from contracts.errors import Code, EchoError
from contracts.kinds.enhance import EnhancePlan
from contracts.media import AudioInfo, MediaInfo
from media.audio import PacketClock, can_copy, placed, transcode
from media.editlist import skip_priming
from media.joining import picture_packets, timescale
from media.manifest import publish
from media.opening import language, open_media, video_stream
from media.orientation import Orientation, to_matrix
from media.progress import Progress, silent

STAGE = "mux"
KEPT_METADATA = ("creation_time",)
INDEX_BYTES = 64 * 1024
INDEX_BYTES_PER_PACKET = 44
"""What the sample tables need at worst: a time, an offset, a size, a chunk and a sync entry for every packet."""
SOUND_PACKETS_PER_S = 100
OPUS_PACKETS_PER_S = 400
"""AAC at 96 kHz makes 94 a second, Opus at its shortest frame 400."""
Timed = tuple[float, Packet]
"""Seconds at which a packet is decoded, and the packet."""


@dataclass
class _Sound:
    """One track of the result: where its packets come from, and when its first sample is heard."""

    packets_of: AudioStream
    target: AudioStream
    clock: PacketClock
    number: int
    """Of the result's tracks, from 0."""
    rate: int
    """Samples per second."""
    start: int
    """In samples on the result's timeline."""
    priming: int = 0
    """Samples before the first one heard that are written as if heard, until the edit list hides them."""


def mux(
    source: Path,
    source_info: MediaInfo,
    segments: list[Path],
    plan: EnhancePlan,
    out: Path,
    progress: Progress = silent,
) -> None:
    """Writes `out` whole or not at all. Progress counts output frames.

    The result's time 0 is the source's first picture or sound, whichever comes first.
    Raises EchoError RESULT_UNVERIFIED when segments do not fit together or are not what the plan says.
    """
    if not segments:
        raise EchoError(Code.RESULT_UNVERIFIED, "no segments")
    origin_s = min([source_info.picture.start_s, *(track.start_s for track in source_info.audio)])
    scale = timescale(plan.fps_out)
    # With the process id: an attempt that was given up may still be writing beside this one.
    partial = out.with_name(f".{out.name}.{os.getpid()}.partial")
    with contextlib.ExitStack() as stack:
        stack.callback(partial.unlink, missing_ok=True)
        original = stack.enter_context(open_media(source, source_info.container))
        tracks = [_track(original, info) for info in source_info.audio]
        files = _SoundFiles(stack, source, source_info, partial, lambda: progress(STAGE, 0, plan.out_frames))
        heard = [files.open(track, info) for track, info in zip(tracks, source_info.audio, strict=True)]
        joined = stack.enter_context(_open_output(partial, scale, original, source_info, plan))
        picture = _add_picture(joined, segments[0], original, source_info)
        sounds = [
            _add_sound(joined, track, *from_, info.start_s - origin_s)
            for track, from_, info in zip(tracks, heard, source_info.audio, strict=True)
        ]
        frames_done = 0
        for _, packet in heapq.merge(
            _timed_pictures(segments, plan, picture, source_info.picture.start_s - origin_s),
            *_timed_sounds(sounds),
            key=lambda timed: timed[0],
        ):
            is_picture = packet.stream is picture
            joined.mux(packet)
            if is_picture:
                frames_done += 1
                progress(STAGE, frames_done, plan.out_frames)
        joined.close()
        for sound in sounds:
            if sound.priming:
                skip_priming(partial, sound.number, sound.priming, sound.rate, scale)
        publish(partial, out)


def _open_output(
    path: Path, scale: int, original: InputContainer, source_info: MediaInfo, plan: EnhancePlan
) -> OutputContainer:
    # Room for the index is left before the media. FFmpeg's `faststart` would write the whole file a second time at
    # the end, in silence: on a slow disk longer than an engine may be silent.
    room = str(_index_bytes_max(source_info, plan))
    options = {"moov_size": room, "movie_timescale": str(scale), "video_track_timescale": str(scale)}
    joined = av.open(str(path), "w", format="mp4", options=options)
    joined.metadata.update(
        {name: original.metadata[name] for name in KEPT_METADATA if name in original.metadata}
    )
    return joined


def _index_bytes_max(source_info: MediaInfo, plan: EnhancePlan) -> int:
    packets = plan.out_frames
    for track in source_info.audio:
        rate = OPUS_PACKETS_PER_S if track.codec == "opus" else SOUND_PACKETS_PER_S
        packets += math.ceil(track.duration_s * rate)
    return INDEX_BYTES + packets * INDEX_BYTES_PER_PACKET


def _add_picture(
    joined: OutputContainer, first_segment: Path, original: InputContainer, source_info: MediaInfo
) -> VideoStream:
    with open_media(first_segment, "mp4") as first:
        stream = joined.add_stream_from_template(video_stream(first))
    orientation = Orientation(source_info.picture.rotation_deg, source_info.picture.mirrored)
    if orientation != Orientation():
        stream.set_display_matrix(to_matrix(orientation))
    _copy_tags(video_stream(original), stream)
    return stream


def _track(original: InputContainer, info: AudioInfo) -> AudioStream:
    stream = original.streams[info.stream_index]
    assert isinstance(stream, AudioStream)
    return stream


@dataclass
class _SoundFiles:
    """Finds the packets of each track: in the source, or in a file of its own that is made for the occasion."""

    stack: contextlib.ExitStack
    source: Path
    source_info: MediaInfo
    partial: Path
    on_work: Callable[[], None]

    def open(self, track: AudioStream, info: AudioInfo) -> tuple[AudioStream, Fraction]:
        """Where the packets are, and the time there of the first sample heard."""
        if can_copy(track):
            return track, info.start_s
        coded = self.partial.with_suffix(f".{track.index}.m4a")
        self.stack.callback(coded.unlink, missing_ok=True)
        transcode(self.source, self.source_info.container, track, coded, self.on_work)
        return self.stack.enter_context(open_media(coded, "mp4")).streams.audio[0], Fraction(0)


def _add_sound(
    joined: OutputContainer, track: AudioStream, packets_of: AudioStream, heard_s: Fraction, start_s: Fraction
) -> _Sound:
    target = joined.add_stream_from_template(packets_of)
    _copy_tags(track, target)
    rate = packets_of.sample_rate
    clock = PacketClock(packets_of, heard_s)
    return _Sound(packets_of, target, clock, target.index, rate, round(start_s * rate))


def _copy_tags(source: Stream, target: Stream) -> None:
    if known := language(source):
        target.metadata["language"] = known
    target.disposition = source.disposition


def _timed_pictures(
    segments: list[Path], plan: EnhancePlan, target: VideoStream, lead_s: Fraction
) -> Iterator[Timed]:
    for packet in picture_packets(segments, plan, lead_s):
        packet.stream = target
        assert packet.dts is not None
        yield float(packet.dts * packet.time_base), packet


def _timed_sounds(sounds: list[_Sound]) -> Iterator[Iterator[Timed]]:
    """One feed per file, since the tracks of one file are read together."""
    files = {id(sound.packets_of.container): sound.packets_of.container for sound in sounds}
    for key, container in files.items():
        assert isinstance(container, InputContainer)
        mine = {sound.packets_of.index: sound for sound in sounds if id(sound.packets_of.container) == key}
        yield _file_packets(container, mine)


def _file_packets(container: InputContainer, sounds: dict[int, _Sound]) -> Iterator[Timed]:
    packets = container.demux(*(sound.packets_of for sound in sounds.values()))
    clocks = {index: sound.clock for index, sound in sounds.items()}
    for packet, position, length in placed(packets, clocks):
        sound = sounds[packet.stream_index]
        if position < 0 < sound.start:
            sound.priming = max(sound.priming, -position)
        # A fresh packet: flags and side data speak of the source's edit list, not of the result's.
        copy = Packet(bytes(packet))
        copy.pts = copy.dts = sound.start + position + sound.priming
        copy.duration, copy.time_base, copy.stream = length, Fraction(1, sound.rate), sound.target
        copy.is_keyframe = packet.is_keyframe
        yield (sound.start + position) / sound.rate, copy
