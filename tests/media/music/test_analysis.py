from __future__ import annotations

import itertools
from pathlib import Path

import av
import numpy as np
import pytest

from contracts.errors import Code, EchoError
from contracts.kinds.music import Music, PartType, SectionType
from media.music.analysis import analyse
from tests.media.music.songs import applause, silence, song, speech, write

FORM = (("A", 8), ("B", 8), ("A", 8), ("B", 8), ("C", 8), ("B", 8))
BAR_S = 2.0


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Music:
    return analyse(write(tmp_path_factory.mktemp("music") / "song.wav", song(FORM)), "wav")


def refusal(path: Path) -> Code:
    with pytest.raises(EchoError) as refused:
        analyse(path, "wav")
    return refused.value.code


def test_sections_begin_where_the_song_was_put_together(music: Music) -> None:
    starts = [section.start_s for section in music.sections]
    assert all(min(abs(start - 16 * i) for start in starts) < 0.5 for i in range(6))
    assert len(starts) <= 8


def test_what_was_played_again_has_its_letter_again(music: Music) -> None:
    def letter(at_s: float) -> str:
        return next(s.label for s in music.sections if s.start_s <= at_s < s.end_s)

    assert letter(8) == letter(40)
    assert letter(24) == letter(56) == letter(88)
    assert len({letter(8), letter(24), letter(72)}) == 3


def test_the_loud_part_that_comes_back_is_the_chorus_and_the_best_highlight(music: Music) -> None:
    chorus = {SectionType.CHORUS, SectionType.CLIMAX}
    types = {s.type for s in music.sections if any(a <= s.start_s + 1 < a + 14 for a in (16, 48, 80))}
    assert types <= chorus
    assert sum(s.type is SectionType.CLIMAX for s in music.sections) == 1
    best = next(h for h in music.highlights if h.length_s == 15)
    assert best.type in chorus


def test_sections_cover_the_song_without_gaps(music: Music) -> None:
    sections = music.sections
    assert sections[0].start_s == music.songs[0].start_s
    assert sections[-1].end_s == music.songs[0].end_s
    assert all(a.end_s == b.start_s for a, b in itertools.pairwise(sections))


def test_tempo_and_downbeats_are_those_that_were_played(music: Music) -> None:
    found = music.songs[0]
    assert found.tempo_bpm == pytest.approx(120, abs=0.5)
    assert found.beats_per_bar == 4
    off = [abs(t / BAR_S - round(t / BAR_S)) * BAR_S for t in found.downbeats_s]
    assert np.mean(np.array(off) < 0.1) > 0.9
    assert set(found.downbeats_s) <= set(found.beats_s)


def test_highlights_lie_on_bars_and_do_not_repeat_each_other(music: Music) -> None:
    for length in (15, 30, 60):
        ranges = [(h.start_s, h.end_s) for h in music.highlights if h.length_s == length]
        assert ranges
        for start, end in ranges:
            assert abs((end - start) - length) <= BAR_S
            assert abs(start / BAR_S - round(start / BAR_S)) * BAR_S < 0.1
        assert all(
            min(b, d) - max(a, c) <= length / 2 for i, (a, b) in enumerate(ranges) for c, d in ranges[:i]
        )


def test_the_energy_curve_has_two_values_a_second_and_follows_the_song(music: Music) -> None:
    assert len(music.energy) == 2 * 96
    assert np.mean(music.energy[36:60]) > np.mean(music.energy[4:28]) + 0.05


def test_songs_are_split_at_applause(tmp_path: Path) -> None:
    one, two = song((("A", 8), ("B", 8))), song((("C", 8), ("A", 8)), bpm=100)
    found = analyse(write(tmp_path / "concert.wav", applause(6), one, applause(8), two, applause(6)), "wav")
    assert [(round(s.start_s), round(s.end_s)) for s in found.songs] == [
        (pytest.approx(6, abs=2), pytest.approx(38, abs=2)),
        (pytest.approx(46, abs=2), pytest.approx(84, abs=2)),
    ]
    assert [part.type for part in found.parts][::2] == [PartType.APPLAUSE] * 3
    assert [section.song for section in found.sections] == sorted(section.song for section in found.sections)
    assert found.parts[-1].end_s == found.duration_s


def test_talk_before_the_song_is_no_music(tmp_path: Path) -> None:
    found = analyse(write(tmp_path / "talk.wav", speech(12), song((("A", 8),))), "wav")
    assert found.parts[0].type is PartType.TALK
    assert found.songs[0].start_s == pytest.approx(12, abs=2)


def test_eight_kilohertz_are_enough(tmp_path: Path) -> None:
    found = analyse(write(tmp_path / "phone.wav", song((("A", 4), ("B", 4))), rate=8000), "wav")
    assert found.duration_s == pytest.approx(16, abs=0.1)
    assert found.songs[0].tempo_bpm == pytest.approx(120, abs=1)


def test_what_cannot_be_analysed_is_refused_by_its_reason(tmp_path: Path) -> None:
    assert refusal(write(tmp_path / "silent.wav", silence(20))) is Code.SILENT
    assert refusal(write(tmp_path / "speech.wav", speech(30))) is Code.NO_MUSIC
    assert refusal(write(tmp_path / "applause.wav", applause(20))) is Code.NO_MUSIC
    assert refusal(write(tmp_path / "short.wav", song((("A", 2),)))) is Code.TOO_SHORT
    assert refusal(tmp_path / "missing.wav") is Code.SOURCE_MISSING
    (tmp_path / "text.wav").write_bytes(b"no sound at all")
    assert refusal(tmp_path / "text.wav") is Code.CORRUPT


def test_a_picture_without_sound_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mute.mp4"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=25)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for _ in range(10):
            file.mux(
                stream.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24"))
            )
        file.mux(stream.encode(None))
    with pytest.raises(EchoError) as refused:
        analyse(path, "mp4")
    assert refused.value.code is Code.NO_AUDIO
