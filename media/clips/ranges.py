"""Which stretch of a video a clip is cut from: pure functions on seconds of the video's own timeline."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator, Sequence

from contracts.errors import Code, EchoError
from contracts.kinds.clip import CLIP_S_MIN, TYPES, ClipSpec, ClipType
from contracts.kinds.music import Highlight, Music, Section, SectionType
from contracts.ranges import Range, judged, refuse_longer

SNAP_SHARE = 0.2
"""Of a clip's length, by which bars may make it shorter or longer; 15 s is 8 bars at 120 bpm, where a bar has 2 s."""
OVERLAP_SHARE_MAX = 0.5
"""Two candidates that share more than this of the shorter one are the same choice."""


def chosen(spec: ClipSpec, music: Music | None, duration_s: float) -> Range:
    """The range of a wish, inside the video. `music` is needed for a wish by length.

    Raises RANGE_OUTSIDE, CLIP_LONGER_THAN_VIDEO, and NO_SUCH_HIGHLIGHT when no section fits the wish or too few do.
    """
    if spec.length is None:
        assert spec.start is not None
        assert spec.end is not None
        return judged(spec.start, spec.end, duration_s)
    refuse_longer(spec.length, duration_s)
    assert music is not None, "a wish by length needs an analysis"
    wanted = spec.type or ClipType.BEST
    found = candidates(music, float(spec.length), TYPES[wanted], duration_s)
    if spec.rank >= len(found):
        fields: dict[str, str | int] = {"clip_type": wanted.value, "length": spec.length, "found": len(found)}
        raise EchoError(Code.NO_SUCH_HIGHLIGHT, f"{len(found)} of type {wanted}, rank {spec.rank}", fields)
    return found[spec.rank]


def candidates(music: Music, length_s: float, types: Sequence[SectionType], duration_s: float) -> list[Range]:
    """Ranges of about this length, the best first, no two of which are mostly the same.

    The analysis' own highlights come first, then the beginnings of fitting sections, the loudest first: so a wish for
    an intro is fulfilled although hardly an intro is ever a highlight.
    """
    taken: list[Range] = []
    for start, end in _proposals(music, length_s, types):
        fitted = _fitted(start, end, length_s, duration_s, _downbeats(music, start))
        if fitted and all(_overlap(fitted, other) <= OVERLAP_SHARE_MAX for other in taken):
            taken.append(fitted)
    return taken


def _proposals(music: Music, length_s: float, types: Sequence[SectionType]) -> Iterator[Range]:
    yield from ((h.start_s, h.end_s) for h in _highlights(music.highlights, length_s, types))
    fitting = [section for section in music.sections if section.type in types]
    for section in sorted(fitting, key=lambda section: (-_worth(section), section.start_s)):
        yield section.start_s, section.start_s + length_s


def _highlights(
    highlights: Iterable[Highlight], length_s: float, types: Sequence[SectionType]
) -> list[Highlight]:
    fitting = [h for h in highlights if h.length_s == length_s and h.type in types]
    return sorted(fitting, key=lambda highlight: -highlight.score)


def _worth(section: Section) -> float:
    return section.energy * section.confidence


def _downbeats(music: Music, at_s: float) -> Sequence[float]:
    """Of the song that is played then."""
    return next((song.downbeats_s for song in music.songs if song.start_s <= at_s <= song.end_s), ())


def _fitted(
    start_s: float, end_s: float, length_s: float, duration_s: float, downbeats_s: Sequence[float]
) -> Range | None:
    """On bars and inside the video; None when the video has no room for it."""
    if not (1 - SNAP_SHARE) * length_s <= end_s - start_s <= (1 + SNAP_SHARE) * length_s:
        end_s = start_s + length_s
    start_s, end_s = snapped(start_s, end_s, downbeats_s)
    start_s, end_s = clamped(start_s, end_s, duration_s)
    return (start_s, end_s) if end_s - start_s >= max(CLIP_S_MIN, (1 - SNAP_SHARE) * length_s) else None


def snapped(start_s: float, end_s: float, downbeats_s: Sequence[float]) -> Range:
    """Moved to the nearest bars, unless the clip would become a fifth shorter or longer by it.

    `downbeats_s` ascend. An end is moved by itself when the start has no bar near it, and the other way round.
    """
    reach = SNAP_SHARE * (end_s - start_s) / 2
    return _nearest(start_s, downbeats_s, reach), _nearest(end_s, downbeats_s, reach)


def _nearest(time_s: float, downbeats_s: Sequence[float], reach_s: float) -> float:
    right = bisect.bisect_left(downbeats_s, time_s)
    near = min(
        downbeats_s[max(0, right - 1) : right + 1], key=lambda beat: abs(beat - time_s), default=time_s
    )
    return near if abs(near - time_s) <= reach_s else time_s


def clamped(start_s: float, end_s: float, duration_s: float) -> Range:
    """Cut off at the video's borders."""
    return max(0.0, start_s), min(end_s, duration_s)


def _overlap(a: Range, b: Range) -> float:
    """Shared time, as a share of the shorter range."""
    shared = min(a[1], b[1]) - max(a[0], b[0])
    return max(0.0, shared) / min(a[1] - a[0], b[1] - b[0])
