"""H.264 as it lies in MP4 (ISO/IEC 14496-15): what joins copied and newly coded pictures in one track.

The decoder's configuration (`avcC`) may hold several parameter sets, told apart by their ids. Pictures that are
coded anew get sets with an id that the source does not use, and both lie in the one configuration: nothing changes
in mid-stream but the set that an IDR picture names, which every decoder must follow. In-band sets (`avc3`) and a
second sample description would do too, but neither is read by all players.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

NAL_IDR = 5
LENGTH_BYTES = 4
"""Of the size before each NAL unit: what encoders write. Sources with shorter ones are not joined."""
SPS_COUNT_MAX = 31
PROFILES = {66: "baseline", 77: "main", 100: "high"}
"""Of 8-bit 4:2:0 video, and x264's names for them."""


@dataclass(frozen=True)
class Configuration:
    """Content of an `avcC` box."""

    head: bytes
    """Version, profile, compatibility, level, size of lengths."""
    sps: tuple[bytes, ...]
    pps: tuple[bytes, ...]
    tail: bytes
    """Chroma format and bit depths, in the higher profiles."""

    @property
    def profile(self) -> int:
        return self.head[1]

    @property
    def level(self) -> int:
        return self.head[3]

    def free_id(self) -> int | None:
        """One that no parameter set of either kind has; None when all are taken."""
        taken = {_first_ue(sps[4:]) for sps in self.sps} | {_first_ue(pps[1:]) for pps in self.pps}
        return next((number for number in range(SPS_COUNT_MAX) if number not in taken), None)

    def with_sets_of(self, other: Configuration | None) -> bytes:
        sps, pps = (self.sps + other.sps, self.pps + other.pps) if other else (self.sps, self.pps)
        parts = [self.head, bytes([0xE0 | len(sps)])]
        parts += [struct.pack(">H", len(unit)) + unit for unit in sps]
        parts += [bytes([len(pps)])] + [struct.pack(">H", len(unit)) + unit for unit in pps]
        return b"".join([*parts, self.tail])


def parse(extradata: bytes | None) -> Configuration | None:
    """None for what is not a configuration with lengths of four bytes, or is cut off."""
    if not extradata or len(extradata) < 7 or extradata[0] != 1 or extradata[4] & 3 != LENGTH_BYTES - 1:
        return None
    try:
        sps, position = _units(extradata, 6, extradata[5] & 0x1F)
        pps, position = _units(extradata, position + 1, extradata[position])
    except (IndexError, struct.error):
        return None
    return Configuration(extradata[:5], sps, pps, extradata[position:]) if sps and pps else None


def is_idr(packet: bytes) -> bool:
    """Whether a picture coded with lengths of four bytes is an IDR picture."""
    return any(packet[start] & 0x1F == NAL_IDR for start in _unit_starts(packet))


def _unit_starts(packet: bytes) -> Iterator[int]:
    position = 0
    while position + LENGTH_BYTES < len(packet):
        yield position + LENGTH_BYTES
        position += LENGTH_BYTES + int.from_bytes(packet[position : position + LENGTH_BYTES], "big")


def _units(data: bytes, position: int, count: int) -> tuple[tuple[bytes, ...], int]:
    units: list[bytes] = []
    for _ in range(count):
        (size,) = struct.unpack_from(">H", data, position)
        unit = data[position + 2 : position + 2 + size]
        if len(unit) != size:
            raise IndexError("a parameter set is cut off")
        units.append(unit)
        position += 2 + size
    return tuple(units), position


def _first_ue(data: bytes) -> int:
    """The unsigned Exp-Golomb number (H.264, 9.1) that the data begin with: of a parameter set's content, its id."""
    bits = "".join(f"{byte:08b}" for byte in data[:8])
    zeros = len(bits) - len(bits.lstrip("0"))
    return int(bits[zeros : 2 * zeros + 1] or "1", 2) - 1
