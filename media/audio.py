"""Sound on its way into the result: copied where MP4 can hold its coding, else coded anew as AAC.

Either way a track becomes packets timed in samples from the first one heard, so that where it starts on the
result's timeline is one addition. Sound that an edit list had cut away stays away.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

from av.audio.stream import AudioStream
from av.packet import Packet

from contracts.media import ContainerName
from media.ffmpeg import command
from media.opening import codec_name

COPIED = frozenset({"aac", "mp3", "ac3", "eac3", "opus", "alac", "flac"})
"""Codings with an MP4 registration that current players read. PCM has one too (`ipcm`), which few do."""
NEEDS_HEADER = frozenset({"aac", "opus", "alac", "flac"})
"""Unusable in MP4 without their decoder configuration; some AVIs carry AAC without it."""

PREROLL_S = {"opus": Fraction(80, 1000)}
"""RFC 7845, 4.6: what an Opus decoder must read before it is right."""
PREROLL_PACKETS = 1
"""Of the other codings: transforms overlap by one packet."""

AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)
AAC_BITS_PER_CHANNEL = 128_000
"""Transparent for music with FFmpeg's own encoder."""
TRANSCODE_TIMEOUT_S = 3600.0


def can_copy(track: AudioStream) -> bool:
    codec = codec_name(track)
    return codec in COPIED and bool(track.codec_context.extradata or codec not in NEEDS_HEADER)


def transcode(
    source: Path, container: ContainerName, track: AudioStream, out: Path, on_work: Callable[[], None]
) -> None:
    """Writes `out` (MP4, one AAC track) whose first sample is the first one heard of the track; gaps become silence."""
    sound = command.source(source, container)[str(track.index)]
    sound = sound.filter("asetpts", "PTS-STARTPTS").filter("aresample", **{"async": 1, "first_pts": 0})
    options: dict[str, str | int] = {
        "acodec": "aac",
        "audio_bitrate": AAC_BITS_PER_CHANNEL * track.channels,
        "map_metadata": -1,
        "f": "mp4",
    }
    if track.sample_rate not in AAC_RATES:
        options["ar"] = 48000
    command.run(
        sound.output(command.target(out), **options),
        timeout_s=TRANSCODE_TIMEOUT_S,
        on_time=lambda _: on_work(),
    )


class PacketClock:
    """Turns the packets of one track into (position, length) in samples; position 0 is the first sample heard.

    Time bases coarser than a sample (Matroska: 1 ms) are smoothed: packets that follow one another within the
    rounding follow one another exactly; true gaps stay.
    """

    def __init__(self, track: AudioStream, start_s: Fraction) -> None:
        """`start_s` is the time of the first sample heard, as probed."""
        assert track.time_base is not None
        self._tick = track.time_base
        self._rate = track.sample_rate
        self._start_s = start_s
        self._packet_samples = track.codec_context.frame_size or 0
        self._preroll = round(PREROLL_S.get(codec_name(track), Fraction(0)) * self._rate)
        self._next: int | None = None

    def place(self, packet: Packet) -> tuple[int, int] | None:
        """None for a packet that no listener, and no decoder's warm-up, needs."""
        if packet.pts is None:
            return None
        exact = self._tick * self._rate
        length = round((packet.duration or 0) * exact)
        at = round((packet.pts * self._tick - self._start_s) * self._rate)
        if self._next is None and packet.has_sidedata("skip_samples"):
            skip, _ = skip_and_padding(packet)  # exact, where a coarse time base has rounded the time
            at = -skip
        if exact > 1:
            length = self._packet_samples or length
            if self._next is not None and abs(at - self._next) <= 2 * exact:
                at = self._next
        self._next = at + length
        preroll = self._preroll or PREROLL_PACKETS * max(length, self._packet_samples)
        if at + length <= -preroll or (packet.is_discard and at >= 0):
            return None
        _, padding = skip_and_padding(packet)
        # MP4 has no padding of its own: a shorter last packet says the same.
        return at, max(1, length - padding)


def skip_and_padding(packet: Packet) -> tuple[int, int]:
    """Samples that decoders drop at the beginning and at the end of a packet."""
    if not packet.has_sidedata("skip_samples"):
        return 0, 0
    skip, padding = struct.unpack_from("<II", bytes(packet.get_sidedata("skip_samples")))
    return skip, padding


def placed(packets: Iterator[Packet], clocks: dict[int, PacketClock]) -> Iterator[tuple[Packet, int, int]]:
    """(packet, position, length) of those that are needed; `clocks` by stream index."""
    for packet in packets:
        if packet.size and (place := clocks[packet.stream_index].place(packet)):
            yield packet, *place
