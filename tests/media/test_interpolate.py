from __future__ import annotations

import cv2
import numpy as np
import pytest

from dev.clips import packaged
from media.color import ColorModel, Picture
from media.interpolate import Interpolator, Shot, small_for_flow
from tests.media.pixels import psnr, textured

COLOR = ColorModel("bt709", False, 8)


def shot(rgb: np.ndarray, color: ColorModel = COLOR) -> Shot:
    """A shot whose enlarged picture is the source at twice the size."""
    yuv = color.to_yuv(rgb.astype(np.float32) / 255)
    source = color.quantize(Picture(yuv[..., 0], yuv[::2, ::2, 1], yuv[::2, ::2, 2]))
    return Shot(0, color.quantize(color.enlarge(source, 2)), small_for_flow(source, color.depth))


def moved(pixels: float, base: np.ndarray | None = None) -> np.ndarray:
    matrix = np.array([[1.0, 0, pixels], [0, 1, 0]])
    base = textured(160, 96) if base is None else base
    return cv2.warpAffine(base, matrix, (base.shape[1], base.shape[0]), borderMode=cv2.BORDER_REFLECT)


@pytest.mark.parametrize("phase", [0.25, 0.5, 0.8])
def test_motion_is_halfway_where_time_is(phase: float) -> None:
    a, b, wanted = (shot(moved(pixels)) for pixels in (0, 6, 6 * phase))
    motion = Interpolator().motion(a, b)
    assert motion is not None
    made = Interpolator().between(a, b, motion, phase)
    inner = (slice(16, -16), slice(32, -32))
    mixed = (1 - phase) * a.picture.y.astype(float) + phase * b.picture.y
    assert psnr(made.y[inner], wanted.picture.y[inner]) > 30
    assert psnr(made.y[inner], wanted.picture.y[inner]) > psnr(mixed[inner], wanted.picture.y[inner]) + 6
    chroma = (slice(8, -8), slice(16, -16))
    assert psnr(made.u[chroma], wanted.picture.u[chroma]) > 30


def test_what_moves_before_a_still_ground_leaves_the_ground_alone() -> None:
    def scene(left: int) -> np.ndarray:
        picture = textured(160, 96, seed=5) // 2 + 60
        picture[30:60, left : left + 30] = textured(160, 96, seed=9)[30:60, 40:70]
        return picture

    a, b = shot(scene(40)), shot(scene(48))
    motion = Interpolator().motion(a, b)
    assert motion is not None
    made = Interpolator().between(a, b, motion, 0.5)
    assert psnr(made.y[:, 240:], a.picture.y[:, 240:]) > 40
    assert psnr(made.y[64:116, 96:140], shot(scene(44)).picture.y[64:116, 96:140]) > 24


def test_a_cut_is_not_motion() -> None:
    for other in (textured(160, 96, seed=8), 255 - textured(160, 96), np.full((96, 160, 3), 250, np.uint8)):
        assert Interpolator().motion(shot(textured(160, 96)), shot(other)) is None


def test_a_cut_in_the_dark_is_a_cut() -> None:
    dark, other = textured(160, 96) // 8, textured(160, 96, seed=8) // 8
    assert Interpolator().motion(shot(dark), shot(other)) is None
    assert Interpolator().motion(shot(dark), shot(moved(2) // 8)) is not None


def test_a_cut_in_colour_alone_is_a_cut() -> None:
    """Same luma, other hue: what stage lights do."""
    red, blue = np.full((96, 160, 3), (150, 30, 60), np.uint8), np.full((96, 160, 3), (20, 60, 190), np.uint8)
    assert Interpolator().motion(shot(red), shot(blue)) is None


def test_the_cuts_of_real_footage_are_found_and_nothing_else() -> None:
    """The cut list of `bikes`, made by eye; a window around each cut and a calm stretch of each clip."""
    cuts = {"bikes": {29, 75}, "carphone_pristine": set()}
    for name, expected in cuts.items():
        shots = _shots(packaged(name), 90)  # type: ignore[arg-type]
        near = {n + step for n in expected for step in range(-2, 3)} | set(range(50, 60))
        found = {n for n in near if Interpolator().motion(shots[n], shots[n + 1]) is None}
        assert found == expected


def _shots(path, count: int) -> list[Shot]:
    import av

    shots = []
    with av.open(str(path)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number == count:
                break
            planes = [
                np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, -1)[:, : plane.width]
                for plane in frame.planes
            ]
            picture = Picture(
                *(cv2.resize(plane, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) for plane in planes)
            )
            shots.append(Shot(number, picture, small_for_flow(picture, 8)))
    return shots


def test_the_same_pair_gives_the_same_picture_whatever_came_before() -> None:
    a, b = shot(moved(0)), shot(moved(5))
    fresh, used = Interpolator(), Interpolator()
    used.motion(shot(textured(160, 96, seed=7)), shot(moved(3)))
    motions = [fresh.motion(a, b), used.motion(a, b)]
    made = [Interpolator().between(a, b, motion, 0.4) for motion in motions if motion]
    assert len(made) == 2
    assert made[0].equals(made[1])


def test_ten_bit_pictures_stay_ten_bit() -> None:
    color = ColorModel("bt2020nc", False, 10)
    a, b = shot(moved(0), color), shot(moved(4), color)
    motion = Interpolator().motion(a, b)
    assert motion is not None
    made = Interpolator().between(a, b, motion, 0.5)
    assert made.y.dtype == np.uint16
    assert made.y.max() > 300
