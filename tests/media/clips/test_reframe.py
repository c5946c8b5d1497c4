from __future__ import annotations

from fractions import Fraction

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from contracts.kinds.clip import ClipFormat, CropPoint
from contracts.media import MediaLimits, VideoInfo
from dev.clips.writer import Look, write
from media.clips.reframe import SIZES, centre_at, frame_of
from media.opening import open_media, video_stream
from media.probe import probe
from media.thumbnails import thumbnails
from tests.media.clips.sources import Source, decoded
from tests.media.pixels import every

LIMITS = MediaLimits()


def video(width: int, height: int, **known) -> VideoInfo:
    return VideoInfo(
        codec="h264", pixel_format="yuv420p", bit_depth=8, width=width, height=height, average_fps=Fraction(30),
        frame_count=1, start_s=Fraction(0), duration_s=Fraction(1), variable_rate=False, **known,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("width", "height", "form", "size"),
    [
        (1920, 1080, ClipFormat.VERTICAL, (1080, 1920)),
        (1920, 1080, ClipFormat.SQUARE, (1080, 1080)),
        (1920, 1080, ClipFormat.LANDSCAPE, (1920, 1080)),
        (3840, 2160, ClipFormat.LANDSCAPE, (1920, 1080)),
        (1280, 720, ClipFormat.LANDSCAPE, (1920, 1080)),
        (1280, 720, ClipFormat.VERTICAL, (810, 1440)),
        (640, 360, ClipFormat.SQUARE, (720, 720)),
        (160, 120, ClipFormat.VERTICAL, (126, 224)),
    ],
)
def test_small_sources_are_enlarged_twofold_at_most(width, height, form, size):
    frame = frame_of(video(width, height), form)
    assert (frame.width, frame.height) == size


@given(
    st.integers(16, 4096), st.integers(16, 4096), st.sampled_from([0, 90, 180, 270]),
    st.sampled_from(["1", "4/3", "8/9"]), st.sampled_from([form for form in ClipFormat if form in SIZES]),
)  # fmt: skip
def test_the_shape_is_exact_and_the_crop_lies_in_the_picture(width, height, turn, aspect, form):
    info = video(width, height, rotation_deg=turn, sample_aspect=Fraction(aspect))
    frame = frame_of(info, form)
    assert Fraction(frame.width, frame.height) == Fraction(*SIZES[form])
    assert frame.width % 2 == frame.height % 2 == 0
    shown = (width * Fraction(aspect), height)[:: -1 if turn in (90, 270) else 1]
    assert frame.crop_width <= shown[0] + 1e-6
    assert frame.crop_height <= shown[1] + 1e-6


def test_between_two_points_the_middle_moves_straight():
    path = (CropPoint(at_s=1, x=0.2, y=0.5), CropPoint(at_s=3, x=0.6, y=0.7))
    assert centre_at((), 5) == (0.5, 0.5)
    assert centre_at(path, 0) == (0.2, 0.5)
    assert centre_at(path, 2) == pytest.approx((0.4, 0.6))
    assert centre_at(path, 9) == (0.6, 0.7)


def ramps(width: int = 320, height: int = 180) -> np.ndarray:
    """Red rises to the right, green downwards."""
    red, green = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return np.stack([red, green, np.full_like(red, 128)], axis=-1).astype(np.uint8)


def ramp_source(folder, look: Look | None = None) -> Source:
    look = look or Look(matrix=1, primaries=1, transfer=1, color_range=1)
    path, times = folder / "ramp.mp4", every(30, 40)
    tagged = probe(write(path, [(Fraction(0), ramps())], look=look), LIMITS).picture
    turned = np.rot90(ramps(), tagged.rotation_deg // 90)
    coded = np.ascontiguousarray(turned[:, ::-1] if tagged.mirrored else turned)
    write(path, [(time, coded) for time in times], look=look)
    return Source(path, probe(path, LIMITS), tuple(times))


LOOKS = {
    "upright": {}, "90": {"rotation_ccw": -90}, "180": {"rotation_ccw": -180}, "270": {"rotation_ccw": -270},
    "mirrored": {"mirrored": True}, "mirrored and 90": {"mirrored": True, "rotation_ccw": -90},
}  # fmt: skip


@pytest.mark.parametrize("look", LOOKS)
def test_the_crop_follows_the_path_on_the_videos_own_time(tmp_path, look):
    source = ramp_source(tmp_path, Look(matrix=1, primaries=1, transfer=1, color_range=1, **LOOKS[look]))
    path = (CropPoint(at_s=0.2, x=0.3, y=0.5), CropPoint(at_s=1.2, x=0.7, y=0.5))
    clip = source.cut(tmp_path / "out", 0.2, 1.2, ClipFormat.VERTICAL, path=path)
    pictures = [picture for _, picture in decoded(clip)]
    height, width = pictures[0].shape[:2]
    middles = [
        picture[height // 2 - 4 : height // 2 + 4, width // 2 - 4 : width // 2 + 4] for picture in pictures
    ]
    found = [float(middle[..., 0].mean()) / 255 for middle in middles]
    wanted = [0.3 + 0.4 * number / 30 for number in range(30)]
    assert found == pytest.approx(wanted, abs=0.02)  # 5 of 255 levels: coding, and steps of a pixel


def test_a_path_beyond_the_edge_stops_at_it(tmp_path):
    source = ramp_source(tmp_path)
    clip = source.cut(tmp_path / "out", 0.2, 0.6, ClipFormat.SQUARE, path=(CropPoint(at_s=0, x=0, y=1),))
    left = decoded(clip)[0][1][:, :4, 0].mean()
    assert left < 6


def test_colours_are_those_of_the_source_whatever_its_matrix(tmp_path):
    for name, look in {
        "601": Look(matrix=6, primaries=6, transfer=6, color_range=1),
        "full": Look(pixel_format="yuvj420p", matrix=5, primaries=1, transfer=1, color_range=2),
        "709": Look(matrix=1, primaries=1, transfer=1, color_range=1),
    }.items():
        (tmp_path / name).mkdir()
        clip = ramp_source(tmp_path / name, look).cut(tmp_path / name, 0.2, 0.6, ClipFormat.LANDSCAPE)
        picture = decoded(clip)[3][1]
        height, width = picture.shape[:2]
        for y, x in ((0.25, 0.25), (0.5, 0.5), (0.75, 0.3)):
            found = picture[
                int(y * height) - 3 : int(y * height) + 3, int(x * width) - 3 : int(x * width) + 3
            ]
            assert found.mean(axis=(0, 1)) == pytest.approx([x * 255, y * 255, 128], abs=6), name


@pytest.mark.parametrize("name", ["hlg", "pq"])
def test_hdr_becomes_what_the_tone_curve_makes_of_it(clip, tmp_path, name):
    info = probe(clip(name), LIMITS)
    source = Source(clip(name), info, tuple(every(30, 12)))
    made = source.cut(tmp_path, 0.0, 0.4, ClipFormat.SQUARE)
    assert not made.info.picture.hdr
    assert made.info.picture.bit_depth == 8
    assert source.cut(tmp_path / "original", 0.0, 0.4, ClipFormat.ORIGINAL).info.picture.hdr
    still = thumbnails(clip(name), info, tmp_path)[1]  # of the middle, by the same curve without a table
    with Image.open(still.path) as picture:
        wanted = np.asarray(picture)[:, 20:140]
    found = cv2.resize(decoded(made)[6][1], (120, 120), interpolation=cv2.INTER_AREA)
    assert np.abs(found.mean(axis=(0, 1)) - wanted.mean(axis=(0, 1))).max() < 4


@pytest.mark.slow
def test_social_formats_are_coded_as_every_site_takes_them(source, tmp_path):
    clip = source("plain").cut(tmp_path, 0.3, 3.9, ClipFormat.VERTICAL)
    with open_media(tmp_path / "clip.mp4", "mp4") as container:
        stream = video_stream(container)
        keys = [p.pts * p.time_base for p in container.demux(stream) if p.is_keyframe and p.pts is not None]
        assert stream.codec_context.profile == "High"
        assert container.streams.audio[0].codec_context.profile == "LC"
    assert [round(float(key), 3) for key in keys] == [0.0, 2.0]
    assert (clip.info.picture.codec, clip.info.picture.pixel_format) == ("h264", "yuv420p")
    sound = clip.info.audio[0]
    assert (sound.codec, sound.sample_rate, sound.channels) == ("aac", 48000, 2)
