"""What a failed ffmpeg means: a bad file (the user's), a full disk (the machine's), or our own fault."""

from __future__ import annotations

import signal

from contracts.errors import Code, EchoError

TAIL_CHARS = 400

OUT_OF_DISK = ("No space left on device", "Disk quota exceeded")
BAD_INPUT = (
    "Invalid data found when processing input",
    "moov atom not found",
    "could not find codec parameters",
    "End of file",
    "partial file",
)
OURS = (
    "Unrecognized option",
    "Option not found",
    "Unknown encoder",
    "Invalid argument",
    "No such filter",
    "not on whitelist",
)
"""Looked for before BAD_INPUT: ffmpeg reports wrong commands with the same last line as wrong files."""


def from_failure(returncode: int, stderr: str) -> EchoError:
    """The EchoError for an ffmpeg that ended with `returncode` other than 0."""
    tail = stderr.strip()[-TAIL_CHARS:]
    if any(mark in stderr for mark in OUT_OF_DISK):
        return EchoError(Code.OUT_OF_DISK, tail)
    if returncode < 0:
        return EchoError(Code.ENGINE_CRASHED, f"ffmpeg killed by {signal.Signals(-returncode).name}: {tail}")
    if any(mark in stderr for mark in OURS):
        return EchoError(Code.ENGINE_CRASHED, f"ffmpeg exited with {returncode}: {tail}")
    if any(mark.lower() in stderr.lower() for mark in BAD_INPUT):
        return EchoError(Code.CORRUPT, tail)
    return EchoError(Code.ENGINE_CRASHED, f"ffmpeg exited with {returncode}: {tail}")
