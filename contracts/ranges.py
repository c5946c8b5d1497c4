"""Which stretches of a video a clip may be cut from: judged by the API before anything is held, and by the engine.

Seconds of the video's own timeline.
"""

from __future__ import annotations

from contracts.errors import Code, EchoError

END_TOLERANCE_S = 0.1
"""By which a range may pass the video's end, where a player's clock and the last frame's end disagree."""
Range = tuple[float, float]


def judged(start_s: float, end_s: float, duration_s: float) -> Range:
    """A range of the user's own, its end drawn in to the video's by no more than a tolerance.

    Raises CLIP_LONGER_THAN_VIDEO, RANGE_OUTSIDE.
    """
    refuse_longer(end_s - start_s, duration_s)
    if not 0 <= start_s < min(end_s, duration_s) or end_s > duration_s + END_TOLERANCE_S:
        fields: dict[str, str | int] = {"duration_s": f"{duration_s:.3f}"}
        raise EchoError(Code.RANGE_OUTSIDE, f"{start_s:g} to {end_s:g} s of {duration_s:g} s", fields)
    return start_s, min(end_s, duration_s)


def fits(length_s: float, duration_s: float) -> bool:
    """Whether the video has room for so long a clip."""
    return length_s <= duration_s + END_TOLERANCE_S


def refuse_longer(length_s: float, duration_s: float) -> None:
    if not fits(length_s, duration_s):
        raise EchoError(
            Code.CLIP_LONGER_THAN_VIDEO,
            f"{length_s:g} s of {duration_s:g} s",
            {"length_s": f"{length_s:g}", "duration_s": f"{duration_s:.3f}"},
        )
