"""A piece of music whose structure is known, composed and synthesized here, with a picture that shows the time.

Three chords, bass, drums and a tune. Each part is a pattern of four bars that comes back, as songs are made.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.container import OutputContainer
from av.video.frame import VideoFrame
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from contracts.kinds.music import SectionType

BPM = 120
BEATS_PER_BAR = 4
RATE = 44100
FPS = 15
SIZE = (854, 480)
Samples = NDArray[np.float32]


@dataclass(frozen=True)
class Pattern:
    """Four bars. Notes are MIDI numbers, 0 rests."""

    chords: tuple[tuple[int, ...], ...]
    tune: tuple[tuple[int, ...], ...]
    """Of each bar, evenly spread."""
    drums: bool
    level: float


AM, F, C, G, DM, E = (57, 60, 64), (53, 57, 60), (48, 55, 64), (55, 59, 62), (50, 57, 65), (52, 56, 59)
VERSE = Pattern(
    (AM, F, C, G), ((69, 0, 72, 71), (69, 0, 65, 67), (64, 0, 67, 64), (62, 0, 67, 0)), drums=True, level=0.5
)
CHORUS = Pattern(
    (F, G, AM, C),
    (
        (77, 76, 74, 72, 77, 76, 74, 72),
        (79, 77, 76, 74, 79, 0, 79, 0),
        (81, 79, 77, 76, 81, 79, 77, 76),
        (84, 0, 79, 0),
    ),
    drums=True,
    level=1.0,
)
CALM = Pattern((DM, AM, DM, E), ((0,), (0,), (0,), (0,)), drums=False, level=0.3)
PATTERNS = {
    SectionType.INTRO: CALM,
    SectionType.VERSE: VERSE,
    SectionType.CHORUS: CHORUS,
    SectionType.OUTRO: CALM,
}
COLOURS = {
    SectionType.INTRO: (24, 60, 88),
    SectionType.VERSE: (36, 78, 44),
    SectionType.CHORUS: (140, 70, 16),
    SectionType.OUTRO: (52, 48, 88),
}


@dataclass(frozen=True)
class Part:
    type: SectionType
    bars: int


SONG = (
    Part(SectionType.INTRO, 4),
    Part(SectionType.VERSE, 8),
    Part(SectionType.CHORUS, 8),
    Part(SectionType.VERSE, 8),
    Part(SectionType.CHORUS, 8),
    Part(SectionType.OUTRO, 4),
)
BAR_S = 60 / BPM * BEATS_PER_BAR


def borders(song: tuple[Part, ...] = SONG) -> list[tuple[float, float, SectionType]]:
    """Start, end and type of each part, in seconds."""
    ends = np.cumsum([part.bars for part in song]) * BAR_S
    return [
        (float(end) - part.bars * BAR_S, float(end), part.type) for part, end in zip(song, ends, strict=True)
    ]


def write_song(target: Path, song: tuple[Part, ...] = SONG, *, size: tuple[int, int] = SIZE) -> Path:
    """An MP4 of H.264 and AAC. The picture shows the part and the time; its bar moves with the beat."""
    target.parent.mkdir(parents=True, exist_ok=True)
    sound = np.concatenate([_bar(part.type, bar % 4) for part in song for bar in range(part.bars)])
    with av.open(target, "w", options={"movflags": "faststart"}) as container:
        video = container.add_stream("libx264", FPS, options={"preset": "ultrafast", "crf": "20", "g": "30"})
        video.width, video.height, video.pix_fmt = *size, "yuv420p"
        audio = container.add_stream("aac", RATE, options={"aac_coder": "fast"}, layout="mono")
        audio.bit_rate = 128_000
        for number in range(int(len(sound) / RATE * FPS)):
            frame = VideoFrame.from_image(_picture(song, number / FPS, size))
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        _write_sound(container, audio, sound)
    return target


def _write_sound(container: OutputContainer, audio: av.AudioStream, sound: Samples) -> None:
    frame = AudioFrame.from_ndarray(np.clip(sound, -1, 1)[np.newaxis], "fltp", "mono")
    frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
    container.mux(audio.encode(frame))
    container.mux(audio.encode(None))


def _picture(song: tuple[Part, ...], at_s: float, size: tuple[int, int]) -> Image.Image:
    type_ = next((type_ for _, end, type_ in borders(song) if at_s < end), song[-1].type)
    width, height = size
    picture = Image.new("RGB", size, COLOURS[type_])
    draw = ImageDraw.Draw(picture)
    draw.text((width / 2, height * 0.3), type_.upper(), (255, 255, 255), _font(height // 10), anchor="mm")
    counter = f"{int(at_s) // 60}:{at_s % 60:04.1f}"
    draw.text((width / 2, height * 0.55), counter, (255, 255, 255), _font(height // 6), anchor="mm")
    beat = at_s * BPM / 60 % 1
    reach = height / 4 * (1 - beat)
    draw.rectangle((width / 2 - reach, height * 0.8, width / 2 + reach, height * 0.83), (255, 255, 255))
    return picture


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


@cache
def _bar(type_: SectionType, place: int) -> Samples:
    pattern = PATTERNS[type_]
    length = round(BAR_S * RATE)
    chord, tune = pattern.chords[place], pattern.tune[place]
    samples = sum((0.14 * _tone(note, length, fading=1.0) for note in chord), np.zeros(length, np.float32))
    for index, note in enumerate(tune):
        if note:
            _add(samples, index * length // len(tune), 0.35 * _tone(note, length // len(tune), fading=2.5))
    if pattern.drums:
        beat = length // BEATS_PER_BAR
        for index in range(2 * BEATS_PER_BAR):
            _add(samples, index * beat // 2, 0.3 * _tone(chord[0] - 24 + 12, beat // 2, fading=5.0))
            _add(samples, index * beat // 2, 0.08 * _noise(beat // 8, fading=60.0))
        for index in range(BEATS_PER_BAR):
            _add(
                samples,
                index * beat,
                0.3 * _noise(beat // 2, fading=25.0) if index % 2 else 0.8 * _kick(beat // 2),
            )
    return (0.45 * pattern.level * samples).astype(np.float32)


def _add(samples: Samples, at: int, sound: Samples) -> None:
    samples[at : at + len(sound)] += sound[: len(samples) - at]


def _tone(note: int, length: int, fading: float) -> Samples:
    time = np.arange(length) / RATE
    hertz = 440 * 2 ** ((note - 69) / 12)
    wave = sum(np.sin(2 * np.pi * k * hertz * time) / k for k in (1, 2, 3, 4))
    edges = np.minimum(1, np.minimum(time, time[::-1]) / 0.008)
    return (np.exp(-fading * time) * edges * wave).astype(np.float32)


def _kick(length: int) -> Samples:
    time = np.arange(length) / RATE
    return (np.exp(-18 * time) * np.sin(2 * np.pi * 55 * time)).astype(np.float32)


def _noise(length: int, fading: float) -> Samples:
    decay = np.exp(-fading * np.arange(length) / RATE)
    return (np.random.default_rng(length).normal(0, 0.5, length) * decay).astype(np.float32)
