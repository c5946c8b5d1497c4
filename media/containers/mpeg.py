"""MP3: frames of ISO/IEC 11172-3 layer III one behind another, and the length that encoders note in the first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO

from media.containers import Headers, id3

KBITS_MPEG1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
KBITS_MPEG2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
"""Hz by the two bits of the version: MPEG 1, 2 and 2.5."""
MPEG1, LAYER_III, MONO = 3, 1, 3
FRAMES_TOLD = 3
"""Eleven set bits are found in any file; three frames that lead to one another are not."""
JUNK_MAX = 4096
"""Padding that some writers leave behind their tag."""
HEAD_BYTES = JUNK_MAX + (FRAMES_TOLD + 1) * 1441


@dataclass(frozen=True)
class Frame:
    version: int
    rate: int
    length: int
    """Bytes, header included."""
    mono: bool

    @property
    def samples(self) -> int:
        return 1152 if self.version == MPEG1 else 576


def is_mp3(file: BinaryIO, size: int) -> bool:
    return _first(file, id3.end(file, size)) is not None


def inspect(file: BinaryIO, size: int) -> Headers:
    """The duration is claimed by the first frame of most variable-rate files, and by many others."""
    first = _first(file, id3.end(file, size))
    if first is None:
        return Headers()
    data, frame = first
    return Headers(duration_s=_frames_claimed(data, frame) * frame.samples / frame.rate)


def _first(file: BinaryIO, start: int) -> tuple[bytes, Frame] | None:
    """The first true frame and the bytes from it on."""
    file.seek(start)
    data = file.read(HEAD_BYTES)
    for at in range(JUNK_MAX if start else 1):
        frame = _chain(data, at)
        if frame:
            return data[at:], frame
    return None


def _chain(data: bytes, at: int) -> Frame | None:
    first = frame = _frame(data[at : at + 4])
    for _ in range(FRAMES_TOLD - 1):
        if frame is None:
            return None
        at += frame.length
        frame = _frame(data[at : at + 4])
        if first is None or frame is None or (frame.version, frame.rate) != (first.version, first.rate):
            return None
    return first


def _frame(head: bytes) -> Frame | None:
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    bits, rate = head[2] >> 4, head[2] >> 2 & 3
    if version not in RATES or layer != LAYER_III or bits in (0, 15) or rate == 3:
        return None
    hertz = RATES[version][rate]
    kbits, factor = (KBITS_MPEG1, 144) if version == MPEG1 else (KBITS_MPEG2, 72)
    length = factor * kbits[bits] * 1000 // hertz + (head[2] >> 1 & 1)
    return Frame(version, hertz, length, mono=head[3] >> 6 == MONO)


def _frames_claimed(data: bytes, frame: Frame) -> int:
    """By a Xing (or Info) header behind the side information, or a VBRI header; 0 without one."""
    side = (17 if frame.mono else 32) if frame.version == MPEG1 else (9 if frame.mono else 17)
    xing = data[4 + side : 4 + side + 12]
    if xing[:4] in (b"Xing", b"Info"):
        return int.from_bytes(xing[8:12]) if xing[7] & 1 else 0
    vbri = data[36 : 36 + 18]
    return int.from_bytes(vbri[14:18]) if vbri[:4] == b"VBRI" else 0
