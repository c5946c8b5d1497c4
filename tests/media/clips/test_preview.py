from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from PIL import Image, ImageSequence

from contracts.kinds.clip import ClipFormat
from contracts.kinds.music import Section, SectionType
from contracts.media import MediaLimits
from dev.clips.writer import write
from media.clips.strip import COLOURS, SIZE, draw_strip
from media.probe import probe
from tests.media.clips.sources import Source, drawn


@pytest.mark.slow
def test_the_preview_is_a_loop_of_three_seconds_320_pixels_wide(source, tmp_path):
    clip = source("plain").cut(tmp_path, 0.2, 3.9, ClipFormat.VERTICAL)
    with Image.open(clip.preview) as picture:
        durations = []
        for still in ImageSequence.Iterator(picture):
            still.load()
            durations.append(still.info["duration"])
        assert picture.format == "WEBP"
        assert picture.info["loop"] == 0
        assert (picture.width, picture.height) == (320, 569)
    assert sum(durations) == pytest.approx(3000, abs=60)
    assert len(durations) >= 28


def test_a_clip_shorter_than_the_preview_is_its_own(source, tmp_path):
    clip = source("silent").cut(tmp_path, 0.2, 1.3, ClipFormat.SQUARE)
    with Image.open(clip.preview) as picture:
        assert 10 <= len(list(ImageSequence.Iterator(picture))) <= 12


def test_the_poster_is_the_sharpest_picture_and_never_a_black_one(tmp_path):
    black = np.zeros((180, 320, 3), np.uint8)
    pictures = [(Fraction(number, 30), drawn(number) if 25 <= number < 35 else black) for number in range(60)]
    path = write(tmp_path / "dark.mp4", pictures)
    source = Source(path, probe(path, MediaLimits()), ())
    clip = source.cut(tmp_path, 0.0, 2.0, ClipFormat.ORIGINAL)
    with Image.open(clip.poster) as picture:
        assert picture.size == (320, 180)
        assert np.asarray(picture.convert("L")).mean() > 60


def section(start_s: float, end_s: float, kind: SectionType) -> Section:
    return Section(start_s=start_s, end_s=end_s, type=kind, label="A", energy=0.5, confidence=0.5, song=0)


def test_the_strip_shows_loudness_over_time_in_the_colours_of_the_sections(tmp_path):
    sections = [section(0, 50, SectionType.VERSE), section(50, 90, SectionType.CHORUS)]
    draw_strip([0.1] * 100 + [1.0] * 80 + [0.0] * 20, sections, 100.0, tmp_path / "strip.png")
    with Image.open(tmp_path / "strip.png") as picture:
        assert picture.format == "PNG"
        assert picture.size == SIZE
        rgb = np.asarray(picture.convert("RGB")).astype(int)
    band = rgb[-4]
    assert np.abs(band[200] - COLOURS[SectionType.VERSE]).max() < 8
    assert np.abs(band[800] - COLOURS[SectionType.CHORUS]).max() < 8
    assert band[1150].max() < 40  # no section, no band
    lit = (rgb[:130] > 60).any(axis=2).sum(axis=0)
    assert lit[100:500].max() < 25
    assert lit[650:1050].max() > 115


def test_a_strip_without_anything_is_still_a_line_of_time(tmp_path):
    draw_strip([], [], 10.0, tmp_path / "strip.png")
    with Image.open(tmp_path / "strip.png") as picture:
        assert np.asarray(picture.convert("L")).max() > 60
