from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from contracts.errors import Code, EchoError
from contracts.media import MediaInfo, MediaLimits
from dev.clips import GOOD
from dev.clips.pattern import read_number
from media.color import ColorModel
from media.decode import Decoder, SourceFrame
from media.plan import read_times
from media.probe import probe
from tests.media.pixels import clip_of, every, textured

ALL = (0, -(10**9), 10**12)


def decoded(
    path: Path, info: MediaInfo, seek: int, first: int, last: int, count: int = 100
) -> list[SourceFrame]:
    with Decoder(path, info) as decoder:
        return list(decoder.frames(seek, first, last, count))


def numbers(frames: list[SourceFrame], info: MediaInfo) -> list[int]:
    video = info.picture
    color = ColorModel.of(video.color, video.height, video.bit_depth, video.codec)
    return [read_number(np.rint(color.to_rgb(frame.picture) * 255).astype(np.uint8)) for frame in frames]


@pytest.mark.parametrize("name", sorted(set(GOOD) - {"flash"}))
def test_every_frame_comes_once_in_order_at_its_planned_time(name: str, clip) -> None:
    path = clip(name)
    info = probe(path, MediaLimits())
    times = read_times(path, info)
    frames = decoded(path, info, times.pts[0], times.pts[0], times.pts[-1])
    assert [frame.pts for frame in frames] == times.pts
    assert len(frames) == info.picture.frame_count
    seen = numbers(frames, info)
    steps = {b - a for a, b in pairwise(seen)}
    assert steps <= ({1, 2} if name == "hidden_frames" else {1})


@pytest.mark.parametrize(
    "name", ["plain", "b_frames", "trimmed", "mkv", "webm", "avi", "avi_b_frames", "late_start"]
)
def test_a_stretch_equals_the_same_frames_of_the_whole(name: str, clip) -> None:
    path = clip(name)
    info = probe(path, MediaLimits())
    times = read_times(path, info)
    whole = decoded(path, info, times.pts[0], times.pts[0], times.pts[-1])
    first, last = len(whole) // 2, len(whole) // 2 + 4
    key = max(key for key in times.keys if key <= whole[first].pts)
    part = decoded(path, info, key, whole[first].pts, whole[last].pts)
    assert [frame.pts for frame in part] == [frame.pts for frame in whole[first : last + 1]]
    assert all(a.picture.equals(b.picture) for a, b in zip(part, whole[first:], strict=False))


def damaged(path: Path, victims: range) -> Path:
    """The same file with the bytes of these packets overwritten."""
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        places = [(packets[victim].pos, packets[victim].size) for victim in victims]
    content = bytearray(path.read_bytes())
    for position, size in places:
        assert position is not None
        content[position : position + size] = bytes(size)
    path.write_bytes(content)
    return path


def intra_only(folder: Path) -> Path:
    """Each frame stands alone, so that damage to one is damage to one."""
    options = {"preset": "veryfast", "crf": "16", "g": "1", "bf": "0"}
    return clip_of(
        folder / "intra.mp4",
        every(30, 40),
        lambda number: np.roll(textured(), 2 * number, 1),
        options=options,
    )


def test_a_lost_frame_is_replaced_by_the_one_before(tmp_path: Path) -> None:
    path = intra_only(tmp_path)
    info = probe(path, MediaLimits())
    whole = decoded(path, info, *ALL)
    frames = decoded(damaged(path, range(20, 22)), info, *ALL)
    assert [frame.pts for frame in frames] == [frame.pts for frame in whole]
    assert frames[20].picture.equals(whole[19].picture)
    assert frames[21].picture.equals(whole[19].picture)
    assert frames[22].picture.equals(whole[22].picture)


def test_a_lost_first_frame_is_replaced_by_the_next(tmp_path: Path) -> None:
    path = intra_only(tmp_path)
    info = probe(path, MediaLimits())
    whole = decoded(path, info, *ALL)
    frames = decoded(damaged(path, range(1)), info, *ALL)
    assert len(frames) == 40
    assert frames[0].picture.equals(whole[1].picture)


def test_too_many_lost_frames_are_an_error_not_a_slide_show(tmp_path: Path) -> None:
    path = intra_only(tmp_path)
    info = probe(path, MediaLimits())
    with pytest.raises(EchoError) as caught:
        decoded(damaged(path, range(20, 26)), info, *ALL)
    assert caught.value.code == Code.CORRUPT


@pytest.mark.parametrize(
    ("codec", "pixel_format", "suffix", "depth", "chroma"),
    [
        ("libx264", "yuv420p", ".mp4", 8, (32, 48)),
        ("libx264", "yuv422p", ".mp4", 8, (64, 48)),
        ("libx264", "yuv444p", ".mp4", 8, (64, 96)),
        ("libx264", "yuv420p10le", ".mp4", 10, (32, 48)),
        ("libx264", "gray", ".mp4", 8, (32, 48)),
        ("prores_ks", "yuv422p10le", ".mov", 10, (64, 48)),
        ("ffv1", "bgr0", ".mkv", 8, (64, 96)),
        ("mjpeg", "yuvj422p", ".avi", 8, (64, 48)),
    ],
)
def test_any_pixel_format_becomes_planar_at_its_own_depth_with_its_colours(
    codec: str, pixel_format: str, suffix: str, depth: int, chroma: tuple[int, int], tmp_path: Path
) -> None:
    def draw(number: int) -> np.ndarray:
        grey = pixel_format == "gray"
        return np.full((64, 96, 3), (120, 120, 120) if grey else (200, 90, 40), np.uint8)

    tick = {"codec": codec, "pixel_format": pixel_format, "options": {}}
    path = clip_of(tmp_path / f"clip{suffix}", every(30, 3), draw, **tick)
    info = probe(path, MediaLimits())
    frames = decoded(path, info, *ALL)
    picture = frames[0].picture
    assert len(frames) == 3
    assert picture.y.dtype == (np.uint8 if depth == 8 else np.uint16)
    assert picture.u.shape == chroma
    rgb = (
        ColorModel.of(info.picture.color, 64, info.picture.bit_depth, info.picture.codec).to_rgb(picture)
        * 255
    )
    assert np.abs(rgb.mean(axis=(0, 1)) - draw(0)[0, 0]).max() < 5


def test_rotation_is_left_to_the_player(clip) -> None:
    path = clip("rotated_90")
    info = probe(path, MediaLimits())
    assert info.picture.rotation_deg == 90
    assert decoded(path, info, *ALL)[0].picture.size == (info.picture.width, info.picture.height)


def test_variable_times_are_kept_to_the_tick(tmp_path: Path) -> None:
    times = [Fraction(n, 1000) for n in (0, 33, 90, 100, 170)]
    path = clip_of(tmp_path / "vfr.mp4", times, lambda number: textured(seed=number))
    frames = decoded(path, probe(path, MediaLimits()), *ALL)
    assert [frame.pts for frame in frames] == [int(time * 90000) for time in times]
