"""The output timeline against an exact model, on pictures before encoding; then what encoding makes of them."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from contracts.errors import Code, EchoError
from contracts.kinds.enhance import EnhanceParams
from media.color import ColorModel, Picture
from media.segment import enhance_segment
from tests.media.pixels import PLAIN, Job, clip_of, every, job, psnr, textured

CLOSE = Fraction(1, 16)
"""Of an output frame: nearer than this, source and output frame are the same moment."""


def drawing(number: int) -> np.ndarray:
    """Moves 3 pixels a frame and is never the same twice."""
    return np.roll(textured(96, 64), 3 * number, axis=1)


def enlarged_sources(work: Job) -> list[Picture]:
    video = work.info.picture
    color = ColorModel.of(video.color, video.height, video.bit_depth, video.codec)
    return [color.quantize(color.enlarge(frame.picture, work.params.scale)) for frame in work.source_frames()]


def places(work: Job, times_s: list[Fraction]) -> list[tuple[int, bool]]:
    """The model: for each output frame the source frame on screen, and whether it is shown untouched."""
    fps = work.plan.fps_out
    found = []
    for k in range(work.plan.out_frames):
        reached = [i for i, time in enumerate(times_s) if (time - times_s[0]) * fps <= k + CLOSE]
        shown = reached[-1] if reached else 0
        past = k - (times_s[shown] - times_s[0]) * fps
        found.append((shown, past <= CLOSE or shown == len(times_s) - 1))
    return found


RATES = [15, Fraction(24000, 1001), 25, Fraction(30000, 1001), 30, 50, Fraction(60000, 1001), 60, 120]


@pytest.mark.parametrize("fps", RATES, ids=str)
def test_constant_rates_fall_where_the_model_says(fps: Fraction, tmp_path: Path) -> None:
    times = every(fps, 12)
    work = job(clip_of(tmp_path / "clip.mp4", times, drawing, last_s=1 / Fraction(fps)))
    _matches_model(work, times)


def test_variable_rate_falls_where_the_model_says(tmp_path: Path) -> None:
    gaps_ms = (33, 50, 20, 33, 70, 17, 16, 41, 33, 60, 33)
    times = [Fraction(sum(gaps_ms[:n]), 1000) for n in range(len(gaps_ms) + 1)]
    work = job(clip_of(tmp_path / "vfr.mp4", times, drawing, last_s=Fraction(50, 1000)))
    assert work.plan.out_frames == round((times[-1] + Fraction(50, 1000)) * 60)
    _matches_model(work, times)


def test_a_late_start_moves_nothing(tmp_path: Path) -> None:
    early, late = every(25, 8), [Fraction(7, 2) + time for time in every(25, 8)]
    a = job(clip_of(tmp_path / "early.mp4", early, drawing, last_s=Fraction(1, 25)))
    b = job(clip_of(tmp_path / "late.mp4", late, drawing, last_s=Fraction(1, 25)))
    assert b.plan.src_start_pts > a.plan.src_start_pts
    assert all(p.equals(q) for p, q in zip(a.pictures(a.whole), b.pictures(b.whole), strict=True))


def _matches_model(work: Job, times: list[Fraction]) -> None:
    sources, made = enlarged_sources(work), work.pictures(work.whole)
    model = places(work, times)
    assert len(made) == len(model) == work.plan.out_frames
    for picture, (shown, untouched) in zip(made, model, strict=True):
        if untouched:
            assert picture.equals(sources[shown])
        else:
            assert not picture.equals(sources[shown])
            # Between its neighbours, not beyond them: nearer to both than they are to each other.
            apart = psnr(sources[shown].y, sources[shown + 1].y)
            assert min(psnr(picture.y, sources[shown].y), psnr(picture.y, sources[shown + 1].y)) > apart - 1


def test_the_last_frame_keeps_its_own_duration(tmp_path: Path) -> None:
    times = every(30, 6)
    work = job(clip_of(tmp_path / "clip.mp4", times, drawing, last_s=Fraction(1, 2)))
    made, last = work.pictures(work.whole), enlarged_sources(work)[-1]
    assert work.plan.out_frames == 10 + 30
    assert all(picture.equals(last) for picture in made[10:])
    assert not made[9].equals(last)


def test_a_long_freeze_stays_a_freeze(tmp_path: Path) -> None:
    times = [*every(30, 6), *(1 + time for time in every(30, 6))]
    work = job(clip_of(tmp_path / "freeze.mp4", times, drawing))
    made, sources = work.pictures(work.whole), enlarged_sources(work)
    assert all(picture.equals(sources[5]) for picture in made[10:60])
    assert made[60].equals(sources[6])


def test_a_single_dropped_frame_is_bridged_by_motion(tmp_path: Path) -> None:
    times = [time for number, time in enumerate(every(30, 9)) if number != 4]
    work = job(clip_of(tmp_path / "drop.mp4", times, drawing))
    made, sources = work.pictures(work.whole), enlarged_sources(work)
    assert not any(made[8].equals(source) for source in sources)


def test_repeated_source_frames_are_repeated_untouched(tmp_path: Path) -> None:
    work = job(clip_of(tmp_path / "repeat.mp4", every(30, 6), lambda number: drawing(number // 2 * 2)))
    made, sources = work.pictures(work.whole), enlarged_sources(work)
    assert sources[0].equals(sources[1])
    assert made[1].equals(sources[0])
    assert made[2].equals(sources[0])
    assert not made[3].equals(sources[2])


def test_a_cut_lands_on_its_output_frame_and_nothing_is_mixed_across_it(tmp_path: Path) -> None:
    other = textured(96, 64, seed=11)
    work = job(
        clip_of(tmp_path / "cut.mp4", every(25, 10), lambda n: drawing(n) if n < 5 else np.roll(other, n, 1))
    )
    pictures = work.work(work.whole)
    made = list(pictures.pictures(iter(work.source_frames())))
    sources = enlarged_sources(work)
    assert pictures.cuts == 1
    # Source frame 5 is shown at 5 / 25 s, which is output frame 12.
    assert made[10].equals(sources[4])
    assert made[11].equals(sources[4])
    assert made[12].equals(sources[5])


def test_source_rate_shows_source_frames_only(tmp_path: Path) -> None:
    times = [Fraction(n, 1000) for n in (0, 33, 67, 110, 133, 190, 200)]
    work = job(clip_of(tmp_path / "vfr.mp4", times, drawing), PLAIN.model_copy(update={"fps": "source"}))
    sources = enlarged_sources(work)
    assert all(any(picture.equals(source) for source in sources) for picture in work.pictures(work.whole))


def test_doubled_rate_keeps_every_source_frame(tmp_path: Path) -> None:
    work = job(clip_of(tmp_path / "clip.mp4", every(24, 6), drawing), PLAIN.model_copy(update={"fps": "2x"}))
    made, sources = work.pictures(work.whole), enlarged_sources(work)
    assert all(made[2 * n].equals(source) for n, source in enumerate(sources))


def test_scale_one_keeps_the_source_pictures(tmp_path: Path) -> None:
    work = job(
        clip_of(tmp_path / "clip.mp4", every(60, 4), drawing, last_s=Fraction(1, 60)), EnhanceParams(scale=1)
    )
    frames = work.source_frames()
    assert all(a.equals(b.picture) for a, b in zip(work.pictures(work.whole), frames, strict=True))


@pytest.mark.parametrize("name", ["plain", "hlg", "full_range", "bt601", "odd_sized", "ntsc", "avi"])
def test_the_file_has_exact_times_its_tags_and_the_pictures(name: str, clip, tmp_path: Path) -> None:
    work = job(clip(name))
    segment, out = work.plan.segments[-1], tmp_path / "segment.mp4"
    stats = enhance_segment(work.path, work.info, work.plan, segment, work.params, out)
    pictures = work.pictures(segment)
    with av.open(str(out)) as container:
        stream = container.streams.video[0]
        assert stream.time_base
        frames = list(container.decode(stream))
        ten_bits = work.info.picture.bit_depth > 8
        assert (stream.codec_context.name, stream.codec_context.codec_tag) == (
            ("hevc", "hvc1") if ten_bits else ("h264", "avc1")
        )
    assert stats.frames == len(frames) == len(pictures) == segment.out_end - segment.out_first
    for k, (frame, picture) in enumerate(zip(frames, pictures, strict=True)):
        assert frame.pts is not None
        assert frame.pts * stream.time_base * work.plan.fps_out == k
        kind = np.uint16 if ten_bits else np.uint8
        y = np.frombuffer(memoryview(frame.planes[0]), kind).reshape(frame.height, -1)[:, : frame.width]
        assert psnr(y / (4 if ten_bits else 1), picture.y / (4 if ten_bits else 1)) > 36
    color = work.info.picture.color
    # H.264 cannot leave the range open once the matrix is written: without a range, video is limited.
    assert frames[0].color_range == (2 if color.range == "pc" else 1)
    if color.matrix != "unknown":
        assert frames[0].colorspace == {"bt709": 1, "bt470bg": 5, "smpte170m": 6, "bt2020nc": 9}[color.matrix]
    else:
        assert frames[0].colorspace == 6, "players would guess another matrix at twice the height"


def test_segments_of_a_job_share_their_parameter_sets_and_start_with_a_key_frame(tmp_path: Path) -> None:
    work = job(clip_of(tmp_path / "long.mp4", every(15, 30), drawing, last_s=Fraction(1, 15)))
    assert len(work.plan.segments) == 4
    extradata = set()
    for segment in work.plan.segments:
        out = tmp_path / f"{segment.index}.mp4"
        enhance_segment(work.path, work.info, work.plan, segment, work.params, out)
        with av.open(str(out)) as container:
            extradata.add(bytes(container.streams.video[0].codec_context.extradata or b""))
            assert next(container.demux(video=0)).is_keyframe
    assert len(extradata) == 1


def test_progress_counts_source_and_output_frames_to_the_end(clip, tmp_path: Path) -> None:
    work, seen = job(clip("silent")), []
    segment = work.plan.segments[0]
    enhance_segment(
        work.path, work.info, work.plan, segment, work.params, tmp_path / "s.mp4",
        lambda stage, done, total: seen.append((stage, done, total)),
    )  # fmt: skip
    for stage, total in (
        ("upscale", segment.src_frames),
        ("interpolate", segment.out_end - segment.out_first),
    ):
        counts = [done for name, done, of in seen if name == stage and of == total]
        assert counts == sorted(counts)
        assert counts[-1] == total


def test_a_failed_segment_leaves_no_file(clip, tmp_path: Path) -> None:
    work = job(clip("plain"))
    beyond = work.whole.model_copy(update={"src_first_pts": 10**9, "src_last_pts": 10**9 + 1})
    with pytest.raises(EchoError) as caught:
        enhance_segment(work.path, work.info, work.plan, beyond, work.params, tmp_path / "s.mp4")
    assert caught.value.code == Code.CORRUPT
    assert list(tmp_path.iterdir()) == []


def test_memory_holds_two_frames_whatever_the_length(tmp_path: Path) -> None:
    """Pictures are made when asked for: the decoder is never more than one frame ahead of the encoder's need."""
    work = job(clip_of(tmp_path / "clip.mp4", every(30, 20), drawing))
    taken: list[int] = []

    def counted():
        for number, frame in enumerate(work.source_frames()):
            taken.append(number)
            yield frame

    for k, _ in enumerate(work.work(work.whole).pictures(counted())):
        assert len(taken) <= math.floor(k / 2) + 2
