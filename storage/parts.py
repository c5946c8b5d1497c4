"""How a large object is cut into parts: one rule for our own uploads and for those of clients."""

from __future__ import annotations

PART_BYTES_MIN = 8 * 1024**2
"""A part that a phone sends in seconds; S3 itself asks for 5 MiB."""
PARTS_MAX = 10_000
"""S3's limit."""


def part_bytes(total: int) -> int:
    """Size in bytes of every part but the last of an upload of `total` bytes: whole MiB."""
    mib = -(-total // (PARTS_MAX * 1024**2))
    return max(PART_BYTES_MIN, mib * 1024**2)


def part_count(total: int) -> int:
    return max(1, -(-total // part_bytes(total)))


def part_size(total: int, number: int) -> int:
    """Size in bytes of part `number`, counted from 1."""
    if not 1 <= number <= part_count(total):
        raise ValueError(f"part {number} of {part_count(total)}")
    return min(part_bytes(total), total - (number - 1) * part_bytes(total))
