"""A recording at a glance: how loud it is over time, and its sections in colour with their names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from contracts.kinds.music import Section, SectionType
from media.manifest import publish

SIZE = (1200, 160)
SCALE = 2
"""Drawn at this multiple and scaled down: soft edges."""
BAND_PX = 26
"""Height of the coloured band with the names, at the bottom."""
LABEL_PX = 15
BAR_PX, GAP_PX = 3, 1
QUIET = 0.04
"""Height of a bar where nothing is heard, as a share: the line of time stays visible."""
BACKGROUND = (18, 18, 24)
UNKNOWN = (120, 120, 130)
"""Where no section is: talk, applause, silence."""
INK = (10, 10, 14)
COLOURS: dict[SectionType, tuple[int, int, int]] = {
    SectionType.INTRO: (86, 180, 233),
    SectionType.VERSE: (150, 200, 120),
    SectionType.CHORUS: (240, 180, 41),
    SectionType.BRIDGE: (204, 140, 190),
    SectionType.INTERLUDE: (120, 205, 190),
    SectionType.CLIMAX: (240, 98, 60),
    SectionType.OUTRO: (150, 160, 200),
}
"""Light enough for dark letters on all of them (contrast above 6 to 1), and told apart by the colour-blind: after
Okabe and Ito."""


def draw_strip(
    energy: Sequence[float],
    sections: Sequence[Section],
    duration_s: float,
    out: Path,
    size: tuple[int, int] = SIZE,
) -> None:
    """Writes a PNG. `energy` is spread evenly over the duration, 0 to 1; names that do not fit are cut or left out."""
    width, height = size[0] * SCALE, size[1] * SCALE
    picture = Image.new("RGB", (width, height), BACKGROUND)
    draw = ImageDraw.Draw(picture)
    step, bar = (BAR_PX + GAP_PX) * SCALE, BAR_PX * SCALE
    floor = height - BAND_PX * SCALE - GAP_PX * SCALE
    levels = _levels(energy, max(1, width // step))
    for index, level in enumerate(levels):
        middle_s = (index * step + bar / 2) / width * duration_s
        top = floor - round(max(QUIET, float(level)) * (floor - 4 * SCALE))
        draw.rectangle((index * step, top, index * step + bar - 1, floor), fill=_colour(sections, middle_s))
    _draw_band(draw, sections, duration_s, (width, height))
    partial = out.with_name(f".{out.name}.partial")
    picture.resize(size, Image.Resampling.LANCZOS).save(partial, "PNG", optimize=True)
    publish(partial, out)


def _draw_band(
    draw: ImageDraw.ImageDraw, sections: Sequence[Section], duration_s: float, size: tuple[int, int]
) -> None:
    width, height = size
    top = height - BAND_PX * SCALE
    font = ImageFont.load_default(LABEL_PX * SCALE)
    for section in sections:
        left = round(section.start_s / duration_s * width)
        right = round(section.end_s / duration_s * width) - GAP_PX * SCALE
        if right <= left:
            continue
        draw.rectangle((left, top, right, height), fill=COLOURS[section.type])
        name = _fitting(section.type.value, font, right - left - 4 * SCALE)
        if name:
            centre = ((left + right) / 2, top + BAND_PX * SCALE / 2)
            draw.text(centre, name, fill=INK, font=font, anchor="mm")


def _fitting(name: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, room: float) -> str:
    """The name, its first three letters, its first letter, or nothing."""
    choices = (name, name[:3], name[:1])
    return next((choice for choice in choices if font.getbbox(choice)[2] <= room), "")


def _colour(sections: Sequence[Section], at_s: float) -> tuple[int, int, int]:
    return next((COLOURS[s.type] for s in sections if s.start_s <= at_s < s.end_s), UNKNOWN)


def _levels(energy: Sequence[float], count: int) -> NDArray[np.float64]:
    """The greatest value of each of `count` equal stretches; between two values it rises or falls straight."""
    values = np.clip(np.asarray(energy, np.float64), 0, 1)
    if not len(values):
        return np.zeros(count)
    fine = 8 * count
    places = (np.arange(fine) + 0.5) / fine * len(values) - 0.5
    return np.interp(places, np.arange(len(values)), values).reshape(count, 8).max(axis=1)
