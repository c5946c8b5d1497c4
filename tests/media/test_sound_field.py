"""Sound of 360 degree cameras, which FFmpeg decodes and mixes to nothing."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream

from contracts.kinds.clip import ClipFormat, Cut
from contracts.media import MediaLimits
from media.clips.cut import cut_clip
from media.music.decode import SAMPLE_RATE, sound
from media.probe import probe
from tests.media.pixels import clip_of, every, textured

RATE = 48_000
LEVEL = 0.25


@pytest.fixture
def field(tmp_path: Path) -> Path:
    """Two seconds: a tone from everywhere, and louder ones by direction only."""
    seconds = np.arange(2 * RATE) / RATE
    tones = ((LEVEL, 440), (0.4, 600), (0.4, 700), (0.4, 800))
    channels = [level * np.sin(2 * np.pi * hertz * seconds) for level, hertz in tones]
    packed = np.stack(channels, axis=1).astype(np.float32).reshape(1, -1)
    path, picture = tmp_path / "field.mkv", clip_of(tmp_path / "plain.mp4", every(30, 60), textured_at)
    with av.open(str(path), "w") as made, av.open(str(picture)) as shown:
        video = made.add_stream_from_template(shown.streams.video[0])
        track = made.add_stream("libopus", rate=RATE, layout="ambisonic 1", options={"mapping_family": "2"})
        assert isinstance(track, AudioStream)
        frame = AudioFrame.from_ndarray(packed, format="flt", layout="ambisonic 1")
        frame.sample_rate, frame.pts = RATE, 0
        made.mux([*track.encode(frame), *track.encode(None)])
        for packet in shown.demux(shown.streams.video[0]):
            if packet.dts is not None:
                packet.stream = video
                made.mux(packet)
    return path


def textured_at(number: int) -> np.ndarray:
    return textured(seed=number)


def test_its_middle_is_heard(field: Path) -> None:
    heard = np.concatenate(list(sound(field, "mkv")))
    middle = heard[SAMPLE_RATE // 2 : SAMPLE_RATE]
    assert np.sqrt(np.mean(middle**2)) == pytest.approx(LEVEL / np.sqrt(2), rel=0.05)
    strongest = np.abs(np.fft.rfft(middle)).argmax() * SAMPLE_RATE / len(middle)
    assert strongest == pytest.approx(440, abs=2)


@pytest.mark.parametrize("form", [ClipFormat.ORIGINAL, ClipFormat.SQUARE])
def test_a_clip_has_it(field: Path, tmp_path: Path, form: ClipFormat) -> None:
    cut = Cut(start_s=0.5, end_s=1.5, format=form, lufs=None)
    clip = cut_clip(field, probe(field, MediaLimits()), cut, tmp_path)
    heard = np.concatenate(list(sound(Path(clip.video), "mp4")))
    assert np.abs(np.fft.rfft(heard)).argmax() * SAMPLE_RATE / len(heard) == pytest.approx(440, abs=2)
