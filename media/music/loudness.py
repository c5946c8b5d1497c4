"""Loudness of a track, measured on frames as they are decoded."""

from __future__ import annotations

import av.filter
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.error import FFmpegError

from contracts.kinds.music import Loudness
from media.loudness import read_level

RATE = 48000
LAYOUTS = ("mono", "stereo")


class Meter:
    """Is shown every frame of a track in turn, and then says how loud it was."""

    def __init__(self) -> None:
        self._graph: av.filter.Graph | None = None
        self._resampler: AudioResampler | None = None
        self._layout = ""
        self._time = 0
        self._found: dict[str, str] = {}

    def hear(self, frame: AudioFrame) -> None:
        """The layout of the first frame holds for the whole track; sound in more than two channels is mixed down."""
        if self._graph is None:
            self._layout = "mono" if frame.layout.nb_channels == 1 else "stereo"
            self._graph = _graph(self._layout)
            self._resampler = AudioResampler(format="dblp", layout=self._layout, rate=RATE)
        assert self._resampler is not None
        try:
            converted = self._resampler.resample(frame)
        except ValueError:  # the track changes its rate or its channels on the way
            self._resampler = AudioResampler(format="dblp", layout=self._layout, rate=RATE)
            converted = self._resampler.resample(frame)
        for block in converted:
            block.pts = self._time
            self._time += block.samples
            self._graph.push(block)
            self._drain()

    def loudness(self) -> Loudness:
        level = read_level(self._found)
        return Loudness(
            integrated_lufs=round(level.lufs, 1),
            range_lu=round(level.range_lu, 1),
            true_peak_dbtp=round(level.peak_dbtp, 1),
        )

    def _drain(self) -> None:
        assert self._graph is not None
        while True:
            try:
                frame = self._graph.pull()
            except (BlockingIOError, EOFError, FFmpegError):
                return
            self._found.update(frame.metadata)


def _graph(layout: str) -> av.filter.Graph:
    graph = av.filter.Graph()
    source = graph.add(
        "abuffer", f"sample_rate={RATE}:sample_fmt=dblp:channel_layout={layout}:time_base=1/{RATE}"
    )
    meter = graph.add("ebur128", "metadata=1:peak=true")
    sink = graph.add("abuffersink")
    source.link_to(meter)
    meter.link_to(sink)
    graph.configure()
    return graph
