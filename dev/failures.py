"""What can go wrong when the platform is started on one machine; messages are for the person at the terminal."""

from __future__ import annotations


class DevFailure(RuntimeError):
    """Shown without a traceback."""


class ToolMissing(DevFailure):
    """A server program can neither be found nor made; the message says what to do, in English and Korean."""


class ServerFailed(DevFailure):
    """A server ended or did not answer; the message carries the tail of its log."""


class DataDirBusy(DevFailure):
    """Another platform runs on this data folder."""
