"""From a file to what is found in its music."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import numpy as np

from contracts.errors import Code, EchoError
from contracts.kinds.music import Highlight, Music, Part, PartType, Section, Song
from contracts.media import ContainerName, EngineUse
from media.music import beats, labels, parts
from media.music.bars import by_bar
from media.music.decode import SAMPLE_RATE, Samples, sound
from media.music.features import RATE, Array, Features, extract
from media.music.functions import functions, section_energy
from media.music.highlights import highlights
from media.music.key import key
from media.music.loudness import Meter
from media.music.prominence import prominence
from media.music.segmentation import readings
from media.music.similarity import likeness
from media.progress import Progress, silent

VERSION = "2"
"""Of the algorithm: goes up whenever the same sound may give another result."""
CURVE_RATE = 2
CURVE_RANGE_DB = 48.0
"""The energy curve's 0 lies that much below its loudest half second."""


def analyse(
    path: Path, container: ContainerName, progress: Progress = silent, *, duration_s: float = 0.0
) -> Music:
    """Structure of the music in a sniffed file.

    Progress: phase `listen` in seconds heard of `duration_s`, as far as that is known, then `structure` in steps.

    Raises EchoError: NO_AUDIO, CORRUPT, SOURCE_MISSING (nothing to read); SILENT, NO_MUSIC, TOO_SHORT (nothing to
    find).
    """
    meter = Meter()
    features = extract(_told(sound(path, container, meter.hear), duration_s, progress))
    if features.samples == 0:
        raise EchoError(Code.NO_AUDIO, "not one sample could be decoded")
    if features.peak < parts.SILENT_PEAK:
        raise EchoError(Code.SILENT, f"the loudest sample is at {features.peak:.6f} of full scale")
    found = parts.parts(features)
    ranges = parts.songs(found, features)
    if not ranges:
        music_s = sum(p.end_s - p.start_s for p in found if p.type is PartType.MUSIC)
        if music_s > 0 or features.duration_s < parts.SONG_MIN_S:
            raise EchoError(Code.TOO_SHORT, f"{music_s:.1f} s of music in {features.duration_s:.1f} s")
        raise EchoError(Code.NO_MUSIC, f"{features.duration_s:.1f} s without music")
    songs, sections, best = [], [], []
    for index, (start, end) in enumerate(ranges):
        song, its_sections, its_best = _song(features.between(start, end), start, index)
        songs.append(song)
        sections += its_sections
        best += its_best
        progress("structure", index + 1, len(ranges))
    return Music(
        duration_s=_ms(features.duration_s),
        parts=tuple(
            Part(start_s=_ms(p.start_s), end_s=_ms(p.end_s), type=p.type, confidence=_share(p.confidence))
            for p in found
        ),
        songs=tuple(songs),
        sections=tuple(sections),
        highlights=tuple(sorted(best, key=lambda h: (h.length_s, -h.score))),
        loudness=meter.loudness(),
        energy=tuple(_curve(features)),
        engine=EngineUse(
            role="analyse", name="echoshot-music", version=f"{VERSION}, librosa {version('librosa')}"
        ),
    )


def _told(blocks: Iterator[Samples], duration_s: float, progress: Progress) -> Iterator[Samples]:
    """The same blocks, with a beat for each second of them."""
    heard = 0
    for block in blocks:
        before, heard = heard // SAMPLE_RATE, heard + len(block)
        if heard // SAMPLE_RATE > before:
            progress("listen", heard // SAMPLE_RATE, max(heard // SAMPLE_RATE, int(duration_s)))
        yield block


def _song(features: Features, start_s: float, index: int) -> tuple[Song, list[Section], list[Highlight]]:
    found = beats.track(features)
    bars = by_bar(features, found)
    alike = likeness(bars)
    forms = readings(bars, alike)
    form = forms[0]
    agreed = labels.agreement(alike, [f.borders for f in forms])
    letters = labels.label(labels.between_sections(agreed, form.borders))
    sure = labels.label_certainty(labels.section_likeness(alike, form.borders), letters)
    hook = prominence(bars, alike, agreed)
    types = functions(form.borders, letters, hook)
    energy = section_energy(form.borders, bars.loudness_db)
    edges = np.clip(bars.edges_s, 0, features.duration_s)
    edges[0], edges[-1] = 0, features.duration_s
    name, key_confidence = key(features.notes)
    song = Song(
        start_s=_ms(start_s),
        end_s=_ms(start_s + features.duration_s),
        tempo_bpm=round(found.tempo_bpm, 2),
        tempo_confidence=_share(found.tempo_confidence),
        beats_per_bar=found.beats_per_bar,
        beats_s=tuple(_ms(start_s + t) for t in found.times_s),
        downbeats_s=tuple(_ms(start_s + t) for t in found.downbeats_s),
        downbeat_confidence=_share(found.downbeat_confidence),
        key=name,
        key_confidence=_share(key_confidence),
    )
    sections = [
        Section(
            start_s=_ms(start_s + edges[a]),
            end_s=_ms(start_s + edges[b]),
            type=types[i],
            label=letters[i],
            energy=_share(energy[i]),
            confidence=_share(confidence(form.certainty[a], form.certainty[b], sure[i])),
            song=index,
        )
        for i, (a, b) in enumerate(zip(form.borders[:-1], form.borders[1:], strict=True))
        if edges[b] > edges[a]
    ]
    best = [
        Highlight(
            length_s=h.length_s,
            start_s=_ms(start_s + h.start_s),
            end_s=_ms(start_s + h.end_s),
            type=h.type,
            score=_share(h.score),
            reasons=h.reasons,
            song=index,
        )
        for h in highlights(edges, form.borders, types, hook, features.duration_s)
    ]
    return song, sections, best


def confidence(begins: float, ends: float, label: float) -> float:
    """Of a section: both borders and its letter. The geometric mean, so that one doubtful thing is felt."""
    return float(np.cbrt(begins * ends * label))


def _curve(features: Features) -> list[float]:
    """Mean level of each half second, 0 to 1 over CURVE_RANGE_DB."""
    count = max(1, int(np.ceil(features.duration_s * CURVE_RATE)))
    at = np.minimum((np.arange(count) * RATE / CURVE_RATE).astype(int), max(0, len(features.mel) - 1))
    power: Array = np.add.reduceat(features.mel.sum(1), at) / np.maximum(
        np.diff(np.append(at, len(features.mel))), 1
    )
    level = 10 * np.log10(power + 1e-12)
    return [_share(v) for v in 1 + (level - level.max()) / CURVE_RANGE_DB]


def _ms(seconds: float) -> float:
    """Whole milliseconds; never -0.0."""
    return round(float(seconds), 3) + 0.0


def _share(value: float) -> float:
    return round(float(np.clip(value, 0, 1)), 3)
