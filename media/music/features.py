"""What is measured on the sound itself, frame by frame, in one pass over blocks of it.

The two spectra differ in purpose: the short one tells when (drums, onsets, timbre), the long one which notes.
Power everywhere; decibels and logarithms are taken where they are needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import librosa
import numpy as np
from numpy.typing import NDArray
from scipy.fft import rfft

from media.music.decode import SAMPLE_RATE, Samples

HOP = 512
RATE = SAMPLE_RATE / HOP
"""Frames a second (43) of `mel` and `flatness`."""
NOTE_HOP = 1024
NOTE_RATE = SAMPLE_RATE / NOTE_HOP
"""Frames a second (21.5) of `notes` and `bass`."""
MEL_WINDOW, NOTE_WINDOW, BASS_WINDOW = 2048, 4096, 8192
MEL_BANDS = 64
NOTE_LOW, NOTE_HIGH = 33, 105
"""MIDI numbers, half-open: A1 to G#7."""
BASS_HIGH = 63
BLOCK_FRAMES = 512
"""Frames of `mel` that are computed at once: 12 s, some 20 MB."""

Array = NDArray[Any]
"""Of numbers, mostly of 32 or 64 bits."""


@dataclass(frozen=True)
class Features:
    mel: Array
    """(frames, 64): power in mel bands from 30 Hz to 10.5 kHz."""
    flatness: Array
    """(frames,): geometric over arithmetic mean of the power spectrum: near 1 for noise, near 0 for tones."""
    notes: Array
    """(note frames, 72): power about each semitone from A1."""
    bass: Array
    """(note frames, 30): the same from A1 to D4 with twice the resolution."""
    peak: float
    samples: int

    @property
    def duration_s(self) -> float:
        return self.samples / SAMPLE_RATE

    def between(self, start_s: float, end_s: float) -> Features:
        """A stretch of it, whose frame 0 is at `start_s`."""
        a, b = round(start_s * RATE), round(end_s * RATE)
        c, d = round(start_s * NOTE_RATE), round(end_s * NOTE_RATE)
        return Features(
            self.mel[a:b], self.flatness[a:b], self.notes[c:d], self.bass[c:d],
            self.peak, round((end_s - start_s) * SAMPLE_RATE),
        )  # fmt: skip


def extract(sound: Iterator[Samples]) -> Features:
    """Features of a whole stream. Frame t is centred on t hops; before and after the sound there is silence."""
    mel_bank = librosa.filters.mel(sr=SAMPLE_RATE, n_fft=MEL_WINDOW, n_mels=MEL_BANDS, fmin=30, fmax=10500).T
    note_bank = note_filters(NOTE_WINDOW, NOTE_LOW, NOTE_HIGH)
    bass_bank = note_filters(BASS_WINDOW, NOTE_LOW, BASS_HIGH)
    mel, flatness, notes, bass = [], [], [], []
    peak, samples = 0.0, 0
    for window, new in _windows(sound):
        power = _power(window, MEL_WINDOW, HOP)
        mel.append(power @ mel_bank)
        flatness.append(_flatness(power))
        notes.append(_power(window, NOTE_WINDOW, NOTE_HOP) @ note_bank)
        bass.append(_power(window, BASS_WINDOW, NOTE_HOP) @ bass_bank)
        peak = max(peak, float(np.abs(window).max(initial=0.0)))
        samples += new
    return Features(
        np.concatenate(mel) if mel else np.zeros((0, MEL_BANDS), np.float32),
        np.concatenate(flatness) if flatness else np.zeros(0, np.float32),
        np.concatenate(notes) if notes else np.zeros((0, NOTE_HIGH - NOTE_LOW), np.float32),
        np.concatenate(bass) if bass else np.zeros((0, BASS_HIGH - NOTE_LOW), np.float32),
        peak,
        samples,
    )


def note_filters(window: int, low: int, high: int) -> Array:
    """(bins, notes): bell curves of a third of a semitone about each note, or as narrow as the window can resolve."""
    frequency = np.arange(window // 2 + 1) * SAMPLE_RATE / window
    pitch = 69 + 12 * np.log2(np.maximum(frequency, 1.0) / 440)
    bank = np.zeros((len(frequency), high - low), np.float32)
    for column, note in enumerate(range(low, high)):
        semitone_hz = 440 * 2 ** ((note - 69) / 12) * (2 ** (1 / 12) - 1)
        width = max(0.35, 0.6 * SAMPLE_RATE / window / semitone_hz)
        bell = np.exp(-0.5 * ((pitch - note) / width) ** 2)
        bell[bell < 1e-3] = 0
        bank[:, column] = bell / bell.sum()
    return bank


def _windows(sound: Iterator[Samples]) -> Iterator[tuple[Samples, int]]:
    """Stretches of BLOCK_FRAMES hops with half of the longest window on either side, and how many samples are new."""
    margin, step = BASS_WINDOW // 2, BLOCK_FRAMES * HOP
    pending: list[Samples] = [np.zeros(margin, np.float32)]
    held, ended = margin, 0
    for block in sound:
        pending.append(block)
        held += len(block)
        while held >= step + 2 * margin:
            buffer = np.concatenate(pending)
            yield buffer[: step + 2 * margin], step
            pending, held = [buffer[step:]], held - step
    rest = held - margin
    if rest > 0:
        buffer = np.concatenate(pending)
        padded = -(-rest // NOTE_HOP) * NOTE_HOP
        ended = rest
        for start in range(0, padded, step):
            window = np.zeros(min(step, padded - start) + 2 * margin, np.float32)
            piece = buffer[start : start + len(window)]
            window[: len(piece)] = piece
            yield window, min(step, ended - start)


def _power(window: Samples, length: int, hop: int) -> Array:
    """(frames, bins) of a stretch that has the margin of the longest window on either side."""
    margin = (BASS_WINDOW - length) // 2
    frames = np.lib.stride_tricks.sliding_window_view(window[margin : len(window) - margin], length)[:-1:hop]
    spectrum: Array = np.asarray(rfft(frames * np.hanning(length + 1)[:-1].astype(np.float32), axis=1))
    return np.square(np.real(spectrum)) + np.square(np.imag(spectrum))


def _flatness(power: Array) -> Array:
    """Between 100 Hz and 3.4 kHz, which even a telephone's microphone and 8 kHz of sampling leave."""
    audible = power[:, 10:320] + 1e-10
    return np.exp(np.log(audible).mean(1)) / audible.mean(1)
