from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from contracts.errors import Code, EchoError
from contracts.kinds.clip import CLIP_S_MIN, TYPES, ClipSpec, ClipType
from contracts.kinds.music import (
    Highlight,
    HighlightLength,
    Loudness,
    Music,
    Reason,
    Section,
    SectionType,
    Song,
)
from contracts.media import EngineUse
from contracts.ranges import END_TOLERANCE_S, judged
from media.clips.ranges import SNAP_SHARE, candidates, chosen, clamped, snapped

BAR_S = 2.0
"""Four beats at 120 bpm."""
PLAN = [
    (0, 12, SectionType.INTRO), (12, 44, SectionType.VERSE), (44, 76, SectionType.CHORUS),
    (76, 108, SectionType.VERSE), (108, 140, SectionType.CHORUS), (140, 156, SectionType.BRIDGE),
    (156, 190, SectionType.CLIMAX), (190, 200, SectionType.OUTRO),
]  # fmt: skip


def highlight(start_s: float, length: HighlightLength, kind: SectionType, score: float) -> Highlight:
    return Highlight(
        length_s=length, start_s=start_s, end_s=start_s + length, type=kind, score=score,
        reasons=(Reason.LOUDNESS,), song=0,
    )  # fmt: skip


def analysis(duration_s: float = 200.0, highlights: tuple[Highlight, ...] = ()) -> Music:
    sections = [
        Section(start_s=a, end_s=b, type=kind, label="A", energy=b / 200, confidence=0.8, song=0)
        for a, b, kind in PLAN
        if b <= duration_s
    ]
    bars = tuple(BAR_S * number for number in range(int(duration_s / BAR_S)))
    song = Song(
        start_s=0, end_s=duration_s, tempo_bpm=120, tempo_confidence=1, beats_per_bar=4, beats_s=bars,
        downbeats_s=bars, downbeat_confidence=1, key=None, key_confidence=0,
    )  # fmt: skip
    return Music(
        duration_s=duration_s, parts=(), songs=(song,), sections=tuple(sections), highlights=highlights, energy=(),
        loudness=Loudness(integrated_lufs=-10, range_lu=5, true_peak_dbtp=0),
        engine=EngineUse(role="analyse", name="t", version="1"),
    )  # fmt: skip


HIGHLIGHTS = (
    highlight(156.3, 30, SectionType.CLIMAX, 0.9), highlight(43.6, 30, SectionType.CHORUS, 0.7),
    highlight(107.9, 30, SectionType.CHORUS, 0.8), highlight(150, 15, SectionType.CLIMAX, 0.95),
)  # fmt: skip


def test_the_best_highlight_of_a_length_is_chosen_and_set_on_bars():
    assert chosen(ClipSpec(length=30), analysis(highlights=HIGHLIGHTS), 200.0) == (156.0, 186.0)


def test_ranks_go_down_by_score_within_a_type():
    music = analysis(highlights=HIGHLIGHTS)
    starts = [
        chosen(ClipSpec(length=30, type=ClipType.CHORUS, rank=rank), music, 200.0)[0] for rank in range(3)
    ]
    # The climax is a chorus as well.
    assert starts == [156.0, 108.0, 44.0]


def test_a_type_that_is_never_a_highlight_is_found_by_its_sections():
    music = analysis(highlights=HIGHLIGHTS)
    assert chosen(ClipSpec(length=15, type=ClipType.INTRO), music, 200.0) == (0.0, 14.0)
    assert chosen(ClipSpec(length=15, type=ClipType.BRIDGE), music, 200.0) == (140.0, 154.0)


def test_a_wish_that_nothing_fits_says_how_many_there_are():
    with pytest.raises(EchoError) as refused:
        chosen(ClipSpec(length=30, type=ClipType.BRIDGE, rank=1), analysis(highlights=HIGHLIGHTS), 200.0)
    assert refused.value.code == Code.NO_SUCH_HIGHLIGHT
    assert refused.value.fields["found"] == 1


def test_a_section_that_begins_too_near_the_end_is_no_candidate():
    assert candidates(analysis(), 60.0, (SectionType.OUTRO,), 200.0) == []


def test_a_length_beyond_the_video_is_refused():
    with pytest.raises(EchoError) as refused:
        chosen(ClipSpec(length=60), analysis(40.0), 40.0)
    assert refused.value.code == Code.CLIP_LONGER_THAN_VIDEO


def test_a_range_of_the_users_own_is_cut_as_it_was_given():
    assert chosen(ClipSpec(start=3.21, end=9.87), None, 200.0) == (3.21, 9.87)


seconds = st.floats(0, 400, allow_nan=False)


shares = st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted)


@given(shares, st.floats(0.1, 400), st.floats(0, END_TOLERANCE_S * 0.99))
def test_a_range_in_the_video_stays_but_for_the_tolerance(borders, duration_s, beyond_s):
    start_s, end_s = (share * duration_s for share in borders)
    assume(start_s < end_s)
    assert judged(start_s, end_s, duration_s) == (start_s, end_s)
    assert judged(start_s, duration_s + beyond_s, duration_s) == (start_s, duration_s)


@given(shares, st.floats(0.1, 400), st.floats(END_TOLERANCE_S * 1.01, 100))
def test_a_range_outside_the_video_is_refused(borders, duration_s, beyond_s):
    start_s, end_s = (share * duration_s for share in borders)
    outside = [(start_s, duration_s + beyond_s), (duration_s + beyond_s, 1 + duration_s + beyond_s)]
    for wrong in [*outside, (end_s, end_s), (-beyond_s, end_s)]:
        with pytest.raises(EchoError) as refused:
            judged(*wrong, duration_s)
        assert refused.value.code in (Code.RANGE_OUTSIDE, Code.CLIP_LONGER_THAN_VIDEO)


bars = st.lists(seconds, max_size=40).map(sorted)


@given(seconds, st.floats(1, 180), bars)
def test_snapping_ends_on_bars_or_where_it_was_and_keeps_the_length(start_s, length_s, downbeats):
    end_s = start_s + length_s
    first, last = snapped(start_s, end_s, downbeats)
    assert first == start_s or first in downbeats
    assert last == end_s or last in downbeats
    assert abs((last - first) - length_s) <= SNAP_SHARE * length_s + 1e-9


@given(seconds, st.floats(1, 180), st.floats(1, 400))
def test_clamping_never_leaves_the_video(start_s, length_s, duration_s):
    first, last = clamped(start_s, start_s + length_s, duration_s)
    assert first >= 0
    assert last <= duration_s


lengths = st.sampled_from([15, 30, 60])
proposals = st.tuples(st.floats(0, 190), lengths, st.sampled_from(list(SectionType)), st.floats(0, 1))


@given(st.lists(proposals, max_size=12), lengths, st.sampled_from(list(ClipType)), st.floats(61, 200))
def test_every_candidate_is_about_as_long_as_wished_inside_the_video_and_unlike_the_others(
    found, length, kind, duration_s
):
    music = analysis(duration_s, tuple(highlight(start, n, type_, score) for start, n, type_, score in found))
    ranges = candidates(music, float(length), TYPES[kind], duration_s)
    for start_s, end_s in ranges:
        assert 0 <= start_s < end_s <= duration_s
        assert (
            max(CLIP_S_MIN, (1 - SNAP_SHARE) * length) <= end_s - start_s <= (1 + SNAP_SHARE) * length + 1e-6
        )
    for i, a in enumerate(ranges):
        for b in ranges[i + 1 :]:
            shared = min(a[1], b[1]) - max(a[0], b[0])
            assert shared <= 0.5 * min(a[1] - a[0], b[1] - b[0]) + 1e-9
