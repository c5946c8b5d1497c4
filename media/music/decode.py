"""The sound of a file as a stream of blocks: mono, 22.05 kHz, true to the file's timeline.

A damaged packet costs only itself: what cannot be decoded becomes silence of the same length, so times behind it
stay right. Nothing is held but the block at hand, whatever the file's length.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.container import InputContainer
from numpy.typing import NDArray

from contracts.errors import Code, EchoError
from contracts.media import ContainerName
from media.opening import audio_streams, find_video, heard_frames, open_media

SAMPLE_RATE = 22050
"""Hz. Melody, harmony and drums are all told below 11 kHz."""
GAP_S = 0.015
"""A jump of time stamps below this is rounding in the container; one lost frame of any coding is 20 ms or more."""

Samples = NDArray[np.float32]
"""Mono, full scale is 1."""


def sound(
    path: Path, container: ContainerName, on_frame: Callable[[AudioFrame], None] = lambda _: None
) -> Iterator[Samples]:
    """The first track of a sniffed file, from where its picture (without one, its sound) begins. Blocks of any length.

    `on_frame` is given each decoded frame as it is in the file, all channels at their own rate.
    Raises EchoError SOURCE_MISSING, CORRUPT (headers) or NO_AUDIO.
    """
    with open_media(path, container) as opened:
        tracks = audio_streams(opened)
        if not tracks:
            raise EchoError(Code.NO_AUDIO, "the file has no sound that can be decoded")
        yield from _Clock(_origin_s(opened)).blocks(heard_frames(opened, tracks[0]), on_frame)


def _origin_s(container: InputContainer) -> float | None:
    """Where the timeline begins, in the container's own time. None: with the first sound."""
    picture = find_video(container)
    if picture is None or picture.start_time is None or picture.time_base is None:
        return None
    return float(picture.start_time * picture.time_base)


class _Clock:
    """Turns frames into samples that lie where the frames' times say: gaps are filled, what comes twice is dropped."""

    def __init__(self, origin_s: float | None) -> None:
        self._origin_s = origin_s
        self._heard_s = 0.0
        """End of the last frame, on the timeline."""
        self._written = 0
        self._resampler = _resampler()

    def blocks(
        self, frames: Iterator[AudioFrame], on_frame: Callable[[AudioFrame], None]
    ) -> Iterator[Samples]:
        for frame in frames:
            if frame.samples == 0 or frame.sample_rate == 0:
                continue
            start_s = self._start_s(frame)
            length_s = frame.samples / frame.sample_rate
            if start_s + length_s <= self._heard_s - GAP_S:
                continue
            on_frame(frame)
            if start_s > self._heard_s + GAP_S:
                yield from self._fill(start_s)
            self._heard_s = max(start_s, self._heard_s) + length_s
            frame.pts = None  # the resampler must not fill or cut by itself
            yield from self._convert(frame)
        yield from self._convert(None)

    def _start_s(self, frame: AudioFrame) -> float:
        if frame.time is None:
            return self._heard_s
        if self._origin_s is None:
            self._origin_s = frame.time
        return frame.time - self._origin_s

    def _fill(self, until_s: float) -> Iterator[Samples]:
        yield from self._convert(None)
        self._resampler = _resampler()
        missing = round(until_s * SAMPLE_RATE) - self._written
        self._heard_s = until_s
        while missing > 0:
            silence = np.zeros(min(missing, SAMPLE_RATE), np.float32)
            missing -= len(silence)
            self._written += len(silence)
            yield silence

    def _convert(self, frame: AudioFrame | None) -> Iterator[Samples]:
        try:
            converted = self._resampler.resample(frame)
        except ValueError:  # the track changes its rate or its channels on the way
            if frame is None:
                return  # nothing was begun
            yield from self._convert(None)
            self._resampler = _resampler()
            converted = self._resampler.resample(frame)
        for block in converted:
            samples = np.nan_to_num(
                block.to_ndarray()[0].astype(np.float32, copy=False), posinf=0.0, neginf=0.0
            )
            self._written += len(samples)
            yield samples


def _resampler() -> AudioResampler:
    return AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
