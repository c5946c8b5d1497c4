"""Whatever a person wishes of sections: it is refused with a reason, or becomes a list that keeps every rule."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import Code, EchoError
from contracts.kinds.music import (
    Highlight,
    Loudness,
    Music,
    MusicSummary,
    Reason,
    Section,
    SectionType,
    SongSummary,
)
from contracts.kinds.sections import (
    SECTION_MS_MIN,
    SECTIONS_MAX,
    SectionEdit,
    alike,
    edited,
    in_songs,
    type_within,
    with_sections,
)
from contracts.media import EngineUse
from contracts.settings import Settings

MS = 0.001
EDGE = 1e-9

types = st.sampled_from(SectionType)
shares = st.floats(0, 1)


@st.composite
def ranges(draw: st.DrawFn, duration_s: float) -> list[tuple[float, float]]:
    """Ordered, apart or touching, each long enough."""
    gaps = draw(st.lists(st.tuples(st.floats(0, 5), st.floats(0.51, 30)), min_size=1, max_size=8))
    at, found = 0.0, []
    for gap, length in gaps:
        if at + gap + length > duration_s:
            break
        found.append((at + gap, at + gap + length))
        at += gap + length
    return found or [(0.0, duration_s)]


@st.composite
def summaries(draw: st.DrawFn) -> MusicSummary:
    """An analysis as the engine makes it: songs in order, the sections of each fill it."""
    duration_s = draw(st.floats(10, 100))
    songs, sections = [], []
    for index, (start, end) in enumerate(draw(ranges(duration_s))):
        songs.append(
            SongSummary(
                start_s=start, end_s=end, tempo_bpm=120, tempo_confidence=1, beats_per_bar=4,
                downbeat_confidence=1, key=None, key_confidence=0,
            )
        )  # fmt: skip
        middle = (start + end) / 2
        for a, b in ((start, middle), (middle, end)):
            sections.append(
                Section(
                    start_s=a, end_s=b, type=draw(types), label=draw(st.sampled_from("ABC")),
                    energy=draw(shares), confidence=draw(shares), song=index,
                )
            )  # fmt: skip
    highlights = tuple(
        Highlight(
            length_s=15, start_s=start, end_s=end, type=draw(types), score=draw(shares),
            reasons=(Reason.POSITION,), song=0,
        )
        for start, end in draw(ranges(duration_s))
    )  # fmt: skip
    return MusicSummary(
        duration_s=duration_s,
        parts=(),
        sections=tuple(sections),
        highlights=highlights,
        songs=tuple(songs),
        loudness=Loudness(integrated_lufs=-10, range_lu=5, true_peak_dbtp=0),
        engine=EngineUse(role="analyse", name="test", version="1"),
    )


@st.composite
def lists(draw: st.DrawFn, duration_s: float) -> list[SectionEdit]:
    return [
        SectionEdit(
            start_s=start, end_s=end, type=draw(types), label=draw(st.none() | st.sampled_from("ABXYZ"))
        )
        for start, end in draw(ranges(duration_s))
    ]


@st.composite
def anything(draw: st.DrawFn) -> list[SectionEdit]:
    times = st.floats(0, 120)
    return draw(
        st.lists(st.builds(SectionEdit, start_s=times, end_s=times, type=types), min_size=1, max_size=5)
    )


def assert_kept(sections: tuple[Section, ...], found: MusicSummary) -> None:
    before = 0.0
    for section in sections:
        assert before <= section.start_s < section.end_s <= found.duration_s + EDGE
        # The last one may lose less than a millisecond to the end of the video.
        assert section.end_s - section.start_s > SECTION_MS_MIN / 1000 - MS
        assert 0 <= section.song < len(found.songs)
        assert section.label
        before = section.end_s


@given(st.data())
def test_a_list_in_order_is_taken_as_it_is_to_the_millisecond(data: st.DataObject) -> None:
    found = data.draw(summaries())
    wished = data.draw(lists(found.duration_s))

    sections = edited(wished, found.sections, found)

    assert_kept(sections, found)
    for section, wish in zip(sections, wished, strict=True):
        assert section.type is wish.type
        assert abs(section.start_s - wish.start_s) <= MS
        assert abs(section.end_s - wish.end_s) <= MS
        assert wish.label is None or section.label == wish.label


@given(summaries(), anything())
def test_whatever_is_sent_is_refused_or_keeps_every_rule(
    found: MusicSummary, wished: list[SectionEdit]
) -> None:
    refused, whole = None, wished
    try:
        edited(wished, found.sections, found)
    except EchoError as error:
        refused = error
    if refused is not None:
        assert refused.code is Code.SECTIONS_INVALID
        index = refused.fields["section"]
        assert isinstance(index, int)
        # What comes before the section that is named was well.
        whole = wished[:index]
    assert_kept(edited(whole, found.sections, found), found)


@given(summaries())
def test_what_is_sent_back_untouched_changes_nothing_but_its_last_digits(found: MusicSummary) -> None:
    long_enough = [s for s in found.sections if s.end_s - s.start_s > 0.6]
    wished = [SectionEdit(start_s=s.start_s, end_s=s.end_s, type=s.type) for s in long_enough]

    sections = edited(wished, found.sections, found)

    assert alike(sections, long_enough)
    assert [(s.energy, s.confidence) for s in sections] == [(s.energy, s.confidence) for s in long_enough]
    again = edited(wished, sections, found)
    assert again == sections


@given(st.data())
def test_of_what_a_person_changed_a_person_is_certain(data: st.DataObject) -> None:
    found = data.draw(summaries())
    wished = data.draw(lists(found.duration_s))
    known = {(round(s.start_s, 3), round(s.end_s, 3), s.type) for s in found.sections}

    for section, wish in zip(edited(wished, found.sections, found), wished, strict=True):
        if (round(wish.start_s, 3), round(wish.end_s, 3), wish.type) not in known:
            assert section.confidence == 1.0
            energies = [s.energy for s in found.sections]
            assert section.energy == 0.0 or min(energies) - EDGE <= section.energy <= max(energies) + EDGE


@given(st.data())
def test_the_owners_view_replaces_the_sections_and_types_the_highlights_by_them(data: st.DataObject) -> None:
    found = data.draw(summaries())
    sections = edited(data.draw(lists(found.duration_s)), found.sections, found)

    seen = with_sections(found, sections)

    assert seen.sections == sections
    for before, after in zip(found.highlights, seen.highlights, strict=True):
        assert after == before.model_copy(update={"type": after.type})
        assert after.type == (type_within(sections, before.start_s, before.end_s) or before.type)
    assert with_sections(seen, sections) == seen


@given(st.data())
def test_no_other_section_fills_more_of_a_range_than_the_one_that_types_it(data: st.DataObject) -> None:
    found = data.draw(summaries())
    start, end = data.draw(st.sampled_from(data.draw(ranges(found.duration_s))))

    shared = {}
    for section in found.sections:
        time = max(0.0, min(end, section.end_s) - max(start, section.start_s))
        shared[section.type] = max(shared.get(section.type, 0.0), time)

    type_ = type_within(found.sections, start, end)
    assert type_ is None if not max(shared.values()) else shared[type_] == max(shared.values())


def test_two_short_sections_of_a_type_do_not_outweigh_a_long_one() -> None:
    def section(start: float, end: float, type_: SectionType) -> Section:
        return Section(start_s=start, end_s=end, type=type_, label="A", energy=1, confidence=1, song=0)

    verses = [section(0, 4, SectionType.VERSE), section(10, 14, SectionType.VERSE)]
    assert (
        type_within([verses[0], section(4, 10, SectionType.CHORUS), verses[1]], 0, 14) is SectionType.CHORUS
    )
    assert type_within(verses, 5, 9) is None


@given(summaries())
def test_sections_of_an_older_analysis_find_their_songs(found: MusicSummary) -> None:
    astray = [section.model_copy(update={"song": 99}) for section in found.sections]
    assert in_songs(astray, found) == found.sections


@pytest.mark.parametrize("size", [500, 501, 600])
def test_half_a_second_is_enough_and_no_less(size: int) -> None:
    found = _minute()
    wish = SectionEdit(start_s=59.3, end_s=59.3 + size / 1000, type=SectionType.OUTRO)
    assert edited([wish], (), found)[0].end_s == pytest.approx(59.3 + size / 1000)
    with pytest.raises(EchoError):
        edited([wish.model_copy(update={"end_s": 59.3 + 0.499})], (), found)


def test_the_video_as_it_is_stored_is_no_view_of_its_beats() -> None:
    """Both forms of an analysis are seen alike."""
    summary = _minute()
    songs = [{**song.model_dump(), "beats_s": (), "downbeats_s": ()} for song in summary.songs]
    music = Music.model_validate({**summary.model_dump(), "songs": songs, "energy": ()})
    wish = [SectionEdit(start_s=0, end_s=60, type=SectionType.BRIDGE)]
    sections = edited(wish, music.sections, music)
    assert with_sections(music, sections).summary() == with_sections(summary, sections)


def _minute() -> MusicSummary:
    song = SongSummary(
        start_s=0, end_s=60, tempo_bpm=120, tempo_confidence=1, beats_per_bar=4, downbeat_confidence=1,
        key=None, key_confidence=0,
    )  # fmt: skip
    whole = Section(start_s=0, end_s=60, type=SectionType.CHORUS, label="A", energy=1, confidence=0.5, song=0)
    best = Highlight(
        length_s=15,
        start_s=10,
        end_s=25,
        type=SectionType.CHORUS,
        score=1,
        reasons=(Reason.LOUDNESS,),
        song=0,
    )
    return MusicSummary(
        duration_s=60,
        parts=(),
        sections=(whole,),
        highlights=(best,),
        songs=(song,),
        loudness=Loudness(integrated_lufs=-10, range_lu=5, true_peak_dbtp=0),
        engine=EngineUse(role="analyse", name="test", version="1"),
    )


def test_all_sections_of_the_longest_recording_can_be_sent_back_corrected() -> None:
    """Two hours of one loop at 120 beats a minute have been found to have 545: one in 13 s, at 140 one in 11 s."""
    longest = Settings().limits.duration_s_max
    assert longest / 11 < SECTIONS_MAX
    wish = SectionEdit(
        start_s=longest - 11.001, end_s=longest - 0.001, type=SectionType.INTERLUDE, label="AA"
    )
    assert SECTIONS_MAX * len(wish.model_dump_json()) < Settings().request_body_bytes_max
