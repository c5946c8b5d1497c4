"""python -m bench.music --data FOLDER: prints the score table of bench/README.md, section music, in one run.

FOLDER holds `audio/<id>.opus` and `sections/<id>.json` with human annotations; it may also be named by the variable
MUSIC_DATA. The engine is measured as it is (its few numbers were fitted to the development songs) and in five folds,
each with those numbers fitted to the other songs. `--robust` repeats the first on damaged sound.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np

from bench.music import damage, folds, peers
from bench.music.calibration import calibration
from bench.music.scoring import Estimate, Reference, mean, references, scores
from contracts.kinds.music import Music
from media.music.analysis import analyse
from media.music.decode import sound
from media.music.features import extract

COLUMNS = ("F@0.5", "F@3", "pairwise", "hit", "hit, agreed")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.music", description=__doc__)
    parser.add_argument(
        "--data", type=Path, default=os.environ.get("MUSIC_DATA"), help="folder of annotated songs"
    )
    parser.add_argument(
        "--robust", action="store_true", help="also on noisy, clipped and band-limited copies"
    )
    parser.add_argument(
        "--no-peers", action="store_true", help="leave out librosa's segmentation, which is slow"
    )
    options = parser.parse_args()
    if options.data is None:
        parser.error("name a folder of annotated songs with --data or MUSIC_DATA")
    songs = references(options.data)
    print(f"{'':34}" + "".join(f"{name:>13}" for name in (*COLUMNS, "s a song")))
    results = _engine(songs)
    _in_folds(songs)
    if not options.no_peers:
        _peers(songs)
    if options.robust:
        for name, spoil in damage.WAYS.items():
            prepared = [folds.prepare(s, extract(iter([spoil(_samples(s))]))) for s in songs]
            _row(f"engine, {name}", folds.measure(prepared))
    calibration(songs, results)


def _engine(songs: list[Reference]) -> list[Music]:
    rows, results = [], []
    begun = time.monotonic()
    for song in songs:
        music = analyse(song.audio, "ogg")
        results.append(music)
        rows.append(scores(song, estimate(music)))
    _row("engine", rows, time.monotonic() - begun)
    return results


def estimate(music: Music) -> Estimate:
    """Sections of the file; what lies between songs has a label of its own."""
    borders, labels = [0.0], []
    for section in music.sections:
        if section.start_s > borders[-1]:
            borders.append(section.start_s)
            labels.append("between")
        borders.append(section.end_s)
        labels.append(f"{section.song}{section.label}")
    return Estimate(borders, labels, next(h.start_s for h in music.highlights if h.length_s == 30))


def _in_folds(songs: list[Reference]) -> None:
    prepared = [folds.prepare(song, extract(sound(song.audio, "ogg"))) for song in songs]
    _row(f"engine, {folds.FOLDS} folds", folds.cross_validated(prepared))


def _peers(songs: list[Reference]) -> None:
    ways = (("librosa's Laplacian", peers.laplacian), ("loudest", peers.loudest))
    for name, find in ways:
        begun = time.monotonic()
        rows = [scores(song, find(_samples(song))) for song in songs]
        _row(name, rows, time.monotonic() - begun)
    drawn = [
        scores(song, Estimate([0.0, song.duration_s], None, peers.random(song.duration_s, seed)))
        for song in songs
        for seed in range(20)
    ]
    _row("random (20 draws a song)", drawn)


def _samples(song: Reference) -> np.ndarray:
    return np.concatenate(list(sound(song.audio, "ogg")))


def _row(name: str, rows: list[dict[str, float]], seconds: float | None = None) -> None:
    found = mean(rows)
    cells = [f"{found[c]:13.3f}" if c in found else f"{'':13}" for c in COLUMNS]
    print(f"{name:34}" + "".join(cells) + (f"{seconds / len(rows):13.1f}" if seconds else ""), flush=True)


if __name__ == "__main__":
    main()
