from __future__ import annotations

import av
import numpy as np
import pytest

from contracts.media import ColorInfo
from media.color import LUMA_WEIGHTS, ColorModel, Picture, pad_even, subsample
from tests.media.pixels import flat


def model(matrix: str = "bt709", full: bool = False, depth: int = 8) -> ColorModel:
    return ColorModel(matrix, full, depth)


@pytest.mark.parametrize("matrix", sorted(LUMA_WEIGHTS))
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("depth", [8, 10])
def test_rgb_survives_the_way_to_code_values_and_back(matrix: str, full: bool, depth: int) -> None:
    color = model(matrix, full, depth)
    rgb = np.random.default_rng(1).random((16, 16, 3), np.float32)
    y, u, v = np.moveaxis(color.to_yuv(rgb), -1, 0)
    rounded = color.quantize(Picture(y, u, v))
    assert np.abs(color.to_rgb(rounded) - rgb).max() < 2 / 255


@pytest.mark.parametrize(
    ("matrix", "full", "rgb", "yuv"),
    [
        # Known code values of BT.601 and BT.709 colour bars.
        ("bt709", False, (1, 1, 1), (235, 128, 128)),
        ("bt709", False, (0, 0, 0), (16, 128, 128)),
        ("bt709", False, (1, 0, 0), (63, 102, 240)),
        ("smpte170m", False, (1, 0, 0), (81, 90, 240)),
        ("smpte170m", False, (0, 0, 1), (41, 240, 110)),
        ("bt470bg", True, (1, 1, 1), (255, 128, 128)),
        ("bt470bg", True, (0, 1, 0), (150, 44, 21)),
    ],
)
def test_primary_colours_have_their_standard_code_values(
    matrix: str, full: bool, rgb: tuple[int, int, int], yuv: tuple[int, int, int]
) -> None:
    picture = flat(model(matrix, full), rgb)
    assert [int(plane[4, 4]) for plane in picture.planes()] == list(yuv)


def test_rgb_agrees_with_swscale() -> None:
    color = model("smpte170m")
    for rgb in ((0.2, 0.5, 0.8), (0.9, 0.3, 0.1), (0.5, 0.5, 0.5)):
        picture = flat(color, rgb)
        frame = av.VideoFrame(48, 32, "yuv420p")
        for plane, values in zip(frame.planes, picture.planes(), strict=True):
            rows = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, -1)
            rows[:, : plane.width] = values
        theirs = frame.to_ndarray(format="rgb24", src_colorspace=5, src_color_range=1)
        assert np.abs(color.to_rgb(picture) * 255 - theirs).max() <= 2.5  # it truncates


def test_untagged_video_is_bt709_from_720_lines_on_and_bt601_below() -> None:
    assert ColorModel.of(ColorInfo(), 720, 8, "h264").matrix == "bt709"
    assert ColorModel.of(ColorInfo(), 576, 8, "h264").matrix == "smpte170m"
    assert ColorModel.of(ColorInfo(matrix="bt2020nc"), 480, 10, "hevc").matrix == "bt2020nc"


def test_chroma_stays_where_luma_is_when_enlarged() -> None:
    """A ramp across luma columns, in luma and in chroma sampled at the left of each pair: still equal after it."""
    width, height = 64, 16
    columns = np.arange(width, dtype=np.float32)
    y = np.tile(columns, (height, 1))
    u = np.tile(columns[::2], (height // 2, 1))
    v = np.tile((2 * np.arange(height // 2, dtype=np.float32) + 0.5)[:, None], (1, width // 2))
    large = model().enlarge(Picture(y, u, v), 2)
    inner = slice(16, -16)
    assert np.abs(large.u[8, inner] - large.y[16, ::2][inner]).max() < 0.1
    rows = (2 * np.arange(2 * height // 2) + 0.5 + 0.5) / 2 - 0.5
    assert np.abs(large.v[4:-4, 16] - rows[4:-4]).max() < 0.1


def test_denser_chroma_is_brought_to_420_without_a_shift() -> None:
    ramp = np.tile(np.arange(32, dtype=np.float32), (8, 1))
    assert np.array_equal(subsample(ramp)[0, 1:-1], ramp[0, 2:-2:2])
    for chroma in (ramp, ramp[:, ::2]):
        result = model().enlarge(Picture(ramp, chroma, chroma), 1)
        assert result.u.shape == (4, 16)
        assert np.array_equal(result.u[:, 1:], np.tile(ramp[0, 2::2], (4, 1)))


def test_odd_sides_repeat_the_last_line_so_that_none_is_lost() -> None:
    picture = pad_even(
        Picture(np.arange(15, dtype=np.uint8).reshape(3, 5), np.zeros((2, 3)), np.zeros((2, 3)))
    )
    assert picture.size == (6, 4)
    assert picture.y[3].tolist() == [10, 11, 12, 13, 14, 14]
