"""Refusals of what is larger or longer than a source may be, for claims of headers and for measurements alike."""

from __future__ import annotations

import math

from contracts.errors import Code, EchoError
from contracts.media import MediaLimits
from media.containers import Headers

HEADER_ROUNDING_S = 1
"""Headers may round up; the measurement decides."""


def judge_headers(headers: Headers, limits: MediaLimits) -> None:
    """Raises EchoError TOO_LARGE_PICTURE or TOO_LONG."""
    judge_picture(headers.width, headers.height, limits)
    if headers.duration_s > limits.duration_s_max + HEADER_ROUNDING_S:
        raise too_long(headers.duration_s, limits)


def judge_picture(width: int, height: int, limits: MediaLimits) -> None:
    """Raises EchoError TOO_LARGE_PICTURE."""
    fields: dict[str, str | int] = {"width": width, "height": height}
    if max(width, height) > limits.side_px_max or width * height > limits.pixels_max:
        raise EchoError(
            Code.TOO_LARGE_PICTURE, f"{width} x {height}", fields | {"pixels_max": limits.pixels_max}
        )


def too_long(duration_s: float, limits: MediaLimits) -> EchoError:
    # A header may claim more seconds than a JSON reader can hold.
    seconds = math.ceil(min(duration_s, 1e12))
    return EchoError(
        Code.TOO_LONG, f"{seconds} s", {"duration_s": seconds, "duration_s_max": limits.duration_s_max}
    )
