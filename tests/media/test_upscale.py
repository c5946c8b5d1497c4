"""One suite for every enlarging engine."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from contracts.errors import Code, EchoError
from contracts.kinds.enhance import EnhanceParams, Upscaler
from contracts.media import MediaLimits
from dev.clips import packaged
from dev.clips.packaged import Name
from media.color import ColorModel, Picture
from media.decode import Decoder
from media.probe import probe
from media.upscale import Enlarger, make_enlarger
from media.upscale import weights as weights_module
from media.upscale.ncnn_network import NcnnNetwork
from media.upscale.network import NetworkEnlarger, low_frequencies
from tests.media.pixels import flat, psnr, textured

COLOR = ColorModel("bt709", False, 8)
SLOW = pytest.param(("x4plus", 1.0), marks=pytest.mark.slow)
ENGINES = [("lanczos", 1.0), ("animevideov3", 1.0), ("animevideov3", 0.4), SLOW]
COLORS = {
    "black": (0, 0, 0), "near black": (0.02, 0.02, 0.03), "dark grey": (0.12, 0.12, 0.12),
    "grey": (0.5, 0.5, 0.5), "bright grey": (0.9, 0.9, 0.9), "white": (1, 1, 1), "red": (1, 0, 0),
    "green": (0, 1, 0), "blue": (0, 0, 1), "stage purple": (0.6, 0.05, 0.5), "skin": (0.8, 0.55, 0.45),
}  # fmt: skip


@pytest.fixture(scope="module", params=ENGINES, ids=lambda engine: f"{engine[0]}-{engine[1]}")
def engine(request: pytest.FixtureRequest) -> Enlarger:
    upscaler, strength = request.param
    return make_enlarger(EnhanceParams(upscaler=upscaler, strength=strength), COLOR)


@pytest.fixture
def small(engine: Enlarger) -> tuple[int, int]:
    """Width and height of a picture that this engine is done with in a moment."""
    heavy = engine.use is not None and engine.use.name.startswith("x4plus")
    return (20, 16) if heavy else (48, 48)


def nothing() -> None:
    pass


def picture_of(rgb: np.ndarray, color: ColorModel = COLOR) -> Picture:
    yuv = color.to_yuv(rgb.astype(np.float32) / 255)
    return color.quantize(Picture(yuv[..., 0], yuv[::2, ::2, 1], yuv[::2, ::2, 2]))


def shift(result: Picture, source: Picture) -> list[float]:
    pairs = zip(result.planes(), source.planes(), strict=True)
    return [abs(float(a.mean(dtype=np.float64) - b.mean(dtype=np.float64))) for a, b in pairs]


def test_an_engine_doubles_both_sides_in_420(engine: Enlarger) -> None:
    result = engine.enlarge(picture_of(textured(24, 20)), nothing)
    assert [plane.shape for plane in result.planes()] == [(40, 48), (20, 24), (20, 24)]
    assert {plane.dtype.name for plane in result.planes()} == {"uint8"}


def test_an_engine_makes_even_sides_of_odd_ones(engine: Enlarger) -> None:
    result = engine.enlarge(picture_of(textured(24, 20)[:17, :21]), nothing)
    assert [plane.shape for plane in result.planes()] == [(34, 42), (17, 21), (17, 21)]


@pytest.mark.parametrize("name", COLORS)
def test_an_engine_keeps_the_mean_of_every_channel_within_one_level(
    engine: Enlarger, small: tuple[int, int], name: str
) -> None:
    source = flat(COLOR, COLORS[name], small)
    result = engine.enlarge(source, nothing)
    assert max(shift(result, source)) < 1
    before, after = COLOR.to_rgb(source) * 255, COLOR.to_rgb(result) * 255
    assert np.abs(after.mean(axis=(0, 1)) - before.mean(axis=(0, 1))).max() < 1


def test_an_engine_keeps_the_mean_of_textures_and_dark_scenes(
    engine: Enlarger, small: tuple[int, int]
) -> None:
    texture = textured(*small)
    for rgb in (texture, texture // 8, 255 - texture // 8):
        source = picture_of(rgb)
        assert max(shift(engine.enlarge(source, nothing), source)) < 1


def test_an_engine_stays_close_to_its_source(engine: Enlarger, small: tuple[int, int]) -> None:
    source = picture_of(textured(*small))
    result = engine.enlarge(source, nothing)
    width, height = small
    reduced = result.y.reshape(height, 2, width, 2).mean(axis=(1, 3))
    assert psnr(reduced, source.y) > 18  # noise is what x4plus takes away


def test_an_engine_does_not_remember_earlier_pictures(engine: Enlarger) -> None:
    first, second = picture_of(textured(20, 16, seed=1)), picture_of(textured(20, 16, seed=2))
    alone = engine.enlarge(first, nothing)
    engine.enlarge(second, nothing)
    assert engine.enlarge(first, nothing).equals(alone)
    assert engine.enlarge(first, nothing).equals(alone), "a tile that did not change is reused, bit for bit"


@pytest.mark.parametrize("engine_name", ["lanczos", "animevideov3"])
def test_ten_bits_stay_ten_bits(engine_name: Upscaler) -> None:
    color = ColorModel("bt2020nc", False, 10)
    ramp = np.tile(np.linspace(300, 340, 40, dtype=np.uint16), (32, 1))
    source = Picture(ramp, np.full((16, 20), 512, np.uint16), np.full((16, 20), 512, np.uint16))
    result = make_enlarger(EnhanceParams(upscaler=engine_name), color).enlarge(source, nothing)
    assert result.y.dtype == np.uint16
    assert len(np.unique(result.y[32, 8:-8] % 4)) == 4, "levels between those of 8 bits are in use"
    assert abs(float(result.y.mean()) - float(source.y.mean())) < 4


@pytest.mark.parametrize("name", ["bikes", "bigbuckbunny", "carphone_pristine"])
def test_real_clips_keep_their_brightness_and_tint(name: Name) -> None:
    path = packaged(name)
    info = probe(path, MediaLimits())
    color = ColorModel.of(info.picture.color, info.picture.height, 8, info.picture.codec)
    enlarger = make_enlarger(EnhanceParams(), color)
    with Decoder(path, info) as decoder:
        (frame,) = islice(decoder.frames(0, 0, 10**9, 1), 1)
    area = (slice(0, 144), slice(0, 176))
    half = (slice(0, 72), slice(0, 88))
    source = Picture(frame.picture.y[area], frame.picture.u[half], frame.picture.v[half])
    assert max(shift(enlarger.enlarge(source, nothing), source)) < 1


def test_strength_zero_is_plain_enlargement() -> None:
    source = picture_of(textured(40, 24))
    plain = make_enlarger(EnhanceParams(upscaler="lanczos"), COLOR).enlarge(source, nothing)
    assert make_enlarger(EnhanceParams(strength=0), COLOR).enlarge(source, nothing).equals(plain)


def test_strength_blends_between_plain_and_network() -> None:
    source = picture_of(textured(40, 24))
    plain, half, full = (
        make_enlarger(EnhanceParams(strength=strength), COLOR).enlarge(source, nothing).y.astype(float)
        for strength in (0, 0.5, 1)
    )
    assert np.abs(half - (plain + full) / 2).max() <= 1.5


def test_tiles_leave_no_visible_seam() -> None:
    source = picture_of(textured(64, 48))
    whole, tiled = NcnnNetwork("animevideov3"), NcnnNetwork("animevideov3")
    tiled.files = replace(tiled.files, tile_px=16)
    one = NetworkEnlarger(whole, COLOR, 2, 1.0).enlarge(source, nothing)
    many = NetworkEnlarger(tiled, COLOR, 2, 1.0).enlarge(source, nothing)
    assert psnr(one.y, many.y) > 42  # every pixel here is at most 8 from a seam


def test_each_tile_is_a_sign_of_life() -> None:
    network = NcnnNetwork("animevideov3")
    network.files = replace(network.files, tile_px=16)
    beats: list[None] = []
    NetworkEnlarger(network, COLOR, 2, 1.0).enlarge(picture_of(textured(32, 32)), lambda: beats.append(None))
    assert len(beats) == 4


def test_low_frequencies_keep_flat_areas_and_drop_detail() -> None:
    flat_plane = np.full((50, 70), 3, np.float32)
    assert np.allclose(low_frequencies(flat_plane), 3)
    checks = np.indices((64, 64)).sum(axis=0).astype(np.float32) % 2
    assert np.abs(low_frequencies(checks) - 0.5).max() < 0.02


def test_missing_network_files_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = replace(weights_module.NETWORKS["x4plus"], stem="no-such-network")
    monkeypatch.setitem(weights_module.NETWORKS, "x4plus", missing)
    with pytest.raises(EchoError) as caught:
        weights_module.weights_path("x4plus")
    assert caught.value.code == Code.ENGINE_UNAVAILABLE
    assert "no-such-network" in caught.value.detail
