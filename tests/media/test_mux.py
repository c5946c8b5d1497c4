from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from av.video.frame import VideoFrame

from contracts.errors import Code, EchoError
from contracts.media import MediaInfo, MediaLimits
from dev.clips import GOOD
from dev.clips.good import NTSC
from dev.clips.pattern import click_times, read_number
from media.containers.isobmff import is_faststart
from media.joining import timescale
from media.mux import mux
from media.opening import open_media, video_stream
from media.probe import probe
from tests.media.joined import heard, join, plan_of, write_segments

WITH_SOUND = [
    "plain", "ntsc", "variable_rate", "late_start", "sound_late", "sound_late_primed", "sound_late_pcm", "sound_early",
    "two_tracks", "pcm_mov", "b_frames", "trimmed", "fragmented", "avi", "mkv", "webm", "avi_b_frames",
]  # fmt: skip


def probed(path: Path) -> MediaInfo:
    return probe(path, MediaLimits())


def clicks(path: Path, info: MediaInfo, track: int = 0) -> list[float]:
    """Seconds from the first picture to each click."""
    start, samples, rate = heard(path, track, info.container)
    return [start + time - float(info.picture.start_s) for time in click_times(samples, rate)]


@pytest.mark.parametrize("name", WITH_SOUND)
def test_every_click_stays_where_it_was_against_the_picture(joined, name):
    case = joined(name)
    found = probed(case.result)
    assert len(found.audio) == len(case.info.audio)
    for track in range(len(found.audio)):
        before, after = clicks(case.source, case.info, track), clicks(case.result, found, track)
        assert len(before) >= 1
        assert after == pytest.approx(before, abs=1 / 1000)


@pytest.mark.parametrize(
    "fps", [Fraction(60), Fraction(60000, 1001), Fraction(30), Fraction(120), Fraction(7013, 100)]
)
def test_every_frame_is_shown_at_exactly_its_time_through_all_seams(clip, tmp_path, fps):
    source = clip("plain")
    info = probed(source)
    result, plan = join(tmp_path, source, info, fps, cuts=(1, 2, 9, 20))
    with open_media(result, "mp4") as container:
        stream = video_stream(container)
        tick = stream.time_base or Fraction(0)
        shown = [((frame.pts or 0) * tick, _number(frame)) for frame in container.decode(stream)]
    assert shown == [(Fraction(k) / fps, k) for k in range(plan.out_frames)]


def _number(frame: VideoFrame) -> int:
    return read_number(np.asarray(frame.to_ndarray(format="rgb24"), np.uint8))


@pytest.mark.parametrize("name", [name for name in GOOD if name not in ("hlg", "pq")])
def test_orientation_aspect_and_frame_count_are_carried_over(joined, name):
    info, video = joined(name).info, probed(joined(name).result).picture
    assert video.frame_count == joined(name).plan.out_frames
    assert not video.variable_rate
    assert video.average_fps == 60
    assert (video.rotation_deg, video.mirrored) == (info.picture.rotation_deg, info.picture.mirrored)
    assert video.sample_aspect == info.picture.sample_aspect


@pytest.mark.parametrize("name", ["hlg", "pq"])
def test_hdr_stays_hdr(joined, name):
    assert probed(joined(name).result).picture.color == joined(name).info.picture.color


def test_the_index_comes_before_the_media(joined):
    result = joined("plain").result
    with result.open("rb") as file:
        assert is_faststart(file, result.stat().st_size)


def test_copied_sound_is_the_same_to_the_byte(joined):
    assert _sound_bytes(joined("plain").source) == _sound_bytes(joined("plain").result)


def _sound_bytes(path: Path) -> list[bytes]:
    with open_media(path, "mp4") as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]


@pytest.mark.parametrize(
    ("name", "codec"), [("pcm_mov", "aac"), ("avi", "aac"), ("mkv", "flac"), ("webm", "opus")]
)
def test_sound_that_mp4_players_cannot_read_becomes_aac_and_all_other_stays(joined, name, codec):
    track = probed(joined(name).result).audio[0]
    assert (track.codec, track.channels, track.sample_rate) == (codec, 2, 48000)


def test_languages_stay_with_their_tracks(joined):
    assert [track.language for track in probed(joined("two_tracks").result).audio] == ["kor", "eng"]


def test_sound_that_an_edit_list_cut_away_is_not_in_the_result(joined):
    """The untrimmed file holds half a second more; only the decoder's warm-up of it may remain."""
    kept = len(_sound_bytes(joined("trimmed").result)) * 1024 / 48000
    assert 1.5 <= kept < 1.5 + 3 * 1024 / 48000
    assert len(_sound_bytes(joined("trimmed").source)) * 1024 / 48000 > 1.9


def test_the_place_of_the_recording_is_dropped_and_its_time_kept(clip, tmp_path):
    import av

    source = tmp_path / "located.mov"
    with av.open(str(clip("plain"))) as plain, av.open(str(source), "w", format="mov") as located:
        located.metadata.update(
            {"location": "+37.5665+126.9780/", "creation_time": "2026-05-01T10:00:00.000000Z"}
        )
        streams = {stream.index: located.add_stream_from_template(stream) for stream in plain.streams}
        for packet in plain.demux():
            if packet.size:
                packet.stream = streams[packet.stream_index]
                located.mux(packet)
    assert b"37.5665" in source.read_bytes()
    result, _ = join(tmp_path, source, probed(source))
    assert b"37.5665" not in result.read_bytes()
    with av.open(str(result)) as container:
        assert container.metadata["creation_time"].startswith("2026-05-01T10:00:00")


def test_progress_counts_frames_to_the_last(clip, tmp_path):
    source, beats = clip("pcm_mov"), []
    info = probed(source)
    plan = plan_of(info.picture)
    segments = write_segments(tmp_path, info.picture, plan)
    mux(source, info, segments, plan, tmp_path / "out.mp4", lambda *beat: beats.append(beat))
    assert [done for _, done, _ in beats if done] == list(range(1, plan.out_frames + 1))
    assert {(stage, total) for stage, _, total in beats} == {("mux", plan.out_frames)}


def test_segments_that_do_not_fit_the_plan_are_refused_and_leave_nothing_behind(clip, tmp_path):
    source = clip("plain")
    info = probed(source)
    plan = plan_of(info.picture, cuts=(20, 40))
    segments = write_segments(tmp_path, info.picture, plan)
    (tmp_path / "out").mkdir()
    out = tmp_path / "out" / "result.mp4"
    for wrong in ([], segments[:2], [*segments, segments[0]]):
        with pytest.raises(EchoError) as caught:
            mux(source, info, wrong, plan, out)
        assert caught.value.code == Code.RESULT_UNVERIFIED
    shorter = plan_of(info.picture, cuts=(20, 39))
    with pytest.raises(EchoError, match="segment 1"):
        mux(source, info, segments, shorter, out)
    assert list(out.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("fps", "ticks"),
    [(Fraction(60), 90_000), (NTSC * 2, 180_000), (Fraction(30), 90_000), (Fraction(7013, 100), 14_026)],
)
def test_every_frame_time_is_whole_in_the_time_scale(fps, ticks):
    assert timescale(fps) == ticks
    assert (1 / fps * ticks).denominator == 1
