"""Songs made of sines and noise whose structure is known: chords, melody and drums in sections that come back."""

from __future__ import annotations

import wave
from collections.abc import Sequence
from pathlib import Path

import ffmpeg
import numpy as np

from media.ffmpeg import command

RATE = 22050
CHORDS = {"A": (57, 53, 48, 55), "B": (50, 57, 58, 53), "C": (55, 52, 45, 50)}
"""Roots of a bar each, one row per section letter, repeated to its length."""
TUNES = {"A": (69, 72, 71, 67), "B": (77, 74, 76, 79), "C": (67, 64, 66, 62)}
"""Two notes a bar: of this row, and a third above."""
GAINS = {"A": 0.5, "B": 1.0, "C": 0.6}


def song(sections: Sequence[tuple[str, int]], bpm: float = 120.0, beats_per_bar: int = 4) -> np.ndarray:
    """(letter, bars) after one another."""
    return np.concatenate([
        _bar(letter, bar, bpm, beats_per_bar) for letter, bars in sections for bar in range(bars)
    ])  # fmt: skip


def clicks(bpm: float, seconds: float) -> np.ndarray:
    """A metronome that plays a note with each click."""
    samples = np.zeros(int(seconds * RATE), np.float32)
    for beat in np.arange(0, seconds - 0.2, 60 / bpm):
        start = round(beat * RATE)
        samples[start : start + 2000] += 0.5 * _note(76, 2000)
    return samples + 0.2 * _note(57, len(samples), decay=0.0)


def applause(seconds: float, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    length = int(seconds * RATE)
    claps = np.zeros(length)
    at = generator.integers(0, length, 60 * int(seconds))
    claps[at] = generator.normal(0, 1, len(at))
    burst = np.exp(-np.arange(440) / 90) * generator.normal(0, 1, 440)
    crowd = np.convolve(claps, burst)[:length] + generator.normal(0, 0.3, length)
    return (0.3 * crowd / np.abs(crowd).max()).astype(np.float32)


def speech(seconds: float, seed: int = 0) -> np.ndarray:
    """Made of gliding vowels, hisses and pauses, three or so a second."""
    generator = np.random.default_rng(seed)
    pieces: list[np.ndarray] = []
    while sum(map(len, pieces)) < seconds * RATE:
        length = int(generator.uniform(0.08, 0.22) * RATE)
        time = np.arange(length) / RATE
        pitch = generator.uniform(100, 160) * (1 + generator.uniform(-0.3, 0.3) * time / time[-1])
        phase = 2 * np.pi * np.cumsum(pitch) / RATE
        formant = generator.uniform(300, 1800)
        vowel = sum(
            np.sin(k * phase) * np.exp(-(((k * 130 - formant) / 300) ** 2)) for k in range(1, 25)
        ) * np.hanning(length)
        hiss = generator.normal(0, 0.15, length // 2) * np.hanning(length // 2)
        pieces += [vowel, hiss, np.zeros(int(generator.uniform(0.05, 0.4) * RATE))]
    voice = np.concatenate(pieces)[: int(seconds * RATE)]
    return (0.4 * voice / np.abs(voice).max()).astype(np.float32)


def silence(seconds: float) -> np.ndarray:
    return np.zeros(int(seconds * RATE), np.float32)


def write(path: Path, *pieces: np.ndarray, rate: int = RATE) -> Path:
    """A mono WAV file of 16 bits."""
    samples = np.concatenate(pieces)
    if rate != RATE:
        samples = samples[:: RATE // rate] if RATE % rate == 0 else np.interp(
            np.arange(0, len(samples), RATE / rate), np.arange(len(samples)), samples
        )  # fmt: skip
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    return path


def _bar(letter: str, bar: int, bpm: float, beats: int) -> np.ndarray:
    length = round(beats * 60 / bpm * RATE)
    beat = length // beats
    root, tune = CHORDS[letter][bar % 4], TUNES[letter][bar % 4]
    samples = np.zeros(length, np.float32)
    for note, level in ((root - 12, 0.5), (root, 0.2), (root + 4, 0.2), (root + 7, 0.2)):
        samples += level * _note(note, length, decay=0.8)
    samples[: 2 * beat] += 0.5 * _note(tune, 2 * beat, decay=0.5)
    samples[2 * beat :] += 0.5 * _note(tune + 3, length - 2 * beat, decay=0.5)
    generator = np.random.default_rng(bar)
    for i in range(beats):
        drum = np.exp(-np.arange(2000) / 300)
        hit = (
            np.sin(2 * np.pi * 60 * np.arange(2000) / RATE) if i % 2 == 0 else generator.normal(0, 0.3, 2000)
        )
        samples[i * beat : i * beat + 2000] += 0.6 * drum * hit
    return (0.3 * GAINS[letter] * samples).astype(np.float32)


def _note(midi: int, length: int, decay: float = 3.0) -> np.ndarray:
    time = np.arange(length) / RATE
    hertz = 440 * 2 ** ((midi - 69) / 12)
    tone = sum(np.sin(2 * np.pi * k * hertz * time) / k for k in (1, 2, 3))
    fade = np.minimum(1, np.minimum(time, time[::-1]) / 0.005)
    return (np.exp(-decay * time) * fade * tone).astype(np.float32)


def filmed(folder: Path, sections: Sequence[tuple[str, int]]) -> Path:
    """An MP4 file: a small picture, and the song."""
    heard = write(folder / "song.wav", song(sections))
    with wave.open(str(heard)) as file:
        seconds = file.getnframes() / file.getframerate()
    out = folder / "concert.mp4"
    coded = ffmpeg.output(
        ffmpeg.input(f"testsrc=size=160x120:rate=10:duration={seconds}", f="lavfi"),
        ffmpeg.input(str(heard)).audio,
        command.target(out),
        f="mp4",
        vcodec="libx264",
        preset="ultrafast",
        pix_fmt="yuv420p",
        g=10,
        acodec="aac",
        ar=48_000,
    )
    command.run(coded, timeout_s=120)
    return out
